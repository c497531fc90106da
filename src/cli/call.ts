/** One call, from its words to what it answers. */
import type { Message } from '../kernel/message.ts';
import { showAnswer, sortedJson } from './answer.ts';
import type { Connection } from './connection.ts';
import type { Interrupts } from './interrupts.ts';
import { restsUntilNextStart, waitForJob } from './job.ts';
import type { Options } from './options.ts';
import { readParameters } from './parameters.ts';
import type { Terminal } from './terminal.ts';

/** What the commands of one process share. */
export interface CommandContext {
  terminal: Terminal;
  connection: Connection;
  interrupts: Interrupts;
  messages: readonly Message[];
  /** True in a shell: a service that was started outlives the call. */
  lasting: boolean;
}

/** Fulfilled with what the service answered, which is shown by then. */
export async function call(
  context: CommandContext,
  message: Message,
  words: readonly string[],
  options: Options,
): Promise<Record<string, unknown>> {
  const { terminal, connection } = context;
  const parameters = readParameters(message, words);
  const sent = await connection.send(message, parameters);
  const { json, quiet } = options;
  const silent = json || quiet;
  if ('answer' in sent) {
    const fields = Array.isArray(parameters.fields) ? parameters.fields.map(String) : undefined;
    showAnswer(terminal, message, sent.answer, { json, quiet, fields });
    return sent.answer;
  }
  const { job } = sent;
  if (!options.wait) {
    const begun = { uuid: job };
    terminal.print(json ? sortedJson(begun) : job);
    const { stop } = await connection.server();
    if (stop && !silent) terminal.remark(`The job ${restsUntilNextStart(context.lasting)}.`);
    return begun;
  }
  const answer = await waitForJob({ ...context, message, job, silent, printUuid: !json });
  showAnswer(terminal, message, answer, { json, quiet });
  return answer;
}
