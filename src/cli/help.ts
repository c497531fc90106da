/** Help, written from the declarations. */
import { environmentName, flagName, SETTINGS } from '../config.ts';
import type { AnyField, Field } from '../kernel/field.ts';
import { formatSize } from '../kernel/format.ts';
import type { Message } from '../kernel/message.ts';
import { pad } from './display-width.ts';
import { EXIT, EXIT_MEANINGS } from './exit-codes.ts';
import { localParameters } from './local-files.ts';
import { OPTIONS } from './options.ts';
import { TYPED_OPERATORS } from './query-words.ts';
import { quoteWord } from './words.ts';

/** What is no call. */
export const COMMANDS: Record<string, { words: string; doc: string }> = {
  serve: { words: '[--data DIR] [setting …]', doc: 'run the service in the foreground' },
  login: { words: '[account] [--password-stdin]', doc: 'log in (admin by default) and keep the session' },
  logout: { words: '', doc: 'forget the session' },
  try: {
    words: 'IMAGE [memorySize=1G …]',
    doc: 'start a throw-away virtual machine from an image and show its console; deleted when the command ends',
  },
  shell: { words: '', doc: 'calls line by line, with history and Tab; also without any word' },
  fsck: {
    words: '[--data DIR] [--repair] [--remove-unregistered] [--deep] [--json]',
    doc: 'check rows and bytes against each other, where no service runs; --repair removes what is bad',
  },
  backup: {
    words: 'DIRECTORY [--data DIR]',
    doc: 'write the database and the keys to a new directory, while the service runs or not',
  },
  restore: {
    words: 'DIRECTORY [--data DIR] [--force]',
    doc: 'bring back what backup has written, where no service runs; --force replaces what is there',
  },
  help: { words: '[call or command]', doc: 'the same as --help' },
};

const WIDTH = 100;

export function generalHelp(messages: readonly Message[]): string {
  return [
    'Usage: ingot [options] CALL [name=value …]     for example: ingot AddImage name=centos url=https://…',
    '       ingot COMMAND …',
    '       ingot                                   the shell',
    '',
    'Commands',
    ...Object.entries(COMMANDS).map(([name, { words, doc }]) => entry(`${name} ${words}`.trim(), doc)),
    '',
    "Calls ('ingot CALL --help' says what one takes)",
    ...callsByResource(messages),
    '',
    'Options, before or after the call',
    ...Object.entries(OPTIONS).map(([name, { form, doc }]) => entry(form ? `${name} ${form}` : name, doc)),
    '',
    'Which service is called',
    ...paragraph(
      'The one named by --server or INGOT_SERVER; else the one that runs on the data directory; where none runs, ' +
        "one is started for the command: 'npm start -- AddImage …' needs nothing else. A service that was started " +
        'for a command is stopped again when the command ends. What it did stays in the data directory, and a job ' +
        'that has not ended goes on with the next start.',
    ),
    ...paragraph(
      "On the service's own machine its owner needs no log-in: the password is read from the data directory.",
    ),
    '',
    'Exit codes',
    ...Object.entries(EXIT).map(([name, code]) =>
      entry(String(code), EXIT_MEANINGS[name as keyof typeof EXIT]),
    ),
  ].join('\n');
}

export function callsByResource(messages: readonly Message[]): string[] {
  const groups = new Map<string, string[]>();
  for (const message of messages) {
    const group = message.resource?.name ?? 'Service';
    groups.set(group, [...(groups.get(group) ?? []), message.name]);
  }
  return [...groups].flatMap(([group, names]) => entry(group, names.join(' ')));
}

export function commandHelp(name: string): string {
  const command = COMMANDS[name];
  const lines = [
    `Usage: ingot ${name} ${command?.words ?? ''}`.trimEnd(),
    '',
    ...paragraph(`${command?.doc}.`),
  ];
  if (name !== 'serve') return lines.join('\n');
  return [
    ...lines,
    '',
    'Settings, as an option, in the environment or in config.json of the data directory',
    entry('--data DIR, INGOT_DATA', 'the data directory; by default in your data home'),
    ...Object.entries(SETTINGS).map(([setting, { form, doc, default: standard }]) =>
      entry(
        `${flagName(setting)} ${form}, ${environmentName(setting)}`,
        standard === '' ? doc : `${doc} (default ${standard})`,
      ),
    ),
  ].join('\n');
}

export function messageHelp(message: Message): string {
  const words = message.query ? '[condition …] [parameter …]' : '[name=value …]';
  const lines = [`Usage: ingot ${message.name} ${words}`, '', ...paragraph(message.doc)];
  if (message.query && message.resource) lines.push(...queryHelp(message));
  const parameters = Object.entries({ ...message.parameters, ...localParameters(message) }).filter(
    ([name]) => !message.query || name !== 'conditions',
  );
  if (parameters.length > 0) lines.push('', 'Parameters');
  for (const [name, field] of parameters) lines.push(...parameterHelp(name, field));
  lines.push('', 'Example', ...exampleLines(['ingot', ...exampleOf(message).map(quoteWord)]));
  return lines.join('\n');
}

/** Long ones go on in the next line, as a shell takes them. */
function exampleLines(words: readonly string[]): string[] {
  const lines: string[] = [];
  for (const word of words) {
    const last = lines.at(-1);
    if (last === undefined) lines.push(`  ${word}`);
    else if (last.length + word.length + 3 <= 110) lines[lines.length - 1] = `${last} ${word}`;
    else lines.splice(-1, 1, `${last} \\`, `    ${word}`);
  }
  return lines;
}

