import { type ConnectionOptions, SftpConnection } from './connection.ts';
import { ConnectionLost } from './sftp-error.ts';

/** Connections for bytes at once; past that, transfers share them. */
const MOST = 4;
/** How long one that nobody uses is kept, in milliseconds. */
const IDLE = 30_000;

/** A connection that bytes go over, for as long as it isn't released. */
export interface ConnectionLease {
  readonly connection: SftpConnection;
  release(): void;
}

interface Slot {
  opening: Promise<SftpConnection>;
  connection: SftpConnection | undefined;
  users: number;
  idle: NodeJS.Timeout | undefined;
}

/**
 * The connections to one server: one for what is quickly answered, so that it needn't wait behind bytes, and some for
 * those. Each is opened when it is first needed, and again when it was lost.
 */
export class SftpConnections {
  readonly #options: ConnectionOptions;
  #control: Promise<SftpConnection> | undefined;
  readonly #slots: Slot[] = [];
  #closed = false;

  constructor(options: ConnectionOptions) {
    this.#options = options;
  }

  /** Asks over the connection for what is quickly answered; once more over a new one where that was lost meanwhile. */
  async ask<T>(question: (connection: SftpConnection) => Promise<T>): Promise<T> {
    const known = this.#control;
    const connection = await this.#controlConnection();
    try {
      return await question(connection);
    } catch (thrown) {
      // One that was opened just now has had its chance.
      if (!(thrown instanceof ConnectionLost) || known === undefined || this.#closed) throw thrown;
      return question(await this.#controlConnection());
    }
  }

  async lease(): Promise<ConnectionLease> {
    const slot = this.#leastUsed();
    slot.users++;
    clearTimeout(slot.idle);
    try {
      const connection = await slot.opening;
      return { connection, release: () => this.#release(slot) };
    } catch (thrown) {
      this.#remove(slot);
      throw thrown;
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    const opening = [this.#control, ...this.#slots.map((slot) => slot.opening)];
    for (const slot of this.#slots.splice(0)) clearTimeout(slot.idle);
    this.#control = undefined;
    await Promise.all(opening.map((each) => each?.then((connection) => connection.close()).catch(() => {})));
  }

  async #controlConnection(): Promise<SftpConnection> {
    const known = this.#control;
    const connection = await known?.catch(() => undefined);
    if (connection && !connection.isLost) return connection;
    // Others that have waited for the same one may be quicker, and then theirs is taken.
    if (this.#control === known) this.#control = this.#open();
    return this.#control as Promise<SftpConnection>;
  }

  async #open(): Promise<SftpConnection> {
    if (this.#closed) throw new ConnectionLost('the storage was let go');
    const connection = await SftpConnection.open(this.#options);
    if (!this.#closed) return connection;
    connection.close();
    throw new ConnectionLost('the storage was let go');
  }

  #leastUsed(): Slot {
    for (const slot of [...this.#slots]) if (slot.connection?.isLost) this.#remove(slot);
    const least = this.#slots.toSorted((one, other) => one.users - other.users)[0];
    if (least && (least.users === 0 || this.#slots.length >= MOST)) return least;
    const opening = this.#open();
    const slot: Slot = { opening, connection: undefined, users: 0, idle: undefined };
    opening.then(
      (connection) => {
        slot.connection = connection;
      },
      () => {},
    );
    this.#slots.push(slot);
    return slot;
  }

  #remove(slot: Slot): void {
    const index = this.#slots.indexOf(slot);
    if (index >= 0) this.#slots.splice(index, 1);
  }

  #release(slot: Slot): void {
    slot.users--;
    if (slot.users > 0 || this.#closed) return;
    slot.idle = setTimeout(() => {
      this.#remove(slot);
      slot.connection?.close();
    }, IDLE).unref();
  }
}
