/** The command grammar: lines of the shell, from their words to the request that is sent. */
import fc from 'fast-check';
import { messages } from '../../src/catalogue.ts';
import { complete } from '../../src/cli/completion.ts';
import { Ending } from '../../src/cli/exit-codes.ts';
import { readOptions } from '../../src/cli/options.ts';
import { findMessage, readParameters } from '../../src/cli/parameters.ts';
import { splitLine } from '../../src/cli/words.ts';
import { requestFor } from '../../src/client/transport.ts';
import { IngotError } from '../../src/kernel/errors.ts';
import { queryText } from './query-target.ts';
import { target } from './target.ts';

const COMMANDS = ['serve', 'fsck', 'help', 'exit'];
const NAMES = [...messages.map(({ name }) => name), ...COMMANDS, 'queryimage', '__proto__', 'toString'];
const PARAMETERS = [
  ...new Set(messages.flatMap(({ parameters }) => Object.keys(parameters))),
  '__proto__',
  'constructor',
  '',
];
const VALUES = [
  '',
  '1',
  '-1',
  '10G',
  'true',
  'null',
  '{}',
  '[',
  '"',
  "'",
  '\\',
  'a,b',
  '0'.repeat(32),
  'x'.repeat(3000),
  '\u0000',
  '🦊',
  '\ud800',
  '=',
  '#',
];
const OPTIONS = ['--json', '--help', '-h', '--server', '--server=', '--', '-', '--no-such', '--quiet=1'];

const word = fc.oneof(
  {
    weight: 4,
    arbitrary: fc
      .tuple(fc.constantFrom(...PARAMETERS), fc.constantFrom(...VALUES))
      .map((pair) => pair.join('=')),
  },
  { weight: 1, arbitrary: fc.constantFrom(...OPTIONS, ...VALUES, ...NAMES) },
  { weight: 1, arbitrary: queryText },
  { weight: 1, arbitrary: fc.string({ maxLength: 12, unit: 'binary' }) },
);

export const commandTarget = target<string>({
  name: 'command',
  inputs: fc
    .tuple(fc.constantFrom(...NAMES), fc.array(word, { maxLength: 6 }), fc.constantFrom(' ', '  ', '\t'))
    .map(([name, words, blank]) => [name, ...words].join(blank)),
  run(line) {
    complete(messages, COMMANDS, line);
    try {
      const { rest } = readOptions(splitLine(line));
      const [name = '', ...words] = rest;
      const message = findMessage(messages, name, COMMANDS);
      const request = requestFor(message, readParameters(message, words));
      new URL(request.path, 'http://localhost');
    } catch (error) {
      const isTold = error instanceof Ending || (error instanceof IngotError && error.code === 'SYS.1007');
      if (!isTold) throw error;
    }
  },
});
