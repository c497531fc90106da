import type { HostileCase } from './case.ts';
import { opinionCases } from './opinion-cases.ts';
import { otherCases } from './other-cases.ts';
import { qcow2HeaderCases } from './qcow2-header-cases.ts';
import { qcow2MapCases } from './qcow2-map-cases.ts';

export const hostileCases: readonly HostileCase[] = [
  ...qcow2HeaderCases,
  ...qcow2MapCases,
  ...otherCases,
  ...opinionCases,
];
