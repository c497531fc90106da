/** One SSH connection with its SFTP channel: requests with an end, whatever the server does. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import ssh2, { type Client, type SFTPWrapper } from 'ssh2';
import type { Egress } from '../../transfer/egress.ts';
import { algorithmsFor, changedHostKey, describeHostKey } from './host-key.ts';
import { ConnectionLost, connectError, NotOffered } from './sftp-error.ts';

export interface SftpServer {
  host: string;
  port: number;
  username: string;
  password?: string;
  privateKey?: string;
  passphrase?: string;
  /** As `describeHostKey` shows it; without one, the first that is seen is taken. */
  hostKey?: string;
}

export interface ConnectionOptions {
  server: SftpServer;
  /** Told the key of a server that none was remembered of, before anything secret is sent. */
  learnHostKey?: ((key: string) => Promise<void>) | undefined;
  /** What may be connected to; everything where absent. */
  egress?: Egress | undefined;
  /** Milliseconds until a connection must stand. */
  connectTimeout: number;
  /** Milliseconds without any answer, while one is owed, until the connection is given up. */
  answerTimeout: number;
}

type Done<T> = (error: Error | null | undefined, value?: T) => void;

/** How often it is looked whether answers are overdue, as a part of the time they may take. */
const LOOKS = 4;

/** What ssh2 answers in the server's place where the channel has ended. */
const NO_ANSWER = 'No response from server';

export class SftpConnection {
  readonly #client: Client;
  readonly #sftp: SFTPWrapper;
  readonly #socket: Socket;
  /** What is owed an answer, and until when the server may be silent about it at most, in milliseconds from the last answer. */
  readonly #owed = new Map<(reason: Error) => void, number>();
  readonly #watch: NodeJS.Timeout;
  readonly #answerTimeout: number;
  #heardAt = performance.now();
  #gathers = false;
  #lost: ConnectionLost | undefined;

