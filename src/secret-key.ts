/** Where the key comes from that secrets are kept under: the environment, or a file that its owner alone may read. */
import { randomBytes } from 'node:crypto';
import { closeSync, fsyncSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import type { Config } from './config.ts';
import { IngotError, isSystemError } from './kernel/errors.ts';
import { SECRET_KEY_BYTES, SecretBox } from './kernel/secret-box.ts';

/** The file is made when the first secret is to be kept; with INGOT_SECRET_KEY there is none. */
export function secretBoxOf({ data, secretKey }: Pick<Config, 'data' | 'secretKey'>): SecretBox {
  if (secretKey !== '') {
    const key = parseSecretKey(secretKey);
    return new SecretBox(() => key);
  }
  return new SecretBox(
    (making) => readKey(data.secretKeyFile) ?? (making ? makeKey(data.secretKeyFile) : undefined),
  );
}

/** 64 hex digits, or base64 of 32 bytes. SYS.1007 for anything else, which the sentence does not repeat. */
export function parseSecretKey(text: string): Buffer {
  const key = Buffer.from(text.trim(), /^[0-9a-f]{64}$/i.test(text.trim()) ? 'hex' : 'base64');
  if (key.length === SECRET_KEY_BYTES) return key;
  throw new IngotError(
    'SYS.1007',
    'the secret key must be 64 hex digits, or 32 bytes in base64, and what was given is neither',
    { elaboration: "'openssl rand -hex 32' makes one." },
  );
}

function readKey(file: string): Buffer | undefined {
  try {
    return parseSecretKey(readFileSync(file, 'utf8'));
  } catch (error) {
    if (isSystemError(error) && error.code === 'ENOENT') return undefined;
    throw error;
  }
}

/** On the disk before the first secret is: without it, that could never be read again. */
function makeKey(file: string): Buffer {
  const key = randomBytes(SECRET_KEY_BYTES);
  const handle = openSync(file, 'wx', 0o600);
  try {
    writeFileSync(handle, `${key.toString('hex')}\n`);
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
  return key;
}
