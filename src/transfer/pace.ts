import { IngotError } from '../kernel/errors.ts';
import { formatDuration, formatSize } from '../kernel/format.ts';

/** What a source has to give at the least: so many bytes in so many milliseconds. */
export interface LeastPace {
  bytes: number;
  milliseconds: number;
}

/** So often it may be opened without having kept up since, as answers and the waits between tries take their time. */
const MOST_OPENINGS = 10;

/**
 * Whether a source keeps up with the least pace, so that one which gives a byte now and then holds nothing for ever.
 * Bytes that come a second time count too: they are sent all the same, and tries bound how often.
 */
export class Pace {
  readonly #least: LeastPace;
  readonly #label: string;
  /** Of the span that is being looked at: when it began, and the bytes that have come. */
  #since = performance.now();
  #bytes = 0;
  #position: number;
  #openedAt = this.#since;
  #openings = 0;

  constructor(least: LeastPace, label: string, position: number) {
    this.#least = least;
    this.#label = label;
    this.#position = position;
  }

  /** It begins to give bytes, once more. */
  opened(): void {
    this.#openedAt = performance.now();
    this.#openings++;
  }

  /** What has come reaches to `position` now. Throws where in a whole span too little did. */
  arrived(position: number): void {
    const { bytes, milliseconds } = this.#least;
    const now = performance.now();
    this.#bytes += Math.max(0, position - this.#position);
    this.#position = position;
    if (now - this.#since < milliseconds) return;
    if (this.#bytes >= bytes) {
      this.#since = now;
      this.#bytes = 0;
      this.#openings = 0;
      return;
    }
    // One that has only just begun may still show how fast it is.
    const isNew = now - this.#openedAt < milliseconds && this.#openings <= MOST_OPENINGS;
    if (!isNew) throw this.#tooSlow();
  }

  /** So many milliseconds nobody waited for the source. */
  excuse(milliseconds: number): void {
    this.#since += milliseconds;
  }

  #tooSlow(): IngotError {
    const span = formatDuration(performance.now() - this.#since);
    return new IngotError(
      'SYS.1015',
      `${this.#label} is too slow: ${formatSize(this.#bytes)} came in ${span}, and at least ` +
        `${formatSize(this.#least.bytes)} in ${formatDuration(this.#least.milliseconds)} are expected.`,
      {
        elaboration:
          'Take the image from a nearer server; how slow one may be says --least-rate of the service.',
        retryable: true,
      },
    );
  }
}
