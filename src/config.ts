/**
 * Every setting, in one place. A setting comes from the command line's flag, else from the environment, else from
 * `config.json` in the data directory, else from its default.
 */
import { readFileSync } from 'node:fs';
import { isAbsolute, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { DataDirectory, defaultDataDirectory } from './data-directory.ts';
import { IngotError, isSystemError } from './kernel/errors.ts';
import { didYouMean } from './kernel/nearest.ts';
import { parseNetwork } from './transfer/address.ts';
import { type EgressRule, parseEgressRules } from './transfer/egress-rules.ts';
import { parseEgressSchemes, SCHEMES } from './transfer/egress-schemes.ts';

interface Setting<T> {
  /** How the value is written, for the help. */
  form: string;
  doc: string;
  default: T;
  read: (text: string) => T;
}

function setting<T>(form: string, doc: string, standard: T, read: (text: string) => T): Setting<T> {
  return { form, doc, default: standard, read };
}

const text = (value: string) => value;

/** The items of a list with commas between. */
export const listed = (value: string) =>
  value
    .split(',')
    .map((item) => item.trim().toLowerCase())
    .filter(Boolean);

function wholeNumber(least: number, most: number) {
  return (value: string) => {
    const number = Number(value);
    if (!Number.isInteger(number) || number < least || number > most) {
      throw new Error(`a whole number from ${least} to ${most} is expected`);
    }
    return number;
  };
}

/** Name → setting. `listen` is `--listen`, `INGOT_LISTEN` and `"listen"` in the file. */
export const SETTINGS = {
  listen: setting('HOST:PORT', 'where to listen; port 0 takes a free one', '127.0.0.1:8080', (value) => {
    splitListen(value);
    return value;
  }),
  publicUrl: setting(
    'URL',
    'what clients reach the service by, such as https://images.example.org; stands in addresses that it gives out',
    '',
    (value) => {
      const url = URL.parse(value);
      if (!url || !/^https?:$/.test(url.protocol) || url.search || url.hash || url.username)
        throw new Error('an http:// or https:// address is expected');
      return value.replace(/\/+$/, '');
    },
  ),
  databaseUrl: setting(
    'URL',
    'postgres://user:password@host/name, for more than one process; by default SQLite in the data directory',
    '',
    text,
  ),
  logLevel: setting(
    'LEVEL',
    'trace, debug, info, warn, error or silent; the log goes to stderr as JSON lines',
    'info',
    (value) => {
      if (!/^(trace|debug|info|warn|error|fatal|silent)$/.test(value))
        throw new Error('trace, debug, info, warn, error or silent is expected');
      return value;
    },
  ),
  stallTimeout: setting(
    'SECONDS',
    'a download without a byte for so long is broken and resumed',
    30,
    wholeNumber(1, 3600),
  ),
  leastRate: setting(
    'BYTES',
    'a download that gives fewer bytes a second over five minutes is given up; 0 for never',
    1024,
    wholeNumber(0, 2 ** 30),
  ),
  parallelJobs: setting('COUNT', 'jobs at once', 32, wholeNumber(1, 1000)),
  jobLease: setting(
    'SECONDS',
    "how long another process waits before it takes over a dead one's jobs",
    15,
    wholeNumber(1, 600),
  ),
  keepJobs: setting('HOURS', 'how long ended jobs can be asked for', 168, wholeNumber(3, 8760)),
  webHookHosts: setting(
    'HOST,…',
    'hosts, or host:port, that calls may have their results sent to (X-Web-Hook); none by default',
    '',
    (value) => {
      const bad = value
        .split(',')
        .find((host) => host !== '' && !/^[\w.-]+(:\d+)?$|^\[[\da-f:.]+\](:\d+)?$/i.test(host.trim()));
      if (bad !== undefined)
        throw new Error(`host names with commas between are expected, and '${bad}' is none`);
      return value;
    },
  ),
  importDirectories: setting(
    'DIR,…',
    'directories whose files administrators may take in with AddImage url=file:///…; none by default',
    '',
    (value) => {
      const bad = value.split(',').find((directory) => !isAbsolute(directory.trim()));
      if (bad !== undefined)
        throw new Error(`absolute paths with commas between are expected, and '${bad}' is none`);
      return value;
    },
  ),
  knownHosts: setting(
    'FILE',
    'the only SSH servers that images are taken from, as in known_hosts of OpenSSH; any by default',
    '',
    text,
  ),
  requestTimeout: setting(
    'SECONDS',
    'how long a caller may take to send a call, its body included',
    60,
    wholeNumber(1, 86_400),
  ),
  answerTimeout: setting(
    'SECONDS',
    'how long a caller may take no byte of an answer or of a download before it is hung up on',
    120,
    wholeNumber(1, 86_400),
  ),
  trustedProxies: setting(
    'NETWORK,…',
    'addresses or networks of reverse proxies, whose X-Forwarded-* headers say who calls; none by default',
    '',
    (value) => {
      for (const network of listed(value))
        if (!parseNetwork(network))
          throw new Error(`'${network}' is no address or network such as 127.0.0.1`);
      return value;
    },
  ),
  tlsCertificate: setting(
    'FILE',
    'certificate with its chain, in PEM; with it, https is served and no http',
    '',
    text,
  ),
  tlsKey: setting('FILE', "the certificate's private key, in PEM", '', text),
  egressAllow: setting(
    'WHERE,…',
    'what downloads, web hooks and storages may connect to: public, private, loopback, networks and host names, each with a :port or without; by default public and private, and loopback where only this machine can call',
    '',
    (value) => {
      parseEgressRules(value);
      return value;
    },
  ),
  egressSchemes: setting(
    'SCHEME,…',
    `schemes by which downloads, web hooks and storages may connect: one or more of ${SCHEMES.join(', ')}`,
    SCHEMES.join(','),
    (value) => {
      parseEgressSchemes(value);
      return value;
    },
  ),
  accelerator: setting(
    'auto|kvm|tcg',
    'what virtual machines run by: KVM, software emulation, or KVM where a probe has run by it',
    'auto' as 'auto' | 'kvm' | 'tcg',
    (value) => {
      if (value !== 'auto' && value !== 'kvm' && value !== 'tcg')
        throw new Error('auto, kvm or tcg is expected');
      return value;
    },
  ),
  caFile: setting('FILE', 'further certificate authorities to trust when downloading, in PEM', '', text),
} as const;

type SettingName = keyof typeof SETTINGS;

export type Config = { [K in SettingName]: (typeof SETTINGS)[K]['default'] } & {
  data: DataDirectory;
  /** INGOT_SECRET_KEY; of the environment alone, as flags are seen by everybody on the machine. Empty for a file's. */
  secretKey: string;
};

const camel = (name: string) => name.replace(/\.(\w)/g, (_, letter: string) => letter.toUpperCase());
const kebab = (name: string) => name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);

