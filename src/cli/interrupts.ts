/** Ctrl-C: what is under way decides what it means; where nothing does, it ends the command. */
export class Interrupts {
  readonly #process: NodeJS.Process;
  #ended = new AbortController();
  #listener: (() => void) | undefined;
  readonly #onInterrupt = () => (this.#listener ? this.#listener() : this.#ended.abort());
  readonly #onEnd = () => this.#ended.abort();

  constructor(process: NodeJS.Process) {
    this.#process = process;
    process.on('SIGINT', this.#onInterrupt);
    for (const signal of ['SIGTERM', 'SIGHUP'] as const) process.on(signal, this.#onEnd);
  }

  /** Aborted when the command shall end. */
  get signal(): AbortSignal {
    return this.#ended.signal;
  }

  /** From now on `listener` is told of each Ctrl-C, until the returned function is called. */
  listen(listener: () => void): () => void {
    this.#listener = listener;
    return () => {
      if (this.#listener === listener) this.#listener = undefined;
    };
  }

  /** For the next command of a shell. */
  renew(): void {
    if (this.#ended.signal.aborted) this.#ended = new AbortController();
  }

  close(): void {
    this.#process.off('SIGINT', this.#onInterrupt);
    for (const signal of ['SIGTERM', 'SIGHUP'] as const) this.#process.off(signal, this.#onEnd);
  }
}
