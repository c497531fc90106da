/** Every setting that may be changed while the service runs; each folder declares its own. */
import * as account from './account/settings.ts';
import * as audit from './audit/settings.ts';
import * as backupStorage from './backup-storage/settings.ts';
import type { Setting } from './global-config/setting.ts';
import * as image from './image/settings.ts';
import * as primaryStorage from './primary-storage/settings.ts';
import * as snapshot from './snapshot/settings.ts';
import * as vm from './vm/settings.ts';

export const declaredSettings: readonly Setting[] = [
  account,
  audit,
  backupStorage,
  image,
  primaryStorage,
  snapshot,
  vm,
].flatMap((module) => Object.values(module) as Setting[]);
