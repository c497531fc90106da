/** One request at a time for each upload; a new one asks the one before it to stop. */
import { ERRORS, type Lock, type Locker } from '@tus/server';

/** How long the one before may take to stop, in milliseconds: longer than the protocol's server gives it. */
const PATIENCE = 20_000;

interface Held {
  stop: () => void;
  released: Promise<void>;
  release: () => void;
}

export class UploadLocks implements Locker {
  readonly #held = new Map<string, Held>();

  newLock(id: string): Lock {
    let mine: Held | undefined;
    return {
      lock: async (signal, stop) => {
        const deadline = performance.now() + PATIENCE;
        for (let held = this.#held.get(id); held; held = this.#held.get(id)) {
          held.stop();
          await released(held, deadline - performance.now(), signal);
        }
        const { promise, resolve } = Promise.withResolvers<void>();
        mine = { stop, released: promise, release: resolve };
        this.#held.set(id, mine);
      },
      unlock: async () => {
        if (this.#held.get(id) === mine) this.#held.delete(id);
        mine?.release();
      },
    };
  }
}

async function released(held: Held, milliseconds: number, signal: AbortSignal): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    const refuse = () => reject(ERRORS.ERR_LOCK_TIMEOUT);
    timer = setTimeout(refuse, Math.max(0, milliseconds));
    signal.addEventListener('abort', refuse, { once: true });
  });
  late.catch(() => {});
  try {
    await Promise.race([held.released, late]);
  } finally {
    clearTimeout(timer);
  }
}
