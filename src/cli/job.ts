/** An asynchronous call after it was accepted: waiting for its end, and what Ctrl-C does meanwhile. */
import type { Job } from '../client/ingot.ts';
import type { Message } from '../kernel/message.ts';
import type { Connection } from './connection.ts';
import { Refused } from './describe-error.ts';
import { Ending, EXIT } from './exit-codes.ts';
import { NotReached } from './http.ts';
import type { Interrupts } from './interrupts.ts';
import { ProgressDisplay } from './progress-display.ts';
import { askKey } from './question.ts';
import type { Terminal } from './terminal.ts';

/** Milliseconds between two looks: the first, the longest, and what each is longer by. */
const FIRST_LOOK = 50;
const LAST_LOOK = 500;
const SLOWER = 1.25;
/** How long a service that went away is waited for, in milliseconds. */
const PATIENCE = 60_000;
type Members = Record<string, unknown>;

export interface JobCall {
  connection: Connection;
  terminal: Terminal;
  interrupts: Interrupts;
  /** The call that was made. */
  message: Message;
  /** Uuid of the job. */
  job: string;
  /** The declarations of what is asked about it. */
  messages: readonly Message[];
  /** Whether progress and remarks are wanted. */
  silent: boolean;
  /** Whether the uuid is printed when the job is left alone. */
  printUuid: boolean;
  /** True where the command is one of many on the same connection. */
  lasting: boolean;
}

/** Fulfilled with the job's answer. Rejects with Refused for its error, with Ending(interrupted) when it is left alone. */
export async function waitForJob(call: JobCall): Promise<Members> {
  const { interrupts, terminal } = call;
  const display = new ProgressDisplay({ terminal, label: call.message.name, silent: call.silent });
  const state = { ended: false };
  const outcome = follow(call, display, state);
  // It is looked at below; without this, its failure during a question would count as unhandled.
  outcome.catch(() => {});
  let interrupted: () => void = () => {};
  const stopListening = interrupts.listen(() => interrupted());
  let cancelling = false;
  try {
    for (;;) {
      const interrupt = new Promise<'interrupt'>((resolve) => {
        interrupted = () => resolve('interrupt');
      });
      const event = await Promise.race([outcome, interrupt]);
      if (event !== 'interrupt') return event;
      if (cancelling || !terminal.interactive) throw await detached(call);
      display.pause();
      const second = new Promise<'d'>((resolve) => {
        interrupted = () => resolve('d');
      });
      const choice = await ask(call, outcome, second);
      display.resume();
      if (choice === 'd') throw await detached(call);
      if (choice === 'y') cancelling = await cancel(call, display);
    }
  } catch (error) {
    if (cancelling && error instanceof Refused && error.body.code === 'SYS.1017') {
      throw new Ending(EXIT.interrupted, `${call.message.name} was cancelled; what it had begun is undone`);
    }
    if (isInterrupted(error) && interrupts.signal.aborted) throw await detached(call);
    throw error;
  } finally {
    state.ended = true;
    stopListening();
    terminal.wipe();
  }
}

/** Undefined where the job ended before an answer came. `second` is a Ctrl-C that came as a signal. */
async function ask(
  { terminal }: JobCall,
  outcome: Promise<unknown>,
  second: Promise<'d'>,
): Promise<'y' | 'd' | 'c' | undefined> {
  const over = new AbortController();
  const end = () => over.abort();
  outcome.then(end, end);
  let choice: 'd' | undefined;
  void second.then((answer) => {
    choice = answer;
    end();
  });
  const key = await askKey(
    terminal.process,
    'Cancel the job? [y]es, [d]etach and leave it running, [c]ontinue waiting ',
    ['y', 'd', 'c'],
    'd',
    over.signal,
  );
  return key ?? choice;
}

/** Whether the job is now being undone. */
async function cancel(
  { connection, terminal, messages, job }: JobCall,
  display: ProgressDisplay,
): Promise<boolean> {
  const message = declared(messages, 'CancelLongJob');
  try {
    const sent = await connection.send(message, { uuid: job });
    if ('job' in sent) await untilEnded(connection, sent.job);
    display.undoing = true;
    return true;
  } catch (error) {
    if (!(error instanceof Refused || error instanceof NotReached)) throw error;
    terminal.warning(`the job can't be cancelled: ${error.message}`);
    return false;
  }
}

/** What becomes of a job whose service was started for the command, or the shell, that begot it. */
export function restsUntilNextStart(lasting: boolean): string {
  return lasting
    ? 'goes on while this shell runs, which started the service, and after that when one is started again'
    : 'goes on when a service is started again: the one that was started for this command stops now';
}

/** Says how to find the job again; the Ending that the command ends with. */
async function detached({
  connection,
  terminal,
  job,
  message,
  printUuid,
  lasting,
}: JobCall): Promise<Ending> {
  const { stop } = await connection.server();
  if (printUuid) terminal.print(job);
  return new Ending(
    EXIT.interrupted,
    `${message.name} ${stop ? restsUntilNextStart(lasting) : 'goes on by itself'} (job ${job})`,
    `How far it is: ingot GetTaskProgress apiId=${job}\nHow it ended:   ingot QueryLongJob uuid=${job}`,
  );
}

async function follow(call: JobCall, display: ProgressDisplay, state: { ended: boolean }): Promise<Members> {
  const { connection, terminal, job } = call;
  const { address } = await connection.server();
  let delay = FIRST_LOOK;
  let goneSince: number | undefined;
  for (;;) {
    try {
      const found = await connection.look(job);
      if (goneSince !== undefined) terminal.remark('The service is back.');
      goneSince = undefined;
      const answer = answerOf(found);
      if (answer) return answer;
      if (display.wanted) display.show({ ...found, percent: found.percent ?? 0 });
    } catch (error) {
      if (!isAway(error)) throw error;
      const now = performance.now();
      if (goneSince === undefined) {
        goneSince = now;
        if (!call.silent) {
          terminal.remark(
            `The service at ${address} is away; ${call.message.name} (job ${job}) goes on by itself when it is back. Trying for ${PATIENCE / 1000} s.`,
          );
        }
      } else if (now - goneSince > PATIENCE) {
        throw new Ending(
          EXIT.unreachable,
          `${error.message}; job ${job} goes on when it runs again`,
          error.elaboration,
        );
      }
      await connection.lookAgain();
    }
    await new Promise((done) => setTimeout(done, delay));
    if (state.ended) throw new Ending(EXIT.interrupted, 'interrupted');
    delay = Math.min(LAST_LOOK, delay * SLOWER);
  }
}

/** The answer of a job that is over; undefined while it is not. Refused for its error. */
function answerOf({ answer, error }: Job): Members | undefined {
  if (error) throw new Refused(error);
  return answer;
}

/** Not reached, or only just starting. */
function isAway(error: unknown): error is Ending {
  return error instanceof NotReached || (error instanceof Refused && error.body.code === 'SYS.1010');
}

/** The answer of a short call, once it has ended. */
export async function untilEnded(connection: Connection, job: string): Promise<Members> {
  for (let delay = FIRST_LOOK / 5; ; delay = Math.min(LAST_LOOK, delay * SLOWER)) {
    const answer = answerOf(await connection.look(job));
    if (answer) return answer;
    await new Promise((done) => setTimeout(done, delay));
  }
}

function declared(messages: readonly Message[], name: string): Message {
  const message = messages.find((each) => each.name === name);
  if (!message) throw new Error(`${name} is not declared`);
  return message;
}

function isInterrupted(error: unknown): boolean {
  return error instanceof Ending && error.exitCode === EXIT.interrupted;
}
