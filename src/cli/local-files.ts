/** Words that mean a file of the user's own machine; they are the command line's, and never sent. */

import type { Field, Fields } from '../kernel/field.ts';
import { text } from '../kernel/field.ts';
import type { Message } from '../kernel/message.ts';
import { usageError } from './exit-codes.ts';
import { splitAssignment } from './words.ts';

const LOCAL: Record<string, Fields> = {
  AddImage: {
    file: text(
      'A file of this machine that is sent, in place of url. Begun again, it goes on where it stopped.',
      {
        max: 4096,
        since: 'ingot',
        optional: true,
      },
    ),
  },
  DownloadImage: {
    to: text("The file or directory of this machine to write to; by default the image's name, here.", {
      max: 4096,
      since: 'ingot',
      optional: true,
    }),
  },
};

/** What the command line takes for a call besides the message's own parameters. */
export function localParameters(message: Message): Readonly<Record<string, Field>> {
  return LOCAL[message.name] ?? {};
}

/** Takes the word of that name out of the words. */
export function takeLocal(
  words: readonly string[],
  name: string,
): { value: string | undefined; rest: string[] } {
  const mine = words.filter((word) => word.startsWith(`${name}=`));
  if (mine.length > 1) throw usageError(`'${name}' is given twice`);
  const [word] = mine;
  const value = word === undefined ? undefined : splitAssignment(word)[1];
  if (value === '') throw usageError(`'${name}' is empty; give a path`);
  return { value, rest: words.filter((each) => !mine.includes(each)) };
}
