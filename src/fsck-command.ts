/** `ingot fsck [--repair] [--deep] [--json]`, on a data directory that no service is using. */
import { BackupStorages } from './backup-storage/backup-storages.ts';
import { readConfig } from './config.ts';
import { openDatabase } from './database/database.ts';
import { type Finding, type FsckReport, fsck } from './fsck.ts';
import { createLog } from './kernel/log.ts';
import { PrimaryStorages } from './primary-storage/primary-storages.ts';
import { secretBoxOf } from './secret-key.ts';
import { qemuHypervisor } from './vm/qemu/driver.ts';

const OWN_FLAGS = ['--repair', '--remove-unregistered', '--deep', '--json'];

/** Exit code 0 when all is well, or was removed or corrected; 1 when something is left. */
export async function fsckCommand(
  arguments_: readonly string[],
  environment: NodeJS.ProcessEnv,
): Promise<number> {
  const has = (flag: string) => arguments_.includes(flag);
  const config = readConfig(
    arguments_.filter((argument) => !OWN_FLAGS.includes(argument)),
    environment,
  );
  // Not while a service works on it: what looks stray would be a download under way.
  await config.data.lock({ create: config.databaseUrl !== '' });
  try {
    const database = await openDatabase(config.databaseUrl || config.data.databaseFile);
    const log = createLog('silent');
    const storages = new BackupStorages({ database, log, secrets: secretBoxOf(config) });
    const primaryStorages = new PrimaryStorages({ database, log });
    const hypervisor = qemuHypervisor({ directory: config.data.machines, accelerator: 'tcg', log });
    try {
      const report = await fsck(
        { database, storages, primaryStorages, hypervisor },
        {
          repair: has('--repair') || has('--remove-unregistered'),
          deep: has('--deep'),
          removeUnregistered: has('--remove-unregistered'),
        },
      );
      process.stdout.write(has('--json') ? `${JSON.stringify(report, null, 2)}\n` : describe(report));
      return report.findings.some((finding) => !finding.repaired) ? 1 : 0;
    } finally {
      await storages.close();
      await primaryStorages.close();
      await hypervisor.close();
      await database.close();
    }
  } finally {
    await config.data.unlock();
  }
}

/** What became of something that was repaired: bytes are never mended, only removed. */
const outcomeOf = (kind: Finding['kind']) =>
  kind === 'wrong-capacity' || kind === 'no-description' ? 'corrected' : 'removed';

function describe(report: FsckReport): string {
  const { findings, storages, images, objects, openJobs } = report;
  const lines = findings.map(
    ({ kind, sentence, repaired }) => `${repaired ? outcomeOf(kind) : 'FOUND'}  ${kind}: ${sentence}`,
  );
  const looked = `${images} images, ${storages} storages, ${objects} objects`;
  const jobs = openJobs > 0 ? `; ${openJobs} jobs wait for the next start` : '';
  const left = findings.filter((finding) => !finding.repaired).length;
  lines.push(
    findings.length === 0
      ? `clean: ${looked}${jobs}`
      : `${findings.length} findings, ${left} left${left > 0 ? " ('ingot fsck --repair' removes what is damaged, half done or belongs to nothing, and corrects sums)" : ''}: ${looked}${jobs}`,
  );
  return `${lines.join('\n')}\n`;
}
