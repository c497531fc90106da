/** Passwords come as the SHA-512 of what the user types, and are stored as scrypt over that. */
import { createHash, randomBytes, type ScryptOptions, scrypt, timingSafeEqual } from 'node:crypto';
import { promisify } from 'node:util';
import { FewAtOnce } from './few-at-once.ts';

const scryptAsync = promisify<Buffer, Buffer, number, ScryptOptions, Buffer>(scrypt);

// About 50 ms and 16 MiB for one derivation.
const COST = { N: 16_384, r: 8, p: 1 };
const KEY_BYTES = 32;

/** A quarter of the threads that the service has for all of its files, names and digests (UV_THREADPOOL_SIZE). */
const derivations = new FewAtOnce(4);

/** Who has shown already who he is goes before strangers, however many of them try. */
export interface Turn {
  urgent?: boolean;
}

function derive(password: string, salt: Buffer, bytes: number, cost: ScryptOptions, turn?: Turn) {
  return derivations.run(() => scryptAsync(Buffer.from(password.toLowerCase()), salt, bytes, cost), turn);
}

/** What the wire carries for a typed password: lower-case hex SHA-512. */
export function sha512(password: string): string {
  return createHash('sha512').update(password, 'utf8').digest('hex');
}

/** `scrypt:N:r:p:salt:key`, the last two in base64url. */
export async function hashPassword(sha512Hex: string, turn?: Turn): Promise<string> {
  const salt = randomBytes(16);
  const key = await derive(sha512Hex, salt, KEY_BYTES, COST, turn);
  return ['scrypt', COST.N, COST.r, COST.p, salt.toString('base64url'), key.toString('base64url')].join(':');
}

/** Whether the password is the one that was hashed; takes the same time either way. */
export async function verifyPassword(sha512Hex: string, hash: string, turn?: Turn): Promise<boolean> {
  const [, N, r, p, salt = '', key = ''] = hash.split(':');
  const expected = Buffer.from(key, 'base64url');
  const cost = { N: Number(N), r: Number(r), p: Number(p) };
  const actual = await derive(sha512Hex, Buffer.from(salt, 'base64url'), expected.length, cost, turn);
  return timingSafeEqual(actual, expected);
}
