/** Secrets as they are kept: AES-256-GCM, bound to what they belong to, under a key that is not where they are. */
import {
  createCipheriv,
  createDecipheriv,
  createHmac,
  hkdfSync,
  randomBytes,
  timingSafeEqual,
} from 'node:crypto';
import { IngotError } from './errors.ts';

/** Bytes of a key. */
export const SECRET_KEY_BYTES = 32;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
/** Says how the rest is to be read. */
const FORM = 'aes-256-gcm:';
const SIGNATURE = 'hmac-sha256:';

export class SecretBox {
  readonly #findKey: (making: boolean) => Buffer | undefined;
  #key: Buffer | undefined;

  /** `findKey` is asked when the key is first needed; with `making` it may make one where there is none. */
  constructor(findKey: (making: boolean) => Buffer | undefined) {
    this.#findKey = findKey;
  }

  /** The text as it may be kept. `owner` is what it belongs to: what was sealed for one can't be opened for another. */
  seal(text: string, owner: string): string {
    const nonce = randomBytes(NONCE_BYTES);
    const cipher = createCipheriv('aes-256-gcm', this.#keyFor(true), nonce, { authTagLength: TAG_BYTES });
    cipher.setAAD(Buffer.from(owner));
    const sealed = Buffer.concat([nonce, cipher.update(text, 'utf8'), cipher.final(), cipher.getAuthTag()]);
    return FORM + sealed.toString('base64');
  }

  /** SYS.1006 where the key is another one, or what was kept is damaged. */
  open(kept: string, owner: string): string {
    try {
      if (!kept.startsWith(FORM)) throw new Error(`it does not begin with ${FORM}`);
      const sealed = Buffer.from(kept.slice(FORM.length), 'base64');
      const nonce = sealed.subarray(0, NONCE_BYTES);
      const decipher = createDecipheriv('aes-256-gcm', this.#keyFor(false), nonce, {
        authTagLength: TAG_BYTES,
      });
      decipher.setAAD(Buffer.from(owner));
      decipher.setAuthTag(sealed.subarray(-TAG_BYTES));
      const text = decipher.update(sealed.subarray(NONCE_BYTES, -TAG_BYTES), undefined, 'utf8');
      return text + decipher.final('utf8');
    } catch (cause) {
      throw new IngotError('SYS.1006', `the secrets of ${owner} can't be read with this key`, {
        cause,
        elaboration:
          "Give the key that they were written with (INGOT_SECRET_KEY, or the file 'secret-key' of the data directory), or give the secrets again.",
      });
    }
  }

  /** A signature of the text that is good for this purpose alone. */
  sign(text: string, purpose: string): string {
    return `${SIGNATURE}${hmac(this.#keyFor(true), purpose, text).toString('base64url')}`;
  }

  /** Whether `signature` is what `sign` gives; never with another key, or with none. */
  isSigned(text: string, signature: string, purpose: string): boolean {
    this.#key ??= this.#findKey(false);
    if (!this.#key || !signature.startsWith(SIGNATURE)) return false;
    const given = Buffer.from(signature.slice(SIGNATURE.length), 'base64url');
    const right = hmac(this.#key, purpose, text);
    return given.length === right.length && timingSafeEqual(given, right);
  }

  #keyFor(making: boolean): Buffer {
    this.#key ??= this.#findKey(making);
    if (!this.#key) throw new Error('there is no key');
    return this.#key;
  }
}

/** Under a key of its own for each purpose, and never under the one that seals. */
function hmac(key: Buffer, purpose: string, text: string): Buffer {
  const own = hkdfSync('sha256', key, '', `sign ${purpose}`, SECRET_KEY_BYTES);
  return createHmac('sha256', Buffer.from(own)).update(text, 'utf8').digest();
}