  private constructor(client: Client, sftp: SFTPWrapper, socket: Socket, answerTimeout: number) {
    this.#client = client;
    this.#sftp = sftp;
    this.#socket = socket;
    this.#answerTimeout = answerTimeout;
    client.on('error', (error) => this.#lose(error.message));
    client.on('close', () => this.#lose('the connection was cut'));
    sftp.on('error', (error: Error) => this.#lose(error.message));
    sftp.on('close', () => this.#lose('the server has ended the session'));
    this.#watch = setInterval(() => this.#giveUpIfSilent(), answerTimeout / LOOKS).unref();
  }

  /** Rejects with an IngotError that says why there can be none. */
  static async open(options: ConnectionOptions): Promise<SftpConnection> {
    const { server, egress, connectTimeout, answerTimeout } = options;
    const name = `${server.username}@${server.host}:${server.port}`;
    const client = new ssh2.Client();
    const late = AbortSignal.timeout(connectTimeout);
    const failure = new Promise<never>((_, reject) => {
      client.on('error', reject);
      client.once('close', () => reject(new Error('the server has closed the connection')));
      late.addEventListener('abort', () =>
        reject(new Error(`it did not answer for ${connectTimeout / 1000} s`)),
      );
    });
    failure.catch(() => {}); // after it stands, this is nobody's concern
    const keys = new KeyCheck(options, name);
    const target = { scheme: 'sftp', host: server.host, port: server.port } as const;
    let sock: Socket | undefined;
    try {
      sock = egress?.connect(target) ?? connect(target);
      await Promise.race([once(sock, 'connect'), failure]);
      const ready = once(client, 'ready');
      ready.catch(() => {}); // `failure` tells the same
      client.connect({ ...configOf(server, keys, connectTimeout), sock });
      await Promise.race([ready, failure]);
      client.setNoDelay(true);
      const sftp = await Promise.race([
        new Promise<SFTPWrapper>((resolve, reject) => {
          client.sftp((error, channel) => (error ? reject(error) : resolve(channel)));
        }),
        failure,
      ]);
      return new SftpConnection(client, sftp, sock, answerTimeout);
    } catch (thrown) {
      client.destroy();
      sock?.destroy();
      throw keys.refusal(thrown) ?? connectError(thrown, name);
    }
  }

  get isLost(): boolean {
    return this.#lost !== undefined;
  }

  /**
   * Asks the server something. Rejects with a ConnectionLost when the answer can't come any more, with a NotOffered
   * when the server doesn't know the request, else with the server's own error.
   * @param patience how many times longer than usual the answer may take
   */
  request<T>(ask: (sftp: SFTPWrapper, done: Done<T>) => void, patience = 1): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      // ssh2 forgets what is asked of a channel that is closed.
      if (this.#lost) return reject(this.#lost);
      if (this.#owed.size === 0) this.#heardAt = performance.now();
      this.#owed.set(reject, this.#answerTimeout * patience);
      this.#gather();
      try {
        ask(this.#sftp, (error, value) => {
          this.#owed.delete(reject);
          this.#heardAt = performance.now();
          if (!error) return resolve(value as T);
          // It may say so of each request before it tells of the end itself.
          if (error.message === NO_ANSWER) this.#lose('the connection was cut');
          reject(this.#lost ?? error);
        });
      } catch (thrown) {
        this.#owed.delete(reject);
        reject(new NotOffered((thrown as Error).message));
      }
    });
  }

  /**
   * Sends what is asked in this turn of the event loop at once: ssh2 writes each packet of 32 KiB in three pieces, and
   * each would be a call of the system of its own.
   */
  #gather(): void {
    if (this.#gathers) return;
    this.#gathers = true;
    this.#socket.cork();
    process.nextTick(() => {
      this.#gathers = false;
      this.#socket.uncork();
    });
  }

  /** What a command of the server's own writes; undefined where the server lets none run. */
  run(command: string, patience: number): Promise<string | undefined> {
    return this.request<string | undefined>((_sftp, done) => {
      this.#client.exec(command, (error, channel) => {
        if (error) return done(undefined, undefined);
        let text = '';
        channel.on('data', (piece: Buffer) => {
          // A server that has SFTP for every command answers in that.
          if (text.length < 1024) text += piece.toString('latin1');
        });
        channel.stderr.resume();
        channel.on('close', (code: number | null) => done(undefined, code === 0 ? text : undefined));
        channel.end();
      });
    }, patience);
  }

  close(): void {
    this.#lose('it was closed');
  }

  #giveUpIfSilent(): void {
    if (this.#owed.size === 0) return;
    const silent = performance.now() - this.#heardAt;
    if (silent > Math.max(...this.#owed.values()))
      this.#lose(`the server did not answer for ${Math.round(silent / 1000)} s`);
  }

  #lose(reason: string): void {
    if (this.#lost) return;
    this.#lost = new ConnectionLost(reason);
    clearInterval(this.#watch);
    this.#client.destroy();
    for (const reject of this.#owed.keys()) reject(this.#lost);
    this.#owed.clear();
  }
}

/** Whether the server is the one it was. */
class KeyCheck {
  readonly #options: ConnectionOptions;
  readonly #name: string;
  #refusal: unknown;

  constructor(options: ConnectionOptions, name: string) {
    this.#options = options;
    this.#name = name;
  }

  readonly verify = (key: Buffer, verified: (isGood: boolean) => void): void => {
    const { server } = this.#options;
    const found = describeHostKey(key);
    if (server.hostKey === undefined) {
      this.#learn(found).then(verified, () => verified(false));
      return;
    }
    if (server.hostKey !== found) this.#refusal = changedHostKey(this.#name, server.hostKey, found);
    verified(server.hostKey === found);
  };

  /** Before anything secret is sent: a server whose key could not be kept is not gone on with. */
  async #learn(found: string): Promise<boolean> {
    const { server, learnHostKey } = this.#options;
    try {
      await learnHostKey?.(found);
      server.hostKey = found;
      return true;
    } catch (thrown) {
      this.#refusal = thrown;
      return false;
    }
  }

  /** The error that made the connection fail, where the key did. */
  refusal(thrown: unknown): unknown {
    const { hostKey } = this.#options.server;
    const noneOfTheKind = thrown instanceof Error && /no matching host key/i.test(thrown.message);
    if (noneOfTheKind && hostKey !== undefined) return changedHostKey(this.#name, hostKey);
    return this.#refusal;
  }
}

function configOf(server: SftpServer, keys: KeyCheck, readyTimeout: number): ssh2.ConnectConfig {
  const { host, port, username, password, privateKey, passphrase, hostKey } = server;
  const key =
    privateKey === undefined
      ? []
      : [{ type: 'publickey' as const, username, key: `${privateKey}\n`, ...(passphrase && { passphrase }) }];
  const words =
    password === undefined
      ? []
      : [
          { type: 'password' as const, username, password },
          // Servers with PAM may ask for the password in this way alone.
          {
            type: 'keyboard-interactive' as const,
            username,
            prompt: (
              _name: string,
              _instructions: string,
              _language: string,
              prompts: { prompt: string }[],
              finish: (answers: string[]) => void,
            ) => finish(prompts.map(() => password)),
          },
        ];
  return {
    host,
    port,
    username,
    authHandler: [...key, ...words],
    readyTimeout,
    keepaliveInterval: 10_000,
    keepaliveCountMax: 3,
    hostVerifier: keys.verify,
    ...(hostKey !== undefined && { algorithms: { serverHostKey: algorithmsFor(hostKey) } }),
  };
}
