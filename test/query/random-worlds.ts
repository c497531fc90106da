/** Worlds of rows, and questions about images in them, at random. */
import fc from 'fast-check';
import type { SortTerm, Test, Tree } from './in-memory.ts';

const WORDS = [
  'a',
  'A',
  'b',
  'ab',
  'aB',
  'a%',
  'a_b',
  'é',
  'É',
  'z',
  "it's",
  'a\\',
  'a,b',
  'x y',
  '(q)',
  '🦊',
] as const;
const PATTERNS = [
  'a%',
  'A%',
  '%b',
  '_',
  'a_',
  'é%',
  '%',
  'a\\%',
  'a\\_b',
  '%\\',
  "it'%",
  '🦊%',
  '_%_',
  'zz%',
] as const;
const BORN = Date.UTC(2026, 0, 1);

const word = fc.constantFrom(...WORDS);
const maybe = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: null, freq: 3 });
const date = fc.integer({ min: 0, max: 3 }).map((days) => BORN + days * 86_400_000);
const uuids = (count: number, first: string) =>
  Array.from({ length: count }, (_, i) =>
    `${first}${String(i).padStart(7, '0')}`.padEnd(12, '0').concat('40008000').padEnd(32, '0'),
  );

const ZONES = uuids(3, 'c');
const STORAGES = uuids(4, 'b');
const IMAGES = uuids(14, 'a');
const dates = { createDate: date, lastOpDate: date };

const zone = (uuid: string) =>
  fc.record({
    uuid: fc.constant(uuid),
    name: word,
    description: maybe(word),
    state: fc.constantFrom('Enabled', 'Disabled'),
    type: fc.constant('zstack'),
    isDefault: fc.boolean(),
    ...dates,
  });

const storage = (uuid: string) =>
  fc.record({
    uuid: fc.constant(uuid),
    name: word,
    description: maybe(word),
    url: word.map((text) => `/srv/${text}`),
    totalCapacity: fc.constantFrom(0, 1024, 4096),
    availableCapacity: fc.constantFrom(0, 1024),
    type: fc.constant('LocalBackupStorage'),
    state: fc.constantFrom('Enabled', 'Disabled'),
    status: fc.constantFrom('Connecting', 'Connected', 'Disconnected'),
    ...dates,
  });

const image = (uuid: string) =>
  fc.record({
    uuid: fc.constant(uuid),
    name: word,
    description: maybe(word),
    state: fc.constantFrom('Enabled', 'Disabled'),
    status: fc.constantFrom('Creating', 'Downloading', 'Ready'),
    size: fc.constantFrom(0, 1, 1024, 1536, 1_048_576),
    actualSize: fc.constantFrom(0, 5),
    md5Sum: fc.constant(null),
    sha256Sum: fc.constant(null),
    url: word.map((text) => `http://h/${text}`),
    mediaType: fc.constantFrom('RootVolumeTemplate', 'ISO'),
    guestOsType: maybe(word),
    platform: fc.constantFrom('Linux', 'Windows'),
    architecture: fc.constant('x86_64'),
    type: fc.constant('zstack'),
    format: maybe(fc.constantFrom('qcow2', 'raw')),
    system: fc.boolean(),
    virtio: fc.boolean(),
    ...dates,
  });

const pairs = (one: readonly string[], other: readonly string[]) =>
  fc.subarray(one.flatMap((first) => other.map((second) => [first, second] as const)));

const tagged = fc.constantFrom(...ZONES.slice(0, 1), ...STORAGES.slice(0, 2), ...IMAGES.slice(0, 8));
const tags = (type: 'User' | 'System') =>
  fc.array(fc.tuple(tagged, fc.constantFrom('a', 'A', 'b', 'a::b', 'é')), { maxLength: 20 }).map((all) =>
    all.map(([resourceUuid, tag], i) => ({
      uuid: uuids(i + 1, type === 'User' ? 'd' : 'e')[i] as string,
      resourceUuid,
      resourceType: 'ImageVO',
      tag,
      type,
      ...(type === 'System' && { inherent: false }),
      createDate: BORN,
      lastOpDate: BORN,
    })),
  );

/** Rows by table, in an order in which they can be inserted. */
export const worlds = fc.record({
  zone: fc.tuple(...ZONES.map(zone)),
  backupStorage: fc.tuple(...STORAGES.map(storage)),
  backupStorageZoneRef: pairs(STORAGES, ZONES).map((all) =>
    all.map(([backupStorageUuid, zoneUuid]) => ({
      backupStorageUuid,
      zoneUuid,
      createDate: BORN,
      lastOpDate: BORN,
    })),
  ),
  image: fc.tuple(...IMAGES.map(image)),
  imageBackupStorageRef: pairs(IMAGES, STORAGES).map((all) =>
    all.map(([imageUuid, backupStorageUuid], i) => ({
      imageUuid,
      backupStorageUuid,
      installPath: `/srv/${WORDS[i % WORDS.length]}`,
      status: i % 3 === 0 ? 'Downloading' : 'Ready',
      path: imageUuid,
      size: i,
      createDate: BORN,
      lastOpDate: BORN,
    })),
  ),
  userTag: tags('User'),
  systemTag: tags('System'),
});

/** The images' fields, by how they are compared, at the end of any way that leads back to images. */
const WAYS = ['', '', '', 'backupStorage.image.', 'backupStorageRef.backupStorage.imageRef.image.'];
const STORAGE_WAYS = [
  'backupStorage.',
  'backupStorageRefs.backupStorage.',
  'backupStorage.zone.backupStorage.',
];
const at = (ways: readonly string[], ...names: string[]) =>
  fc.tuple(fc.constantFrom(...ways), fc.constantFrom(...names)).map((parts) => parts.join(''));

