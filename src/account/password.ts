/** Passwords come as the SHA-512 of what the user types, and are stored as scrypt over that. */
import { createHash, randomBytes, type ScryptOptions, scrypt, timingSafeEqual } from 'node:crypto';
import { promisify } from 'node:util';

const derive = promisify<Buffer, Buffer, number, ScryptOptions, Buffer>(scrypt);

// About 50 ms and 16 MiB for one derivation.
const COST = { N: 16_384, r: 8, p: 1 };
const KEY_BYTES = 32;

/** What the wire carries for a typed password: lower-case hex SHA-512. */
export function sha512(password: string): string {
  return createHash('sha512').update(password, 'utf8').digest('hex');
}

/** `scrypt:N:r:p:salt:key`, the last two in base64url. */
export async function hashPassword(sha512Hex: string): Promise<string> {
  const salt = randomBytes(16);
  const key = await derive(Buffer.from(sha512Hex.toLowerCase()), salt, KEY_BYTES, COST);
  return ['scrypt', COST.N, COST.r, COST.p, salt.toString('base64url'), key.toString('base64url')].join(':');
}

/** Whether the password is the one that was hashed; takes the same time either way. */
export async function verifyPassword(sha512Hex: string, hash: string): Promise<boolean> {
  const [, N, r, p, salt = '', key = ''] = hash.split(':');
  const expected = Buffer.from(key, 'base64url');
  const cost = { N: Number(N), r: Number(r), p: Number(p) };
  const actual = await derive(
    Buffer.from(sha512Hex.toLowerCase()),
    Buffer.from(salt, 'base64url'),
    expected.length,
    cost,
  );
  return timingSafeEqual(actual, expected);
}
