/** QueryVolumeSnapshotTree: as any query, with the whole tree in each inventory (zstack-api.md 4.8). */
import type { Database } from '../database/database.ts';
import type { QueryCompletion } from '../job/operation.ts';
import { toInventories } from '../query/query.ts';
import type { Inventory } from '../query/shape.ts';
import { VolumeSnapshot } from './snapshot.ts';
import { asTree, type Node } from './tree.ts';

const EMPTY = Object.fromEntries(
  Object.entries(VolumeSnapshot.fields)
    .filter(([, field]) => field.presence === 'optional')
    .map(([name]) => [name, null]),
);

export function completeSnapshotTrees(parts: { database: Database }): QueryCompletion {
  return async (answer, restrict) => {
    for (const inventory of answer.inventories ?? []) {
      // Absent where only some fields were asked for.
      if (!Array.isArray(inventory.snapshots)) continue;
      // As rows again, with all their members, so that they can be completed.
      const rows = inventory.snapshots.map((each: Inventory) => ({ ...EMPTY, ...each }));
      const snapshots = await toInventories(parts.database.sql, VolumeSnapshot, rows, restrict);
      inventory.snapshots = snapshots;
      inventory.tree = asTree(snapshots as unknown as Node[]);
    }
  };
}
