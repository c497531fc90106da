/** Bytes on their way between this machine and the service, as progress. */
import { ProgressDisplay } from './progress-display.ts';
import type { Terminal } from './terminal.ts';

/** How far back the rate looks, in milliseconds. */
const WINDOW = 5000;
const INTERVAL = 200;

export class TransferDisplay {
  readonly #display: ProgressDisplay;
  readonly #total: number;
  readonly #resumed: number;
  readonly #marks: { at: number; bytes: number }[] = [];
  #shownAt = 0;

  constructor(options: {
    terminal: Terminal;
    label: string;
    silent: boolean;
    total: number;
    resumed: number;
  }) {
    this.#display = new ProgressDisplay(options);
    this.#total = options.total;
    this.#resumed = options.resumed;
  }

  /** So many bytes are there now. */
  show(bytes: number): void {
    const now = performance.now();
    if (!this.#display.wanted || now - this.#shownAt < INTERVAL) return;
    this.#shownAt = now;
    this.#marks.push({ at: now, bytes });
    while ((this.#marks[0]?.at ?? now) < now - WINDOW) this.#marks.shift();
    const first = this.#marks[0];
    const rate = first && now > first.at ? ((bytes - first.bytes) / (now - first.at)) * 1000 : 0;
    this.#display.show({
      percent: this.#total === 0 ? 100 : (bytes / this.#total) * 100,
      bytesDone: bytes,
      bytesTotal: this.#total,
      ...(this.#resumed > 0 && { bytesResumed: this.#resumed }),
      ...(rate > 0 && { bytesPerSecond: Math.round(rate), secondsLeft: (this.#total - bytes) / rate }),
    });
  }
}
