/**
 * The service in a process of its own that can be told, over the channel to its parent, at which step from now on
 * it shall die, fail or be held up. Argument: the data directory.
 */
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { readConfig } from '../../src/config.ts';
import { IngotError } from '../../src/kernel/errors.ts';
import { createLog } from '../../src/kernel/log.ts';
import { startService } from '../../src/server.ts';
import { inputOutputError, watchDisk } from '../support/disk-operations.ts';

/**
 * What happens at a step: the process dies, the step fails as a broken disk or a full one does, or takes longer. For
 * `eio` the steps are what is done with files, one by one, and one of these fails.
 */
export type Act = 'kill' | 'break' | 'fill' | 'delay' | 'eio';

export interface Order {
  act: Act;
  /** 1 for the first step after the order. */
  at: number;
}

export type Report = { ready: string } | { armed: true } | { steps: string[] };

const DELAY = 150;

let order: Order | undefined;
let steps: string[] = [];

async function onStep(step: string): Promise<void> {
  if (!order || order.act === 'eio') return;
  steps.push(step);
  if (steps.length !== order.at) return;
  switch (order.act) {
    case 'kill':
      process.kill(process.pid, 'SIGKILL');
      // The signal is on its way; nothing may happen in between.
      return new Promise(() => {});
    case 'break':
      throw new IngotError('SYS.1016', `EIO, as told, at step ${order.at}: ${step}`, { retryable: true });
    case 'fill':
      throw new IngotError('BS.1006', `ENOSPC, as told, at step ${order.at}: ${step}`, { retryable: true });
    case 'delay':
      return sleep(DELAY);
  }
}

function onDiskOperation(operation: string): void {
  if (order?.act !== 'eio') return;
  steps.push(operation);
  if (steps.length === order.at) throw inputOutputError(operation);
}

process.on('message', (message: Order | 'steps') => {
  if (message === 'steps') return send({ steps });
  order = message;
  steps = [];
  send({ armed: true });
});
const send = (report: Report) => process.send?.(report);

process.umask(0o027);
const data = process.argv[2] ?? '';
// Further storages of a scenario lie beside the data.
await watchDisk(dirname(data), onDiskOperation);
const config = readConfig(['--data', data, '--listen', '127.0.0.1:0', '--job-lease', '1'], {});
const service = await startService(config, createLog('silent'), onStep);
process.on('SIGTERM', async () => {
  await service.stop();
  process.exit(0);
});
send({ ready: service.address });
