/** `ingot` alone: calls line by line. */
import { createInterface } from 'node:readline';
import { runCommand } from './commands.ts';
import { complete } from './completion.ts';
import type { CommandContext } from './context.ts';
import { EXIT, usageError } from './exit-codes.ts';
import { fail } from './failure.ts';
import { callsByResource } from './help.ts';
import { History, withoutSecrets } from './history.ts';
import { LineReader } from './line-reader.ts';
import { type Options, readOptions } from './options.ts';
import { Results } from './results.ts';
import { splitLine } from './words.ts';

/** What the shell knows besides calls. */
const COMMANDS: Record<string, string> = {
  'help [CALL]': 'what there is, or what a call takes',
  history: 'the lines typed so far',
  'more [N]': 'the answers so far, or the one numbered N as JSON',
  'save N [FILE]': 'write an answer into a file, as JSON',
  'login [account]': 'log in',
  logout: 'forget the session',
  'exit, quit': 'leave; Ctrl-D does too',
};

const COMMAND_WORDS = ['help', 'history', 'more', 'save', 'login', 'logout', 'exit', 'quit'];

/** Fulfilled with the exit code. */
export async function shell(
  context: CommandContext,
  words: readonly string[],
  options: Options,
): Promise<number> {
  if (words.length > 0) throw usageError(`the shell takes no words, but was given '${words.join(' ')}'`);
  const shell = new Shell(context, options);
  return context.terminal.process.stdin.isTTY ? shell.interactive() : shell.piped();
}

class Shell {
  readonly #context: CommandContext;
  readonly #options: Options;
  readonly #history: History;
  readonly #results = new Results();

  constructor(context: CommandContext, options: Options) {
    this.#context = { ...context, lasting: true };
    this.#options = options;
    this.#history = new History(context.terminal.process.env, context.messages);
  }

  async interactive(): Promise<number> {
    const { terminal, connection, interrupts, messages } = this.#context;
    await this.#history.load();
    if (!this.#options.quiet) terminal.remark("'help' says what there is; Tab completes; 'exit' leaves.");
    // Whether there is a session shows in the prompt. Where there is none, the first call says so.
    await connection.logged().catch((error) => fail(terminal, error));
    const reader = new LineReader({
      process: terminal.process,
      complete: (line) => complete(messages, COMMAND_WORDS, line),
      history: () => this.#history.lines,
    });
    for (;;) {
      // Between two calls the terminal makes a signal of Ctrl-C: there is nothing it could end then.
      const stopListening = interrupts.listen(() => {});
      interrupts.renew();
      const { signal } = interrupts;
      const line = await reader.read(`${connection.account ?? '-'} >>> `, signal);
      stopListening();
      if (line === undefined) return signal.aborted ? EXIT.interrupted : EXIT.ok;
      await this.#history
        .add(line)
        .catch((error) => terminal.warning(`the history can't be kept: ${error.message}`));
      try {
        if ((await this.#run(line)) === 'exit') return EXIT.ok;
      } catch (error) {
        fail(terminal, error);
      }
    }
  }

  /** Lines from a file or another program: the first that fails ends it. */
  async piped(): Promise<number> {
    const { terminal } = this.#context;
    let number = 0;
    for await (const line of createInterface({ input: terminal.process.stdin, crlfDelay: Infinity })) {
      number++;
      try {
        if ((await this.#run(line)) === 'exit') break;
      } catch (error) {
        terminal.error(`line ${number}:`);
        return fail(terminal, error);
      }
    }
    return EXIT.ok;
  }

  async #run(line: string): Promise<'exit' | undefined> {
    const { terminal } = this.#context;
    const { options, rest: words } = readOptions(splitLine(line));
    const [name, ...rest] = words;
    if (options.server !== undefined || options.data !== undefined || options.passwordStdin) {
      throw usageError('--server, --data and --password-stdin stand behind ingot itself, not in its shell');
    }
    if (name === undefined && !options.help) return undefined;
    if (name === 'exit' || name === 'quit') return 'exit';
    if (name === 'help' && rest.length === 0) terminal.print(this.#help());
    else if (name === 'history') terminal.print(this.#history.lines.join('\n'));
    else if (name === 'more') terminal.print(this.#results.more(rest));
    else if (name === 'save') terminal.print(await this.#results.save(rest));
    else {
      const answer = await runCommand(this.#context, words, {
        ...options,
        json: options.json || this.#options.json,
        quiet: options.quiet || this.#options.quiet,
        wait: options.wait && this.#options.wait,
      });
      if (answer) this.#results.add(withoutSecrets(this.#context.messages, line.trim()), answer);
    }
    return undefined;
  }

  #help(): string {
    return [
      "A line is a call and its parameters: QueryImage name~=cent size>10G. 'help CALL' says what one takes.",
      '',
      ...callsByResource(this.#context.messages),
      '',
      ...Object.entries(COMMANDS).map(([words, doc]) => `  ${words.padEnd(26)}${doc}`),
    ].join('\n');
  }
}