export const environmentName = (name: string) => `INGOT_${kebab(name).replaceAll('-', '_').toUpperCase()}`;
export const flagName = (name: string) => `--${kebab(name)}`;

/** Reads the configuration; `arguments_` are the flags. SYS.1007 for what can't be understood, naming where it stands. */
export function readConfig(arguments_: readonly string[], environment: NodeJS.ProcessEnv): Config {
  const names = Object.keys(SETTINGS) as SettingName[];
  const flags = readFlags(arguments_, names);
  const data = new DataDirectory(
    resolve(flags.data ?? environment.INGOT_DATA ?? defaultDataDirectory(environment)),
  );
  const file = readConfigFile(data.configFile);
  const config: Record<string, unknown> = { data, secretKey: environment.INGOT_SECRET_KEY ?? '' };
  for (const name of names) {
    const sources: [string, unknown][] = [
      [flagName(name), flags[kebab(name)]],
      [environmentName(name), environment[environmentName(name)] || undefined],
      [`"${name}" in ${data.configFile}`, file[name]],
    ];
    const [where, value] = sources.find(([, given]) => given !== undefined) ?? ['', undefined];
    config[name] = value === undefined ? SETTINGS[name].default : readSetting(name, where, String(value));
  }
  return config as Config;
}

function readSetting(name: SettingName, where: string, value: string): unknown {
  try {
    return SETTINGS[name].read(value);
  } catch (cause) {
    throw new IngotError('SYS.1007', `${where} is '${value}', but ${(cause as Error).message}`, { cause });
  }
}

