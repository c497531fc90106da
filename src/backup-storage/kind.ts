/**
 * A kind of backup storage. One folder holds one: what is declared of it, its messages, its driver, and this, which
 * ties them together; adding, updating, reconnecting and deleting are the same for all.
 */
import type { Log } from '../kernel/log.ts';
import type { RowOf } from '../kernel/resource.ts';
import type { Egress } from '../transfer/egress.ts';
import type { BackupStorage } from './backup-storage.ts';
import type { DeclaredKind } from './declared-kind.ts';
import type { BackupStorageDriver } from './driver.ts';

export type StorageRow = RowOf<typeof BackupStorage>;

/** What says where a storage is and how it is reached: `url` and the kind's own columns. */
export type Place = Partial<StorageRow> & Pick<StorageRow, 'url'>;

/** By the names of the parameters that are declared `secret`. Never part of a row, a log or an answer in clear. */
export type Secrets = Readonly<Record<string, string>>;

export interface OpeningContext {
  log: Log;
  /** What a storage's server may be connected to; everything where absent. */
  egress?: Egress | undefined;
  /** Keeps what a driver has learnt of its storage, such as a server's key, in the storage's row. */
  remember(learnt: Partial<StorageRow>): Promise<void>;
}

export interface BackupStorageKind {
  readonly declared: DeclaredKind;
  /**
   * The place that a call which adds or changes a storage names, in its one spelling. Throws SYS.1007 where it can't
   * be one or overlaps with another's. Called within the database's transaction: it must wait for no server.
   * `wanted` is the call's parameters, over the row's columns where there is a row already.
   */
  place(
    wanted: Place,
    context: {
      /** All storages of whatever kind, without the one that is changed. */
      others: readonly StorageRow[];
      /** The storage as it is, where one is changed. */
      before?: StorageRow;
      /** Directories of the service's own, which no storage may contain. */
      reserved: readonly string[];
      /** What a storage's server may be connected to; everything where absent. */
      egress?: Egress | undefined;
      /** The uuid that the storage is to have, where the call says so: a place that is marked with it is taken up again. */
      uuid?: string | undefined;
    },
  ): Promise<Place>;
  /** Opens the driver, whose libraries are loaded with it. Nothing is asked of any server before it is used. */
  open(
    storage: StorageRow,
    secrets: Secrets,
    context: OpeningContext,
  ): BackupStorageDriver | Promise<BackupStorageDriver>;
}
