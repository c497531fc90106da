/** What QEMU is asked about the disks of a machine that runs. */
import { sleep } from '../../kernel/clock.ts';
import { IngotError } from '../../kernel/errors.ts';
import type { Disk } from '../hypervisor.ts';
import { blockNodes, CD, deviceOf, diskDevice, nodeOf } from './command-line.ts';
import type { Qmp, QmpEvent } from './qmp.ts';

interface BlockDevice {
  /** `/machine/peripheral/disk-…/virtio-backend`, or without the last part. */
  qdev?: string;
  inserted?: { 'node-name': string; file: string };
}

interface NamedNode {
  'node-name': string;
  file: string;
  drv: string;
}

/** How long a guest may take to let go of a disk, in milliseconds. */
const UNPLUG = 15_000;
/** How long `settle` is tried again while the guest is held, and how often, in milliseconds. */
const SETTLE = 4000;
const SETTLE_AGAIN = 200;

/** The topmost node of a disk that the machine has, and the file behind it. */
async function topOf(qmp: Qmp, diskUuid: string): Promise<{ node: string; file: string } | undefined> {
  const device = deviceOf(diskUuid);
  for (const { qdev = '', inserted } of await qmp.run<BlockDevice[]>('query-block')) {
    if (!qdev.split('/').includes(device) || !inserted) continue;
    return { node: inserted['node-name'], file: plainName(inserted.file) };
  }
  return undefined;
}

/** Where options can't be told by a name alone QEMU gives all of them as JSON. */
function plainName(name: string): string {
  if (!name.startsWith('json:')) return name;
  const options = JSON.parse(name.slice('json:'.length)) as {
    filename?: string;
    file?: { filename?: string };
  };
  return options.file?.filename ?? options.filename ?? name;
}

export async function layerOf(qmp: Qmp, diskUuid: string): Promise<string | undefined> {
  return (await topOf(qmp, diskUuid))?.file;
}

export async function attach(qmp: Qmp, disk: Disk): Promise<void> {
  if (await topOf(qmp, disk.uuid)) return;
  const nodes = blockNodes(disk);
  await dropNodes(qmp, disk.uuid);
  try {
    for (const node of nodes) await qmp.run('blockdev-add', node);
    await qmp.run('device_add', diskDevice(true, disk, 0));
  } catch (error) {
    await dropNodes(qmp, disk.uuid);
    throw error;
  }
}

export async function detach(qmp: Qmp, diskUuid: string, signal?: AbortSignal): Promise<void> {
  if (await topOf(qmp, diskUuid)) {
    const device = deviceOf(diskUuid);
    const gone = expect(
      qmp,
      ({ event, data }) => event === 'DEVICE_DELETED' && data.device === device,
      UNPLUG,
      signal,
    );
    try {
      // One that was asked before and is just letting go says so; that is as good.
      await qmp.run('device_del', { id: device }).catch((error) => {
        if (!/in the process of unplug/.test(String(error))) throw error;
      });
    } catch (error) {
      gone.catch(() => {});
      throw error;
    }
    if (!(await gone) && (await topOf(qmp, diskUuid))) {
      throw new IngotError(
        'SYS.1001',
        `the guest did not let go of the disk within ${UNPLUG / 1000} s; is its operating system up, and the disk not mounted?`,
        { retryable: true },
      );
    }
  }
  await dropNodes(qmp, diskUuid);
}

/** The nodes that we have named, from the topmost down; those below them go by themselves. */
async function dropNodes(qmp: Qmp, diskUuid: string): Promise<void> {
  const names = new Set((await nodes(qmp)).map((node) => node['node-name']));
  for (const node of blockNodes({ uuid: diskUuid, file: '', deviceId: 1 }).reverse()) {
    const name = node['node-name'] as string;
    if (names.has(name)) await qmp.run('blockdev-del', { 'node-name': name });
  }
}

const nodes = (qmp: Qmp) => qmp.run<NamedNode[]>('query-named-block-nodes', { flat: true });

export async function switchLayer(qmp: Qmp, diskUuid: string, to: string): Promise<void> {
  const top = await topOf(qmp, diskUuid);
  if (!top) throw noSuchDisk(diskUuid);
  if (top.file === to) return;
  // Each name is used once in a machine's life.
  const taken = new Set((await nodes(qmp)).map((node) => node['node-name']));
  let number = 1;
  while (taken.has(`${nodeOf(diskUuid)}-${number}`)) number++;
  await qmp.run('blockdev-snapshot-sync', {
    'node-name': top.node,
    'snapshot-file': to,
    'snapshot-node-name': `${nodeOf(diskUuid)}-${number}`,
    format: 'qcow2',
    mode: 'existing',
  });
}

