import type { IngotError } from '../kernel/errors.ts';
import type { Egress } from './egress.ts';

/** What a source said about its bytes: enough to know them again when a transfer is taken up later. */
export interface SourceFacts {
  /** Where the redirects led, password masked. */
  finalUrl?: string;
  etag?: string;
  lastModified?: string;
  /** Fingerprint of the key by which an SSH server showed who it is. */
  hostKey?: string;
  /** Bytes in all; absent where the source doesn't say. */
  totalSize?: number;
}

export interface RetryPolicy {
  /** How often to try again without a new byte before giving up. */
  tries: number;
  /** Milliseconds before the first try; doubles with each, up to `maxDelay`. */
  baseDelay: number;
  /** Longest wait in milliseconds; also bounds what a server may ask for with Retry-After. */
  maxDelay: number;
}

export const DEFAULT_RETRY: RetryPolicy = { tries: 5, baseDelay: 500, maxDelay: 30_000 };

/** What every source on another machine can be told. */
export interface RemoteOptions {
  /** Milliseconds without a byte after which the connection counts as broken. */
  stallTimeout: number;
  retry?: Partial<RetryPolicy>;
  /** What may be connected to; everything where absent. */
  egress?: Egress;
}

export interface Source {
  /** The source as a person would name it, password masked. */
  readonly label: string;
  readonly retry: RetryPolicy;
  /**
   * Opens at `offset`, provided that the bytes are still those of `facts`; otherwise at 0. Rejects with a
   * SourceBreak where trying again can help, with any other error where it can't.
   */
  open(options: { offset: number; facts?: SourceFacts; signal: AbortSignal }): Promise<OpenedSource>;
}

export interface OpenedSource {
  /** Where the body begins: the offset asked for, or 0. */
  readonly offset: number;
  readonly facts: SourceFacts;
  readonly body: Body;
}

/** The bytes of a source, put straight into the caller's memory. */
export interface Body {
  /**
   * Fills `target` from its start; `arrived` is told of each batch of bytes as it lands and may return false
   * to have the call return before the target is full. Rejects as `Source.open` does. One call at a time.
   */
  fill(target: Uint8Array, arrived: (bytes: number) => boolean): Promise<'more' | 'end'>;
  /** Lets go of the connection. Safe to call more than once. */
  close(): void;
}

/** A source that gave up in a way that trying again may mend. */
export class SourceBreak extends Error {
  /** The error to report when no more tries are left. */
  readonly error: IngotError;
  /** Fewer tries than the policy's, where hope is small. */
  readonly tries: number | undefined;
  /** Milliseconds that the source asked us to wait. */
  readonly wait: number | undefined;

  constructor(error: IngotError, hints: { tries?: number; wait?: number } = {}) {
    super(error.message, { cause: error });
    this.error = error;
    this.tries = hints.tries;
    this.wait = hints.wait;
  }
}
