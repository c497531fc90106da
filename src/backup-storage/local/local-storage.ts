import { declareKind } from '../declared-kind.ts';

export const LocalStorage = declareKind({
  type: 'LocalBackupStorage',
  doc: "a directory of the service's own machine",
  fields: {},
});