export async function foldLayer(
  qmp: Qmp,
  diskUuid: string,
  into: string,
  settle: () => Promise<void>,
  signal?: AbortSignal,
): Promise<void> {
  const top = await topOf(qmp, diskUuid);
  if (!top) throw noSuchDisk(diskUuid);
  if (top.file === into) return settle();
  const base = (await nodes(qmp)).find(({ drv, file }) => drv === 'qcow2' && plainName(file) === into);
  if (!base)
    throw new IngotError('SYS.1016', `the disk does not stand on ${into}, which it should be put into`);
  const job = `fold-${diskUuid.slice(0, 24)}`;
  const became = (status: string) => (event: QmpEvent) =>
    event.event === 'JOB_STATUS_CHANGE' &&
    event.data.id === job &&
    (event.data.status === status || event.data.status === 'concluded' || event.data.status === 'null');
  // A job of an earlier process of ours may be under way.
  const running = (await qmp.run<{ id: string; status: string }[]>('query-jobs')).find(
    ({ id }) => id === job,
  );
  if (running?.status !== 'ready') {
    const ready = expect(qmp, became('ready'), Number.POSITIVE_INFINITY, signal);
    if (!running) {
      await qmp
        .run('block-commit', { 'job-id': job, device: top.node, 'base-node': base['node-name'] })
        .catch((error) => {
          ready.catch(() => {});
          throw error;
        });
    }
    await ready.catch(async (error) => {
      await qmp.run('job-cancel', { id: job }).catch(() => {});
      throw error;
    });
  }
  await qmp.run('stop');
  const done = expect(qmp, became('concluded'), 30_000);
  let refusal: unknown;
  await qmp.run('job-complete', { id: job }).catch((error) => {
    done.catch(() => {});
    refusal = error;
  });
  // What has neither ended nor been refused may still come to its end.
  const isDecided = refusal !== undefined || (await done);
  const now = await layerOf(qmp, diskUuid);
  if (now !== into) {
    if (isDecided) await qmp.run('cont');
    throw (
      refusal ??
      new IngotError(
        'SYS.1016',
        `QEMU could not put the layer into ${into}; the guest still writes to ${now}`,
      )
    );
  }
  // A guest that went on before this would write where nobody looks for it.
  await insist(settle);
  await qmp.run('cont');
}

/** Rejects with what the last attempt did when it has failed for some seconds. */
async function insist(work: () => Promise<void>): Promise<void> {
  for (const deadline = performance.now() + SETTLE; ; await sleep(SETTLE_AGAIN)) {
    try {
      return await work();
    } catch (error) {
      if (performance.now() > deadline) throw error;
    }
  }
}

export async function changeCd(qmp: Qmp, file: string | undefined): Promise<void> {
  if (file === undefined) {
    await qmp.run('blockdev-open-tray', { id: CD, force: true });
    await qmp.run('blockdev-remove-medium', { id: CD });
    await qmp.run('blockdev-close-tray', { id: CD });
    return;
  }
  await qmp.run('blockdev-change-medium', {
    id: CD,
    filename: file,
    format: 'raw',
    'read-only-mode': 'read-only',
    force: true,
  });
}

function noSuchDisk(uuid: string): IngotError {
  return new IngotError('SYS.1006', `the virtual machine runs without the volume ${uuid}`, {
    retryable: true,
  });
}

/** Whether such an event came in time. Rejects when the QEMU goes, or the signal comes. */
function expect(
  qmp: Qmp,
  test: (event: QmpEvent) => boolean,
  patience: number,
  signal?: AbortSignal,
): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const finish = (end: () => void) => {
      clearTimeout(timer);
      off();
      signal?.removeEventListener('abort', stop);
      end();
    };
    const timer = Number.isFinite(patience)
      ? setTimeout(() => finish(() => resolve(false)), patience)
      : undefined;
    const off = qmp.on((event) => {
      if (test(event)) finish(() => resolve(true));
    });
    const stop = () => finish(() => reject(signal?.reason));
    signal?.addEventListener('abort', stop, { once: true });
    if (signal?.aborted) stop();
    void qmp.closed.then(() =>
      finish(() =>
        reject(new IngotError('SYS.1016', 'the virtual machine has ended meanwhile', { retryable: true })),
      ),
    );
  });
}
