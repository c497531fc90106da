/**
 * Can this host run guests by KVM? There are machines where /dev/kvm opens, the firmware runs, and the first
 * operating system dies of an internal error. So a guest is really started that does what each operating system does
 * first, and only when it says that it has come through is KVM used.
 */
import { spawn } from 'node:child_process';
import { constants } from 'node:fs';
import { access, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isSystemError } from '../../kernel/errors.ts';
import { Qmp } from './qmp.ts';

export interface Accelerator {
  accelerator: 'kvm' | 'tcg';
  acceleratorReason: string;
}

/** How long the probe may take, in milliseconds; a sound KVM needs a tenth of that. */
const PATIENCE = 5000;

/**
 * A boot sector: 16-bit real mode, 32-bit protected mode, a return from interrupt, page tables, 64-bit long mode;
 * there it writes a K to port 0xE9 and halts.
 *
 *   cli; load the GDT; CR0.PE; far jump                      fa31c0…1800
 *   segments; push flags, CS, EIP; iretd                     66b81000…cf
 *   zero and fill PML4, PDPT, PD at 0x1000; CR3, CR4.PAE     bf001000…22e0
 *   EFER.LME; CR0.PG; far jump to 64-bit code                b9800000c0…1800
 *   mov al,'K'; out 0xE9,al; hlt; the GDT                    b04be6e9f4…
 */
const BOOT_SECTOR = [
  'fa31c08ed88ec08ed0bc007c660f0116c07c0f20c00c010f22c066ea227c0000080066b810008ed88ec08ed0bc007c00009c6a0868',
  '3a7c0000cfbf0010000031c0b9000c0000fcf3abc7050010000003200000c7050020000003300000c7050030000083000000b80010',
  '00000f22d80f20e083c8200f22e0b9800000c00f320d000100000f300f20c00d000000800f22c0ea987c00001800b04be6e9f4ebfd',
  '900000000000000000ffff0000009acf00ffff00000092cf00ffff0000009aaf001f00a07c',
].join('');

function bootSector(): Buffer {
  const sector = Buffer.alloc(512);
  Buffer.from(BOOT_SECTOR, 'hex').copy(sector);
  sector.writeUInt16LE(0xaa55, 510);
  return sector;
}

/** What to run guests by; `program` is the QEMU. */
export async function chooseAccelerator(
  program: string,
  wanted: 'auto' | 'kvm' | 'tcg',
  signal?: AbortSignal,
): Promise<Accelerator> {
  if (wanted !== 'auto') return { accelerator: wanted, acceleratorReason: 'the configuration says so' };
  try {
    await access('/dev/kvm', constants.R_OK | constants.W_OK);
  } catch (error) {
    const why =
      isSystemError(error) && error.code === 'ENOENT' ? 'is not there' : 'may not be used by this user';
    return { accelerator: 'tcg', acceleratorReason: `/dev/kvm ${why}` };
  }
  const failure = await probe(program, 'kvm', signal);
  return failure === undefined
    ? { accelerator: 'kvm', acceleratorReason: 'a probe has run by it' }
    : { accelerator: 'tcg', acceleratorReason: `KVM was tried and failed: ${failure}` };
}

/** What went wrong when a guest was started, or undefined. */
export async function probe(
  program: string,
  accelerator: 'kvm' | 'tcg',
  signal?: AbortSignal,
): Promise<string | undefined> {
  const directory = await mkdtemp(join(tmpdir(), 'ingot-probe-'));
  try {
    await writeFile(join(directory, 'disk'), bootSector());
    return await runProbe(program, accelerator, directory, signal);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

async function runProbe(
  program: string,
  accelerator: string,
  directory: string,
  signal?: AbortSignal,
): Promise<string | undefined> {
  const line = [
    '-accel',
    accelerator,
    '-machine',
    'pc,usb=off',
    '-m',
    '32M',
    '-nodefaults',
    '-no-user-config',
  ];
  line.push('-display', 'none', '-no-reboot', '-drive', 'file=disk,format=raw,if=ide');
  line.push('-chardev', 'stdio,id=out', '-device', 'isa-debugcon,iobase=0xe9,chardev=out');
  line.push(
    '-chardev',
    'socket,id=monitor,path=qmp.sock,server=on,wait=off',
    '-mon',
    'chardev=monitor,mode=control',
  );
  const child = spawn(program, line, {
    cwd: directory,
    env: { PATH: process.env.PATH, LC_ALL: 'C' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let words = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    words = (words + text).slice(0, 4096);
  });
  const ended = new Promise<string>((resolve) => {
    child.once('error', (error) => resolve(error.message));
    child.once('close', (code) => resolve(firstLine(words) ?? `QEMU ended with code ${code}`));
  });
  const through = new Promise<undefined>((resolve) => {
    child.stdout.on('data', (bytes: Buffer) => {
      if (bytes.includes('K')) resolve(undefined);
    });
  });
  const over = new AbortController();
  const late = new Promise<string>((resolve) => {
    const timer = setTimeout(() => resolve(`a probe did not come through in ${PATIENCE / 1000} s`), PATIENCE);
    over.signal.addEventListener('abort', () => clearTimeout(timer));
  });
  const stop = () => child.kill('SIGKILL');
  signal?.addEventListener('abort', stop);
  if (signal?.aborted) stop();
  const broken = internalError(directory, over.signal).then(() => firstLine(words) ?? 'internal error');
  try {
    return await Promise.race([through, ended, late, broken]);
  } finally {
    signal?.removeEventListener('abort', stop);
    over.abort();
    child.kill('SIGKILL');
    await ended;
  }
}

const firstLine = (words: string) =>
  words
    .split('\n')
    .map((line) => line.trim())
    .find((line) => line !== '' && !line.includes('warning:'));

/** Fulfilled when the guest has died of what the hypervisor could not do for it. */
async function internalError(directory: string, over: AbortSignal): Promise<void> {
  let qmp: Qmp | undefined;
  while (!over.aborted) {
    try {
      qmp ??= await Qmp.open(join(directory, 'qmp.sock'));
      const { status } = await qmp.run<{ status: string }>('query-status');
      if (status === 'internal-error') {
        qmp.close();
        return;
      }
    } catch {
      qmp = undefined;
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  qmp?.close();
  await new Promise(() => {});
}
