/** Where a command writes: results on stdout, everything else on stderr, in red where that is wanted. */

export class Terminal {
  readonly process: NodeJS.Process;
  /** Shown at the moment in the last line of stderr, and wiped before anything else is written. */
  #transient = false;

  constructor(process: NodeJS.Process) {
    this.process = process;
  }

  /** True where somebody sits in front of it who can be asked. */
  get interactive(): boolean {
    return this.process.stdin.isTTY === true && this.process.stderr.isTTY === true;
  }

  /** Columns of stdout; undefined where it is no terminal and lines may be of any length. */
  get width(): number | undefined {
    const { stdout } = this.process;
    return stdout.isTTY ? stdout.columns || 80 : undefined;
  }

  /** Columns of stderr; undefined where it is no terminal. */
  get barWidth(): number | undefined {
    const { stderr } = this.process;
    return stderr.isTTY ? stderr.columns || 80 : undefined;
  }

  /** A result. */
  print(text: string): void {
    this.wipe();
    this.process.stdout.write(text.endsWith('\n') ? text : `${text}\n`);
  }

  /** A remark, a line of progress. */
  remark(text: string): void {
    this.wipe();
    this.process.stderr.write(`${text}\n`);
  }

  error(text: string): void {
    const [first = '', ...rest] = text.split('\n');
    this.remark([this.#coloured(31, first), ...rest].join('\n'));
  }

  warning(text: string): void {
    this.remark(this.#coloured(33, text));
  }

  /** A line that the next one replaces; only for a terminal. */
  transient(text: string): void {
    this.process.stderr.write(`\r\u001b[K${text}`);
    this.#transient = true;
  }

  wipe(): void {
    if (this.#transient) this.process.stderr.write('\r\u001b[K');
    this.#transient = false;
  }

  #coloured(colour: number, text: string): string {
    const { stderr, env } = this.process;
    return stderr.isTTY && !env.NO_COLOR && env.TERM !== 'dumb' ? `\u001b[${colour}m${text}\u001b[39m` : text;
  }
}

/** Control characters of a foreign text made visible, so that it can't steer the terminal or turn the writing round. */
export function printable(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g, (char) =>
    char === '\n' ? '\\n' : char === '\t' ? ' ' : `\\x${char.charCodeAt(0).toString(16).padStart(2, '0')}`,
  );
}
