/** The service's end, in order: no more calls, no more work, and then what these stood on. */
import { setTimeout as delay } from 'node:timers/promises';
import type { FastifyInstance } from 'fastify';
import type { BackupStorages } from './backup-storage/backup-storages.ts';
import type { Config } from './config.ts';
import type { Database } from './database/database.ts';
import type { JobRunner } from './job/runner.ts';
import type { Node } from './management-node/node.ts';
import type { PrimaryStorages } from './primary-storage/primary-storages.ts';
import type { Trash } from './primary-storage/trash.ts';
import type { Hypervisor } from './vm/hypervisor.ts';

/** How long calls under way may take to be answered when the service stops, in milliseconds. */
const CALLS_GRACE = 1000;
/** How long short work may take to end when the service stops, in milliseconds. */
export const GRACE = 7000;

/** Lets calls and short work end, and leaves long jobs for the next start. */
export async function stop(parts: {
  app: FastifyInstance;
  runner: JobRunner;
  node: Node;
  storages: BackupStorages;
  primaryStorages: PrimaryStorages;
  hypervisor: Hypervisor;
  trash: Trash;
  database: Database;
  config: Config;
  /** Ends what runs in the background. */
  stopping: AbortController;
  describing: Promise<void>;
}): Promise<void> {
  parts.stopping.abort();
  await closeApp(parts.app);
  await parts.runner.stop(GRACE);
  await parts.node.stop();
  const rest = Promise.all([parts.describing, parts.trash.stop()]);
  await Promise.race([rest, delay(CALLS_GRACE, undefined, { ref: false })]);
  await parts.storages.close();
  await parts.primaryStorages.close();
  await parts.hypervisor.close();
  await parts.database.close();
  await parts.config.data.unlock();
}

/** Lets calls under way be answered, for as long as that is bearable. */
export async function closeApp(app: FastifyInstance): Promise<void> {
  const late = setTimeout(() => app.server.closeAllConnections(), CALLS_GRACE);
  await app.close();
  clearTimeout(late);
}
