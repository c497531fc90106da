import { commandTarget } from './command-target.ts';
import { diskTarget } from './disk-target.ts';
import { httpTarget } from './http-target.ts';
import { queryTarget } from './query-target.ts';
import type { FuzzTarget } from './target.ts';

export const targets: readonly FuzzTarget[] = [diskTarget, queryTarget, commandTarget, httpTarget];
