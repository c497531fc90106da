/** The command line: one call, a command of its own, or the shell. */
import { messages } from '../catalogue.ts';
import { VERSION } from '../version.ts';
import { runCommand } from './commands.ts';
import { Connection } from './connection.ts';
import type { CommandContext } from './context.ts';
import { EXIT } from './exit-codes.ts';
import { fail } from './failure.ts';
import { Interrupts } from './interrupts.ts';
import { type Options, readOptions } from './options.ts';
import type { StartService } from './server-choice.ts';
import { Terminal } from './terminal.ts';

export interface CommandLineOptions {
  /** How a service is started for one command where none runs; without it, none is. */
  startService?: StartService;
}

/** Runs the command; fulfilled with the exit code. */
export async function runCommandLine(
  arguments_: readonly string[],
  process: NodeJS.Process,
  { startService }: CommandLineOptions = {},
): Promise<number> {
  const terminal = new Terminal(process);
  // `ingot QueryImage | head`: who reads has had enough.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
  });
  const interrupts = new Interrupts(process);
  let context: CommandContext | undefined;
  try {
    const { options, rest } = readOptions(arguments_);
    const connection = new Connection({
      options,
      environment: process.env,
      startService,
      signal: () => interrupts.signal,
      remark: (sentence) => {
        if (!options.json && !options.quiet) terminal.remark(sentence);
      },
    });
    context = { terminal, connection, interrupts, messages, lasting: false };
    return await run(context, rest, options);
  } catch (error) {
    return fail(terminal, error);
  } finally {
    await context?.connection.stop();
    interrupts.close();
  }
}

async function run(context: CommandContext, words: readonly string[], options: Options): Promise<number> {
  const [name] = words;
  if (options.version) context.terminal.print(VERSION);
  else if (!options.help && (name === undefined || name === 'shell')) {
    const { shell } = await import('./shell.ts');
    return shell(context, words.slice(1), options);
  } else await runCommand(context, words, options);
  return EXIT.ok;
}
