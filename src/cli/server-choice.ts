/** Which service a call goes to. */
import { resolve } from 'node:path';
import { DataDirectory, defaultDataDirectory } from '../data-directory.ts';
import { IngotError } from '../kernel/errors.ts';
import { Ending, usageError } from './exit-codes.ts';
import { fetchOverHttp, knowBy, NotReached } from './http.ts';
import type { Options } from './options.ts';

/** Starts a service on a data directory, for as long as it is needed. */
export type StartService = (data: string) => Promise<{ address: string; stop(): Promise<void> }>;

export interface Server {
  /** `http://127.0.0.1:8080`, without a slash at its end. */
  readonly address: string;
  readonly data: DataDirectory;
  /** True where it is the service on `data`, whose administrator's password may be used. */
  readonly ours: boolean;
  /** True where the user named the address, and no other one is meant. */
  readonly named?: boolean;
  /** Set where the service was started for this command. */
  readonly stop?: () => Promise<void>;
}

const STANDARD = 'http://127.0.0.1:8080';

/** How long a service that has the data directory may take to say where it listens, in milliseconds. */
const START_TIME = 10_000;

export interface Choice {
  options: Pick<Options, 'server' | 'data'>;
  environment: NodeJS.ProcessEnv;
  startService?: StartService | undefined;
  signal: AbortSignal;
}

/** --server, INGOT_SERVER, the service on the data directory, a new one on it, the standard address. */
export async function chooseServer({ options, environment, startService, signal }: Choice): Promise<Server> {
  const data = dataDirectoryOf(options, environment);
  const given = options.server ?? (environment.INGOT_SERVER || undefined);
  if (given !== undefined) {
    const address = readAddress(given, options.server === undefined ? 'INGOT_SERVER' : '--server');
    return { address, data, ours: address === (await data.address()), named: true };
  }
  const running = await runningOn(data, signal);
  if (running !== undefined) return { address: running, data, ours: true };
  if (!startService) return { address: STANDARD, data, ours: false };
  try {
    const service = await startService(data.path);
    return { address: service.address, data, ours: true, stop: () => service.stop() };
  } catch (error) {
    if (!(error instanceof IngotError) || error.code !== 'SYS.1006') throw error;
    // Another process has the directory: it may be starting this very moment.
    const address = await appearing(data, signal);
    if (address === undefined) throw error;
    return { address, data, ours: true };
  }
}

export function dataDirectoryOf(
  options: Pick<Options, 'data'>,
  environment: NodeJS.ProcessEnv,
): DataDirectory {
  return new DataDirectory(
    resolve(options.data ?? (environment.INGOT_DATA || defaultDataDirectory(environment))),
  );
}

/** Where the service on the directory listens. The file outlives a service that was killed, so it is asked. */
async function runningOn(data: DataDirectory, signal: AbortSignal): Promise<string | undefined> {
  const address = await data.address();
  if (address === undefined) return undefined;
  const certificate = await data.certificate();
  if (certificate !== undefined) knowBy(address, certificate);
  try {
    await fetchOverHttp(`${address}/healthz`, { signal });
    return address;
  } catch (error) {
    if (error instanceof NotReached) return undefined;
    throw error;
  }
}

async function appearing(data: DataDirectory, signal: AbortSignal): Promise<string | undefined> {
  const deadline = performance.now() + START_TIME;
  while (performance.now() < deadline) {
    const address = await runningOn(data, signal);
    if (address !== undefined) return address;
    await new Promise((done) => setTimeout(done, 100));
  }
  return undefined;
}

function readAddress(written: string, where: string): string {
  const text = written.includes('://') ? written : `http://${written}`;
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (!url || !/^https?:$/.test(url.protocol)) {
    throw usageError(`${where} must be a URL such as http://127.0.0.1:8080, but is '${written}'`);
  }
  if (url.username || url.password)
    throw new Ending(2, `${where} must not hold a password; use 'ingot login'`);
  return url.origin + url.pathname.replace(/\/+$/, '');
}
