/** One call, from its words to what it answers. */
import type { Message } from '../kernel/message.ts';
import { showAnswer } from './answer.ts';
import type { HttpAnswer } from './client.ts';
import type { CommandContext } from './context.ts';
import { download } from './download.ts';
import { restsUntilNextStart, waitForJob } from './job.ts';
import { localParameters, takeLocal } from './local-files.ts';
import type { Options } from './options.ts';
import { readParameters } from './parameters.ts';
import { jobUuidOf } from './request.ts';
import { upload } from './upload.ts';

/** Fulfilled with what the service answered, which is shown by then. */
export async function call(
  context: CommandContext,
  message: Message,
  words: readonly string[],
  options: Options,
): Promise<HttpAnswer> {
  if (message.answer.kind === 'file') return download(context, message, words, options);
  if (localParameters(message).file) {
    const { value: file, rest } = takeLocal(words, 'file');
    if (file !== undefined) return upload(context, message, { file, words: rest, options });
  }
  const { terminal, connection } = context;
  const parameters = readParameters(message, words);
  const accepted = await connection.send(message, parameters);
  const { json, quiet } = options;
  const silent = json || quiet;
  if (accepted.status !== 202) {
    const fields = typeof parameters.fields === 'string' ? parameters.fields.split(',') : undefined;
    showAnswer(terminal, message, accepted, { json, quiet, fields });
    return accepted;
  }
  const job = jobUuidOf(accepted);
  if (!options.wait) {
    if (json) showAnswer(terminal, message, accepted, { json, quiet });
    else terminal.print(job);
    const { stop } = await connection.server();
    if (stop && !silent) terminal.remark(`The job ${restsUntilNextStart(context.lasting)}.`);
    return accepted;
  }
  const answer = await waitForJob({ ...context, message, job, silent, printUuid: !json });
  showAnswer(terminal, message, answer, { json, quiet });
  return answer;
}