function queryHelp({ resource }: Message): string[] {
  if (!resource) return [];
  const expanded = [...Object.keys(resource.relations), ...Object.keys(resource.aliases)];
  return [
    '',
    'Conditions: a field, an operator, a value; all must hold',
    ...Object.entries(TYPED_OPERATORS).map(([sign, doc]) => entry(sign, doc)),
    '',
    `Fields of ${resource.name}`,
    ...Object.entries(resource.fields).map(([name, field]) => entry(`${name} (${kindOf(field)})`, field.doc)),
    ...(expanded.length > 0 ? ['', 'Leading on, as in name.uuid=…', ...paragraph(expanded.join(' '))] : []),
    '',
    "In a shell such as bash, put words with > or < or ! in quotes: 'size>10G'.",
  ];
}

function parameterHelp(name: string, field: Field): string[] {
  const presence =
    field.presence === 'required'
      ? 'required'
      : field.presence === 'defaulted'
        ? `default ${String(field.default)}`
        : 'optional';
  const since =
    field.since === 'ingot' ? ', beyond ZStack' : field.since === '0.6' ? '' : `, since ${field.since}`;
  const doc = field.doc.trim();
  const lines = [entry(name, `${kindOf(field)}; ${presence}${since}`)];
  if (doc) lines.push(...paragraph(doc, '      '));
  const choices = field.kind === 'choice' ? Object.entries(field.choices) : [];
  for (const [value, meaning] of choices)
    lines.push(`        ${meaning ? `${pad(value, 20)}  ${meaning}` : value}`);
  return lines;
}

/** What kind of value is wanted, with its limits. */
export function kindOf(field: AnyField): string {
  switch (field.kind) {
    case 'text':
      return `text of at most ${field.max} characters`;
    case 'uuid':
      return field.references ? `uuid of a ${field.references}` : 'uuid';
    case 'integer': {
      const unit = field.unit === 'bytes' ? 'size such as 10G or 512MiB' : `whole number`;
      const of = field.unit && field.unit !== 'bytes' && field.unit !== 'count' ? ` of ${field.unit}` : '';
      const most = field.max === Number.MAX_SAFE_INTEGER ? '' : ` to ${limit(field.max, field.unit)}`;
      return field.min > 0 || most
        ? `${unit}${of} from ${limit(field.min, field.unit)}${most}`
        : `${unit}${of}`;
    }
    case 'boolean':
      return 'true or false';
    case 'date':
      return 'date such as 2026-01-31 or 2026-01-31T12:00:00Z';
    case 'choice':
      return `one of ${Object.keys(field.choices).join(', ')}`;
    case 'json':
      return 'JSON';
    case 'list':
      return `list, separated by commas, of: ${kindOf(field.element)}`;
  }
}

const limit = (value: number, unit: string | undefined) =>
  unit === 'bytes' ? formatSize(value) : String(value);

/** What is required, and a little of the rest. */
function exampleOf(message: Message): string[] {
  if (message.query) {
    const fields = message.resource?.fields ?? {};
    const condition = fields.name ? ['name~=cent'] : [];
    const size = Object.entries(fields).find(
      ([, field]) => field.kind === 'integer' && field.unit === 'bytes',
    );
    return [message.name, ...condition, ...(size ? [`${size[0]}>10G`] : []), 'limit=10'];
  }
  const wanted = Object.entries(message.parameters).filter(([, field]) => field.presence === 'required');
  return [message.name, ...wanted.map(([name, field]) => `${name}=${exampleValue(name, field)}`)];
}

const EXAMPLE_UUID = '7f0f1a3c9f3b4a0c8d1e2b3c4d5e6f70';

function exampleValue(name: string, field: AnyField): string {
  switch (field.kind) {
    case 'uuid':
      return EXAMPLE_UUID;
    case 'integer':
      return field.unit === 'bytes' ? '10G' : String(field.min);
    case 'boolean':
      return 'true';
    case 'date':
      return '2026-01-31';
    case 'choice':
      return Object.keys(field.choices)[0] ?? '';
    case 'list':
      return exampleValue(name, field.element);
    case 'json':
      return '{}';
    case 'text':
      if (field.rule?.says.includes('http')) return 'https://example.org/image.qcow2';
      if (field.rule?.says.includes('path')) return '/srv/images';
      return field.secret ? 'secret' : name === 'apiId' ? EXAMPLE_UUID : `my-${name.toLowerCase()}`;
  }
}

const ENTRY = 26;

/** A term and what it is, the second indented, both wrapped. */
function entry(term: string, doc: string): string {
  const margin = ' '.repeat(ENTRY + 2);
  const lines = wrap(doc, WIDTH - ENTRY - 2);
  const [first = '', ...rest] = term.length < ENTRY - 1 ? lines : ['', ...lines];
  const head =
    first === ''
      ? wrap(term, WIDTH - 4)
          .join('\n    ')
          .replace(/^/, '  ')
      : `  ${pad(term, ENTRY - 2)}  ${first}`;
  return [head.trimEnd(), ...rest.map((line) => (margin + line).trimEnd())].join('\n');
}

function paragraph(text: string, margin = '  '): string[] {
  return wrap(text, WIDTH - margin.length).map((line) => margin + line);
}

function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(/\s+/).filter(Boolean)) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else line = line === '' ? word : `${line} ${word}`;
  }
  if (line !== '') lines.push(line);
  return lines;
}
