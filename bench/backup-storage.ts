/** 1 GiB to each kind of backup storage and back, beside what the system's own programs take for the same. */
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { localBackupStorage } from '../src/backup-storage/local/driver.ts';
import { sftpBackupStorage } from '../src/backup-storage/sftp/driver.ts';
import { newUuid } from '../src/kernel/uuid.ts';
import { runProgram } from '../test/support/program.ts';
import { type Sshd, startSshd } from '../test/support/sshd.ts';
import type { Options } from './main.ts';
import { loadAverage } from './support/machine.ts';
import { atMost, median, type Reach } from './support/reach.ts';
import { scratchDirectory } from './support/scratch.ts';
import { printTable } from './support/table.ts';

const MIB = 1024 * 1024;
const BYTES = 1024 * MIB;
const ROUNDS = 5;
const MOST_MEMORY = 200;

interface Measured {
  seconds: number;
  /** Bytes; of the process with the driver only. */
  memory?: number;
}

interface Scene {
  file: string;
  back: string;
  far: string;
  sshd: Sshd;
  local: object;
  sftp: object;
}

const source = (path: string) => join(import.meta.dirname, '..', 'src', 'backup-storage', path, 'driver.ts');

/** Each direction of a store follows its reference. */
const SUBJECTS: Record<string, (scene: Scene) => Promise<Measured>> = {
  'cp, sync': ({ file, far }) =>
    timed(async () => {
      await runProgram('cp', [file, `${far}.copy`]);
      await runProgram('sync', [`${far}.copy`]);
    }),
  'local, put': ({ local, file }) => copy('local', 'localBackupStorage', local, 'put', file),
  'local, get': ({ local, back }) => copy('local', 'localBackupStorage', local, 'get', back),
  'sftp -f, put': (scene) => bySftp(scene, `put -f "${scene.file}" "${scene.far}.copy"`),
  'SFTP, put': ({ sftp, file }) => copy('sftp', 'sftpBackupStorage', sftp, 'put', file),
  'SFTP, put, digest checked': ({ sftp, file }) =>
    copy('sftp', 'sftpBackupStorage', sftp, 'put-checked', file),
  'sftp -f, get': (scene) => bySftp(scene, `get -f "${scene.far}.copy" "${scene.back}"`),
  'SFTP, get': ({ sftp, back }) => copy('sftp', 'sftpBackupStorage', sftp, 'get', back),
};
const NAMES = Object.keys(SUBJECTS);

export async function backupStorage({ rounds = ROUNDS }: Options): Promise<Reach[]> {
  const directory = scratchDirectory();
  const keys = join(directory, 'keys');
  mkdirSync(keys);
  const sshd = await startSshd({ keys });
  try {
    const scene = await prepare(directory, sshd);
    const results = new Map<string, Measured[]>(NAMES.map((name) => [name, []]));
    for (let round = 1; round <= rounds; round++) {
      const line: string[] = [];
      for (const [name, subject] of Object.entries(SUBJECTS)) {
        // Nobody pays for writing back what the one before has left.
        await runProgram('sync', []);
        const measured = await subject(scene);
        results.get(name)?.push(measured);
        line.push(measured.seconds.toFixed(2));
      }
      console.log(`round ${round}: ${line.join('  ')} s  (load ${loadAverage()})`);
    }
    return report(results, rounds);
  } finally {
    await sshd.stop();
  }
}

async function prepare(directory: string, sshd: Sshd): Promise<Scene> {
  const file = join(directory, 'file');
  const target = await open(file, 'w');
  for (let written = 0; written < BYTES; written += 16 * MIB) await target.write(randomBytes(16 * MIB));
  await target.close();
  const { host, port, username, privateKey } = sshd;
  const local = { root: join(directory, 'local'), uuid: newUuid() };
  const sftp = {
    root: join(directory, 'sftp'),
    uuid: newUuid(),
    server: { host, port, username, privateKey },
  };
  for (const driver of [localBackupStorage(local), sftpBackupStorage(sftp)]) {
    await driver.initialise();
    await driver.close();
  }
  const known = join(directory, 'keys', 'known_hosts');
  writeFileSync(known, await runProgram('ssh-keyscan', ['-p', `${port}`, host]));
  return { file, back: join(directory, 'back'), far: join(directory, 'far'), sshd, local, sftp };
}

async function bySftp({ sshd, back }: Scene, command: string): Promise<Measured> {
  const { host, port, username, keys } = sshd;
  const options = ['-q', '-b', '-', '-P', `${port}`, '-i', join(keys, 'user')];
  const known = ['-o', `UserKnownHostsFile=${join(keys, 'known_hosts')}`, '-o', 'IdentitiesOnly=yes'];
  const measured = await timed(async () => {
    await runProgram('sftp', [...options, ...known, `${username}@${host}`], { input: `${command}\n` });
  });
  rmSync(back, { force: true });
  return measured;
}

async function copy(
  folder: string,
  factory: string,
  options: object,
  direction: string,
  file: string,
): Promise<Measured> {
  const script = fileURLToPath(new URL('./support/store-copy.ts', import.meta.url));
  const line = [script, source(folder), factory, JSON.stringify(options), direction, file];
  const { stdout } = await promisify(execFile)(process.execPath, line);
  return JSON.parse(stdout);
}

async function timed(act: () => Promise<void>): Promise<Measured> {
  const began = performance.now();
  await act();
  return { seconds: (performance.now() - began) / 1000 };
}

function report(results: ReadonlyMap<string, Measured[]>, rounds: number): Reach[] {
  const seconds = (name: string) => median((results.get(name) ?? []).map((one) => one.seconds));
  const memory = (name: string) => Math.max(...(results.get(name) ?? []).map((one) => one.memory ?? 0)) / MIB;
  const reference = (name: string) =>
    name.startsWith('SFTP, get') ? 'sftp -f, get' : name.startsWith('SFTP') ? 'sftp -f, put' : 'cp, sync';
  const ours = NAMES.filter((name) => /^(local|SFTP)/.test(name));
  console.log(
    `\nMedian of ${rounds} rounds, seconds for 1 GiB; memory: largest of the process with the driver.\n`,
  );
  printTable(
    ['', 'median', '× reference', 'memory'],
    NAMES.map((name) => [
      name,
      `${seconds(name).toFixed(2)} s`,
      ours.includes(name) ? (seconds(name) / seconds(reference(name))).toFixed(2) : '',
      ours.includes(name) ? `${memory(name).toFixed(0)} MiB` : '',
    ]),
  );
  return ours.flatMap((name) => [
    ...(name.endsWith('checked')
      ? []
      : [atMost(name, seconds(name) / seconds(reference(name)), 1.3, `× ${reference(name)}`)]),
    atMost(`${name}, memory`, memory(name), MOST_MEMORY, 'MiB', 0),
  ]);
}
