/** The progress of a job while it is waited for: drawn, or said every few seconds where nothing can be drawn. */
import { type Progress, progressLine, progressText } from './progress-bar.ts';
import type { Terminal } from './terminal.ts';

/** How often the progress is said where there is no terminal to draw it on, in milliseconds. */
const LINE_INTERVAL = 5000;

export class ProgressDisplay {
  /** Whether what is shown takes back what was done. */
  undoing = false;
  readonly #terminal: Terminal;
  readonly #label: string;
  readonly #silent: boolean;
  #paused = false;
  #said = performance.now();

  constructor({ terminal, label, silent }: { terminal: Terminal; label: string; silent: boolean }) {
    this.#terminal = terminal;
    this.#label = label;
    this.#silent = silent;
  }

  /** Whether it is time to ask how far the job is. */
  get wanted(): boolean {
    if (this.#silent || this.#paused) return false;
    return this.#terminal.barWidth !== undefined || performance.now() - this.#said >= LINE_INTERVAL;
  }

  show(progress: Progress | undefined): void {
    if (progress === undefined || this.#paused) return;
    const label = this.undoing ? `${this.#label}, undoing` : this.#label;
    const width = this.#terminal.barWidth;
    if (width !== undefined) this.#terminal.transient(progressLine(label, progress, width));
    else this.#terminal.remark(`${label} ${progressText(progress)}`);
    this.#said = performance.now();
  }

  pause(): void {
    this.#paused = true;
    this.#terminal.wipe();
  }

  resume(): void {
    this.#paused = false;
  }
}
