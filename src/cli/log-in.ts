/** `ingot login` and `ingot logout`. */
import type { CommandContext } from './context.ts';
import { Refused } from './describe-error.ts';
import { Ending, EXIT, usageError } from './exit-codes.ts';
import type { Options } from './options.ts';
import { askHidden } from './question.ts';

/** `login [account] [--password-stdin]`: keeps the session for the calls that follow. */
export async function logIn(
  { terminal, connection }: CommandContext,
  words: readonly string[],
  options: Options,
): Promise<void> {
  const [account = 'admin', ...more] = words;
  if (more.length > 0 || account.includes('=')) {
    throw usageError('login takes an account name alone: ingot login [account] [--password-stdin]');
  }
  const { address } = await connection.server();
  const password = options.passwordStdin
    ? await readStdin(terminal.process)
    : await askPassword(terminal.interactive, () =>
        askHidden(terminal.process, `Password of ${account} at ${address}: `),
      );
  if (password === '') throw usageError('the password is empty');
  await connection.logIn(account, password);
  if (!options.quiet) terminal.remark(`Logged in as ${account} at ${address}`);
}

function askPassword(interactive: boolean, ask: () => Promise<string>): Promise<string> {
  if (!interactive) throw usageError('there is no terminal to ask for the password; use --password-stdin');
  return ask();
}

/** Up to the first end of a line. */
async function readStdin(process: NodeJS.Process): Promise<string> {
  let text = '';
  process.stdin.setEncoding('utf8');
  for await (const piece of process.stdin) text += String(piece);
  return text.split(/\r?\n/, 1)[0] ?? '';
}

/** Forgets the session, and ends it where the service has a call for that. */
export async function logOut(
  { terminal, connection, messages }: CommandContext,
  options: Options,
): Promise<void> {
  const kept = await connection.forget();
  if (!kept) throw new Ending(EXIT.ok, 'no session was kept');
  const message = messages.find((each) => each.name === 'LogOut');
  if (message?.caller === 'anyone' && message.parameters.sessionUuid) {
    await connection.send(message, { sessionUuid: kept.session }).catch((error) => {
      // It is over by itself in two hours at most.
      if (!(error instanceof Refused)) throw error;
    });
  }
  if (!options.quiet) terminal.remark(`Logged out ${kept.account}`);
}