function readFlags(
  arguments_: readonly string[],
  names: readonly string[],
): Record<string, string | undefined> {
  const known = ['data', ...names.map(kebab)];
  try {
    return parseArgs({
      args: [...arguments_],
      options: Object.fromEntries(known.map((name) => [name, { type: 'string' as const }])),
    }).values as Record<string, string | undefined>;
  } catch (cause) {
    const flag = /'(--?[\w-]+)/.exec((cause as Error).message)?.[1];
    const hint = flag
      ? didYouMean(
          flag,
          known.map((name) => `--${name}`),
        )
      : '';
    throw new IngotError('SYS.1007', `${(cause as Error).message.split('. ')[0]}${hint}`, { cause });
  }
}

function readConfigFile(path: string): Record<string, unknown> {
  let content: string;
  try {
    content = readFileSync(path, 'utf8');
  } catch (error) {
    if (isSystemError(error) && error.code === 'ENOENT') return {};
    throw error;
  }
  let file: unknown;
  try {
    file = JSON.parse(content);
  } catch (cause) {
    throw new IngotError('SYS.1007', `${path} is not JSON: ${(cause as Error).message}`, { cause });
  }
  if (typeof file !== 'object' || file === null || Array.isArray(file)) {
    throw new IngotError('SYS.1007', `${path} must hold a JSON object`);
  }
  const flat = flattened(file as Record<string, unknown>);
  const unknown = Object.keys(flat).find((name) => !Object.hasOwn(SETTINGS, name));
  if (unknown !== undefined) {
    throw new IngotError(
      'SYS.1007',
      `${path} has the setting '${unknown}', which does not exist${didYouMean(unknown, Object.keys(SETTINGS))}`,
    );
  }
  return flat;
}

/** `{"egress": {"allow": ["public"]}}` and `{"egress.allow": "public"}` are `{"egressAllow": "public"}`. */
function flattened(members: Record<string, unknown>, before = ''): Record<string, unknown> {
  const flat: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(members)) {
    const name = `${before}${before && '.'}${key}`;
    if (Array.isArray(value)) flat[camel(name)] = value.join(',');
    else if (typeof value === 'object' && value !== null)
      Object.assign(flat, flattened(value as Record<string, unknown>, name));
    else flat[camel(name)] = value;
  }
  return flat;
}

/**
 * Where the service may connect to. Unless it is said: not to this machine itself, but where only who is on this machine
 * can call, and so could connect there without us.
 */
export function egressRules(config: Pick<Config, 'egressAllow' | 'listen' | 'trustedProxies'>): EgressRule[] {
  const local = isLoopback(splitListen(config.listen).host) && config.trustedProxies === '';
  return parseEgressRules(config.egressAllow || (local ? 'public,private,loopback' : 'public,private'));
}

const isLoopback = (host: string) => host === 'localhost' || host === '::1' || /^127\.[\d.]+$/.test(host);

/** `127.0.0.1:8080`, `[::1]:8080`, `:8080` for every address. */
export function splitListen(listen: string): { host: string; port: number } {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]]*)):(\d{1,5})$/.exec(listen);
  const port = Number(match?.[3]);
  if (!match || port > 65_535) throw new Error('host:port is expected, such as 127.0.0.1:8080');
  return { host: match[1] ?? (match[2] || '0.0.0.0'), port };
}
