/** Files and directories of a server, by absolute paths: all but their bytes. Errors are IngotErrors. */
import { posix } from 'node:path';
import type { FileEntryWithStats, Stats } from 'ssh2';
import type { StoreCapacity } from '../driver.ts';
import type { SftpConnection } from './connection.ts';
import type { SftpConnections } from './connections.ts';
import { asSftpError, isFailure, isMissing, isNotOffered } from './sftp-error.ts';

const DIRECTORY_MODE = 0o750;
/** A request that makes a disk write all that it holds back may take so many times longer. */
const SYNC_PATIENCE = 10;

export class RemoteFiles {
  readonly connections: SftpConnections;
  readonly #address: string;

  /** `address`: `sftp://host:port`. */
  constructor(connections: SftpConnections, address: string) {
    this.connections = connections;
    this.#address = address;
  }

  /** Where a path is, as a person would name it. */
  at(path: string): string {
    return this.#address + path;
  }

  async ask<T>(path: string, question: (connection: SftpConnection) => Promise<T>): Promise<T> {
    try {
      return await this.connections.ask(question);
    } catch (thrown) {
      throw asSftpError(thrown, this.at(path));
    }
  }

  /** Undefined where there is nothing. Links are followed. */
  stat(path: string): Promise<{ size: number; isDirectory: boolean } | undefined> {
    return this.ask(path, async (connection) => {
      try {
        const stats = await connection.request<Stats>((sftp, done) => sftp.stat(path, done));
        return { size: stats.size, isDirectory: stats.isDirectory() };
      } catch (thrown) {
        if (isMissing(thrown)) return undefined;
        throw thrown;
      }
    });
  }

  /** In the order of names; undefined where there is no such directory. */
  list(path: string): Promise<FileEntryWithStats[] | undefined> {
    return this.ask(path, async (connection) => {
      try {
        const entries = await connection.request<FileEntryWithStats[]>((sftp, done) =>
          sftp.readdir(path, done),
        );
        return entries.sort((one, other) => (one.filename < other.filename ? -1 : 1));
      } catch (thrown) {
        if (isMissing(thrown)) return undefined;
        throw thrown;
      }
    });
  }

  /** The text of a small file, undefined where there is none; `writable` is an error where it could not be written. */
  readText(path: string, { writable = false } = {}): Promise<string | undefined> {
    return this.ask(path, async (connection) => {
      let handle: Buffer;
      try {
        handle = await connection.request<Buffer>((sftp, done) =>
          sftp.open(path, writable ? 'r+' : 'r', done),
        );
      } catch (thrown) {
        if (isMissing(thrown)) return undefined;
        throw thrown;
      }
      const buffer = Buffer.alloc(4096);
      const length = await connection.request<number>((sftp, done) =>
        sftp.read(handle, buffer, 0, buffer.length, 0, done),
      );
      await connection.request<void>((sftp, done) => sftp.close(handle, done));
      return buffer.toString('utf8', 0, length);
    });
  }

  /** A small file, whole and durable where the server can that; what was there is replaced. */
  writeText(path: string, text: string): Promise<void> {
    return this.ask(path, async (connection) => {
      const handle = await connection.request<Buffer>((sftp, done) =>
        sftp.open(path, 'w', { mode: 0o640 }, done),
      );
      const content = Buffer.from(text);
      await connection.request<void>((sftp, done) => sftp.write(handle, content, 0, content.length, 0, done));
      await syncHandle(connection, handle);
      await connection.request<void>((sftp, done) => sftp.close(handle, done));
    });
  }

  /** Gives a file another name, in one step with the end of what had that name before, where the server can that. */
  replace(from: string, to: string): Promise<void> {
    return this.ask(to, async (connection) => {
      try {
        await connection.request<void>((sftp, done) => sftp.ext_openssh_rename(from, to, done));
      } catch (thrown) {
        if (!isNotOffered(thrown)) throw thrown;
        // The protocol's own rename replaces nothing.
        await connection.request<void>((sftp, done) => sftp.unlink(to, done)).catch(() => {});
        await connection.request<void>((sftp, done) => sftp.rename(from, to, done));
      }
    });
  }

  /** Gives a file another name; false where something has it already. */
  async claim(from: string, to: string): Promise<boolean> {
    try {
      await this.connections.ask((connection) =>
        connection.request<void>((sftp, done) => sftp.rename(from, to, done)),
      );
      return true;
    } catch (thrown) {
      // FAILURE has many reasons, and this is but one of them.
      if (isFailure(thrown) && (await this.stat(to))) return false;
      throw asSftpError(thrown, this.at(to));
    }
  }

  /** Removes a file; fulfilled with whether there was one. */
  unlink(path: string): Promise<boolean> {
    return this.ask(path, async (connection) => {
      try {
        await connection.request<void>((sftp, done) => sftp.unlink(path, done));
        return true;
      } catch (thrown) {
        if (isMissing(thrown)) return false;
        throw thrown;
      }
    });
  }

  /** Makes the directory and those above it, up to but without `root`; without `root`, all that are missing. */
  async makeDirectories(path: string, root = '/'): Promise<void> {
    if (path === root) return;
    if (await this.#makeDirectory(path)) return;
    const parent = posix.dirname(path);
    // Never the root itself: a mount point that is gone must not be filled with our directories.
    if (parent === root)
      throw asSftpError(Object.assign(new Error('No such file'), { code: 2 }), this.at(parent));
    await this.makeDirectories(parent, root);
    if (!(await this.#makeDirectory(path))) await this.makeDirectories(path, root);
  }

  /** Removes the directory and those above it, as long as they are empty, but not the root. */
  async removeEmptyUpTo(root: string, directory: string): Promise<void> {
    for (let each = directory; each !== root; each = posix.dirname(each)) {
      const removed = await this.ask(each, async (connection) => {
        try {
          await connection.request<void>((sftp, done) => sftp.rmdir(each, done));
          return true;
        } catch (thrown) {
          // Not empty, or gone already.
          if (isFailure(thrown) || isMissing(thrown)) return false;
          throw thrown;
        }
      });
      if (!removed) return;
    }
  }

  capacity(path: string): Promise<StoreCapacity> {
    return this.ask(path, async (connection) => {
      const { f_frsize, f_blocks, f_bavail } = await connection.request<Record<string, number>>(
        (sftp, done) => sftp.ext_openssh_statvfs(path, done),
      );
      return { total: Number(f_frsize) * Number(f_blocks), available: Number(f_frsize) * Number(f_bavail) };
    });
  }

  /** True when it is there now, false when the directory above it is not. */
  #makeDirectory(path: string): Promise<boolean> {
    return this.ask(path, async (connection) => {
      try {
        await connection.request<void>((sftp, done) => sftp.mkdir(path, { mode: DIRECTORY_MODE }, done));
        return true;
      } catch (thrown) {
        if (isMissing(thrown)) return false;
        // One that is there already is a FAILURE like any other.
        const stats = isFailure(thrown)
          ? await connection.request<Stats>((sftp, done) => sftp.stat(path, done)).catch(() => undefined)
          : undefined;
        if (stats?.isDirectory()) return true;
        throw thrown;
      }
    });
  }
}

/** What was written to the handle's file survives the death of the machine, where the server offers that. */
export async function syncHandle(connection: SftpConnection, handle: Buffer): Promise<void> {
  try {
    await connection.request<void>((sftp, done) => sftp.ext_openssh_fsync(handle, done), SYNC_PATIENCE);
  } catch (thrown) {
    if (!isNotOffered(thrown)) throw thrown;
  }
}
