/** The options of calls; they may stand before or after the message. */
import { didYouMean } from '../kernel/nearest.ts';
import { usageError } from './exit-codes.ts';

export interface Options {
  server?: string;
  data?: string;
  json: boolean;
  quiet: boolean;
  wait: boolean;
  help: boolean;
  version: boolean;
  passwordStdin: boolean;
}

interface Option {
  /** How its value is written; none for a switch. */
  form?: string;
  doc: string;
  set: (options: Options, value: string) => void;
}

export const OPTIONS: Record<string, Option> = {
  '--server': {
    form: 'URL',
    doc: 'the service to call (INGOT_SERVER); by default the one on the data directory',
    set: (options, value) => {
      options.server = value;
    },
  },
  '--data': {
    form: 'DIR',
    doc: 'the data directory (INGOT_DATA)',
    set: (options, value) => {
      options.data = value;
    },
  },
  '--json': {
    doc: "the service's answer as JSON on stdout, and nothing else",
    set: (options) => {
      options.json = true;
    },
  },
  '--quiet': {
    doc: 'no progress and no remarks',
    set: (options) => {
      options.quiet = true;
    },
  },
  '--no-wait': {
    doc: "begin the job, print its uuid and don't wait",
    set: (options) => {
      options.wait = false;
    },
  },
  '--password-stdin': {
    doc: 'with login: read the password from stdin',
    set: (options) => {
      options.passwordStdin = true;
    },
  },
  '--help': {
    doc: 'this help; after a call, what it takes (also -h)',
    set: (options) => {
      options.help = true;
    },
  },
  '--version': {
    doc: 'the version',
    set: (options) => {
      options.version = true;
    },
  },
};

/** Takes the options out of the words. Ending(usage) for an unknown one. */
export function readOptions(words: readonly string[]): { options: Options; rest: string[] } {
  const options: Options = {
    json: false,
    quiet: false,
    wait: true,
    help: false,
    version: false,
    passwordStdin: false,
  };
  const rest: string[] = [];
  for (let i = 0; i < words.length; i++) {
    const word = words[i] ?? '';
    if (!word.startsWith('-')) {
      rest.push(word);
      continue;
    }
    const at = word.indexOf('=');
    const written = at < 0 ? word : word.slice(0, at);
    const name = written === '-h' ? '--help' : written;
    const option = Object.hasOwn(OPTIONS, name) ? OPTIONS[name] : undefined;
    if (!option)
      throw usageError(`there is no option '${written}'${didYouMean(written, Object.keys(OPTIONS))}`);
    if (option.form === undefined) {
      if (at >= 0) throw usageError(`${name} takes no value, but '${word}' gives one`);
      option.set(options, '');
      continue;
    }
    const value = at < 0 ? words[++i] : word.slice(at + 1);
    if (value === undefined || value === '')
      throw usageError(`${name} needs a value: ${name} ${option.form}`);
    option.set(options, value);
  }
  return { options, rest };
}
