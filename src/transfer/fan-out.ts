import { IngotError, toIngotError } from '../kernel/errors.ts';
import type { Sink, WriteOptions, Writer } from './sink.ts';

interface Lane {
  readonly sink: Sink;
  writer: Writer | undefined;
}

/**
 * Writes the same bytes to several sinks. One that fails is dropped with what it has written, and the rest go
 * on; `onAllFailed` is called when none is left.
 */
export class FanOut {
  /** Why sinks were dropped, by id. */
  readonly failures = new Map<string, IngotError>();
  #lanes: Lane[];
  readonly #onFailure: (id: string, error: IngotError) => void;
  readonly #onAllFailed: (error: IngotError) => void;
  /** Removals of what dropped sinks had written. */
  readonly #removals: Promise<void>[] = [];

  constructor(
    sinks: readonly Sink[],
    options: {
      onFailure: (id: string, error: IngotError) => void;
      onAllFailed: (error: IngotError) => void;
    },
  ) {
    this.#lanes = sinks.map((sink) => ({ sink, writer: undefined }));
    this.#onFailure = options.onFailure;
    this.#onAllFailed = options.onAllFailed;
  }

  /** The sinks that have not failed. */
  get sinks(): Sink[] {
    return this.#lanes.map((lane) => lane.sink);
  }

  get writers(): Map<string, Writer> {
    return new Map(this.#lanes.flatMap(({ sink, writer }) => (writer ? [[sink.id, writer]] : [])));
  }

  /** Opens every sink that is left, at 0 or to continue; what it was writing is given up. */
  async open(options: WriteOptions): Promise<void> {
    await this.#each(async (lane) => {
      await lane.writer?.abort({ keep: true });
      lane.writer = undefined;
      if (options.expectedSize !== undefined) await lane.sink.checkSize?.(options.expectedSize);
      lane.writer = await lane.sink.open(options);
    });
  }

  /** Fulfilled when no sink needs the chunk's memory any longer. Never rejects. */
  async write(chunk: Uint8Array): Promise<void> {
    await this.#each((lane) => lane.writer?.write(chunk));
  }

  /** Makes all bytes written so far durable. Never rejects. */
  async flush(): Promise<void> {
    await this.#each((lane) => lane.writer?.flush());
  }

  /** Drops the sinks that refuse the size. Rejects where one could not tell, which is no refusal. */
  async checkSize(bytes: number): Promise<void> {
    const unanswered: unknown[] = [];
    await this.#each(async (lane) => {
      try {
        await lane.sink.checkSize?.(bytes);
      } catch (thrown) {
        if (thrown instanceof IngotError) throw thrown;
        unanswered.push(thrown);
      }
    });
    if (unanswered.length > 0) throw unanswered[0];
  }

  /** Ends every writer; without `keep`, nothing stays of what they or an earlier attempt have written. */
  async abort({ keep }: { keep: boolean }): Promise<void> {
    await Promise.all(this.#lanes.map((lane) => (keep ? keepPart(lane) : removePart(lane))));
    await this.settled();
  }

  /** Fulfilled when what dropped sinks had written is gone. */
  async settled(): Promise<void> {
    await Promise.all(this.#removals);
  }

  /** Takes a sink out of the transfer that failed in an earlier attempt. */
  exclude(id: string, error: IngotError): void {
    this.#lanes = this.#lanes.filter(({ sink }) => sink.id !== id);
    this.failures.set(id, error);
    if (this.#lanes.length === 0) this.#onAllFailed(allFailed(this.failures));
  }

  /** Goes on without the sink; what it holds is removed. */
  drop(sink: Sink, error: IngotError): void {
    for (const lane of this.#lanes) if (lane.sink === sink) this.#drop(lane, error);
  }

  #drop(lane: Lane, thrown: unknown): void {
    // One failure shows in every call that is under way.
    if (!this.#lanes.includes(lane)) return;
    const error = toIngotError(thrown);
    this.#removals.push(removePart(lane));
    this.#onFailure(lane.sink.id, error);
    this.exclude(lane.sink.id, error);
  }

  async #each(act: (lane: Lane) => Promise<void> | void | undefined): Promise<void> {
    await Promise.all(
      this.#lanes.map(async (lane) => {
        try {
          await act(lane);
        } catch (thrown) {
          this.#drop(lane, thrown);
        }
      }),
    );
  }
}

async function keepPart({ writer }: Lane): Promise<void> {
  await writer?.abort({ keep: true }).catch(() => {});
}

/**
 * Removes what the lane's writer, or one of an earlier attempt that died, has written. A store that failed may
 * well fail to remove, too; whoever looks after it later finds the part by its name.
 */
async function removePart({ sink, writer }: Lane): Promise<void> {
  try {
    await (writer ?? (await sink.open({}))).abort();
  } catch {}
}

function allFailed(failures: Map<string, IngotError>): IngotError {
  const causes = [...failures.values()];
  const full = causes.every((cause) => cause.code === 'BS.1006');
  const each = [...failures].map(([id, cause]) => `${id}: ${cause.details}`).join('; ');
  return new IngotError(full ? 'BS.1006' : 'BS.1000', `The bytes could be written nowhere. ${each}`, {
    causes,
    retryable: causes.some((cause) => cause.retryable),
  });
}
