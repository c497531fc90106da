/** One call, from its words to what it answers. */
import type { Message } from '../kernel/message.ts';
import { showAnswer, sortedJson } from './answer.ts';
import type { CommandContext } from './context.ts';
import { download } from './download.ts';
import { restsUntilNextStart, waitForJob } from './job.ts';
import { localParameters, takeLocal } from './local-files.ts';
import type { Options } from './options.ts';
import { readParameters } from './parameters.ts';
import { upload } from './upload.ts';

/** Fulfilled with what the service answered, which is shown by then. */
export async function call(
  context: CommandContext,
  message: Message,
  words: readonly string[],
  options: Options,
): Promise<Record<string, unknown>> {
  if (message.answer.kind === 'file') return download(context, message, words, options);
  if (localParameters(message).file) {
    const { value: file, rest } = takeLocal(words, 'file');
    if (file !== undefined) return upload(context, message, { file, words: rest, options });
  }
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