const textPath = fc.oneof(
  at(WAYS, 'name', 'description', 'guestOsType', '__userTag__', '__systemTag__', 'systemTags.tag'),
  at(STORAGE_WAYS, 'name', 'description', '__userTag__', 'zone.name', 'zone.__systemTag__'),
  fc.constant('backupStorageRef.installPath'),
);
const numberPath = fc.oneof(at(WAYS, 'size', 'actualSize'), at(STORAGE_WAYS, 'totalCapacity'));
const test = (
  path: fc.Arbitrary<string>,
  ops: readonly string[],
  value: fc.Arbitrary<string>,
): fc.Arbitrary<Test> =>
  fc
    .record({ path, op: fc.constantFrom(...ops), values: fc.array(value, { minLength: 1, maxLength: 3 }) })
    .map(({ path: name, op, values }) => ({
      path: name,
      op,
      values: op.endsWith('in') ? values : op.startsWith('is') ? [] : values.slice(0, 1),
    }));

const EQUALITY = ['=', '!=', 'in', 'not in'];
const ORDER = ['>', '>=', '<', '<='];
const NULLS = ['is null', 'is not null'];

const anyTest = fc.oneof(
  {
    weight: 4,
    arbitrary: test(textPath, [...EQUALITY, ...ORDER, ...NULLS], fc.oneof(word, fc.constant('a::b'))),
  },
  { weight: 2, arbitrary: test(textPath, ['like', 'not like'], fc.constantFrom(...PATTERNS)) },
  {
    weight: 2,
    arbitrary: test(
      numberPath,
      [...EQUALITY, ...ORDER, ...NULLS],
      fc.constantFrom('0', '1K', '1024', '1M', '1536', '7'),
    ),
  },
  test(
    at(WAYS, 'createDate'),
    [...EQUALITY, ...ORDER],
    fc.constantFrom('2026-01-01', '2026-01-02T00:00:00Z', String(BORN + 2 * 86_400_000)),
  ),
  test(at(WAYS, 'system', 'virtio'), ['=', '!='], fc.constantFrom('true', 'false')),
  test(
    fc.oneof(at(WAYS, 'state', 'status', 'format'), fc.constant('backupStorageRef.status')),
    [...EQUALITY, ...ORDER, ...NULLS],
    fc.constantFrom('ready', 'READY', 'Enabled', 'disabled', 'raw', 'none'),
  ),
  test(
    at(['', ...WAYS], 'uuid'),
    EQUALITY,
    fc.constantFrom(...IMAGES, IMAGES[0]?.toUpperCase() ?? '', 'none'),
  ),
  test(
    fc.constantFrom('backupStorage.attachedZoneUuids', 'backupStorage.zone.uuid'),
    EQUALITY,
    fc.constantFrom(...ZONES),
  ),
);

const { tree } = fc.letrec<{ tree: Tree }>((tie) => {
  const several = fc.array(tie('tree'), { minLength: 1, maxLength: 3 });
  return {
    tree: fc.oneof(
      { maxDepth: 4, withCrossShrink: true },
      { weight: 4, arbitrary: anyTest.map((only) => ({ test: only })) },
      { weight: 2, arbitrary: several.map((all) => ({ all })) },
      { weight: 2, arbitrary: several.map((any) => ({ any })) },
      { weight: 1, arbitrary: tie('tree').map((not) => ({ not })) },
    ),
  };
});

export interface Question {
  conditions: Test[];
  tree: Tree | undefined;
  sort: SortTerm[];
  start: number;
  limit: number;
}

export const questions: fc.Arbitrary<Question> = fc.record({
  conditions: fc.array(anyTest, { maxLength: 2 }),
  tree: fc.option(tree, { nil: undefined, freq: 4 }),
  sort: fc.uniqueArray(
    fc.record({
      name: fc.constantFrom('name', 'size', 'createDate', 'guestOsType', 'state', 'system', 'uuid'),
      direction: fc.constantFrom('asc' as const, 'desc' as const),
    }),
    { maxLength: 3, selector: (term) => term.name },
  ),
  start: fc.constantFrom(0, 0, 0, 2),
  limit: fc.constantFrom(1000, 1000, 3),
});

const SIGNS: Readonly<Record<string, string>> = { in: '?=', 'not in': '!?=', like: '~=', 'not like': '!~=' };

/** The tree as somebody might write it; `style` picks among the spellings. */
export function write(part: Tree, style: number): string {
  if ('test' in part) return writeTest(part.test, style);
  if ('not' in part) return `${style % 2 ? 'not' : 'NOT'} ${paren(part.not, style + 1)}`;
  const [parts, word] =
    'all' in part ? [part.all, style % 2 ? 'and' : 'AND'] : [part.any, style % 2 ? 'or' : 'OR'];
  return parts.map((each, i) => paren(each, style + i)).join(` ${word} `);
}

function paren(part: Tree, style: number): string {
  return 'test' in part && style % 3 ? write(part, style) : `(${write(part, style)})`;
}

function writeTest({ path, op, values }: Test, style: number): string {
  const quote = style % 2 ? '"' : "'";
  const quoted = values.map((value) => quote + value.replaceAll(quote, quote + quote) + quote);
  if (op === 'is null') return style % 2 ? `${path} is null` : `${path}=null`;
  if (op === 'is not null') return style % 2 ? `${path} NOT NULL` : `${path}!=null`;
  const sign = SIGNS[op];
  if (sign && style % 3) return `${path} ${sign} ${quoted.join(',')}`;
  if (op.endsWith('in')) return `${path} ${op} (${quoted.join(', ')})`;
  return sign ? `${path} ${op} ${quoted[0]}` : `${path}${op}${quoted[0]}`;
}
