/** The floors of docs/design.md: a folder leans only on lower ones. */
const FLOORS = [
  ['kernel'],
  ['database', 'disk', 'transfer'],
  ['query'],
  ['job'],
  // The domain folders, which may meet each other.
  [
    'image',
    'backup-storage',
    'primary-storage',
    'volume',
    'snapshot',
    'zone',
    'account',
    'audit',
    'long-job',
    'tag',
    'global-config',
    'management-node',
    'vm',
  ],
  ['client'],
  ['http', 'cli'],
];

const DOMAIN = 4;

const folders = (names) => `^src/(${names.join('|')})/`;

const floors = FLOORS.flatMap((names, floor) =>
  names.map((name) => {
    const sameFloor = floor === DOMAIN ? [] : names.filter((other) => other !== name);
    const above = FLOORS.slice(floor + 1).flat();
    const forbidden = [...sameFloor, ...above];
    return {
      name: `floor-of-${name}`,
      comment: `src/${name} leans only on lower floors`,
      severity: 'error',
      from: { path: folders([name]) },
      // Files right below src/ compose the rest, and nothing in a folder may know them.
      to: { path: [...(forbidden.length > 0 ? [folders(forbidden)] : []), '^src/[^/]+\\.ts$'] },
    };
  }),
);

// The command line reads the catalogue, where the service's data is, and which settings there are; the client the
// catalogue.
for (const rule of floors) {
  if (rule.name === 'floor-of-client') {
    rule.to = {
      path: [
        folders(['http', 'cli', 'database', 'disk', 'transfer', 'job']),
        '^src/(?!catalogue)[^/]+\\.ts$',
      ],
    };
  }
  if (rule.name === 'floor-of-cli') {
    rule.to = {
      path: [
        folders(['http', 'database', 'disk', 'transfer', 'query', 'job']),
        '^src/(server|serve|main|first-start)\\.ts$',
      ],
    };
  }
}

export default {
  forbidden: [
    ...floors,
    { name: 'no-circles', severity: 'error', from: {}, to: { circular: true } },
    {
      name: 'cli-knows-declarations-only',
      comment: 'the command line reads declarations and speaks HTTP; it loads no operation',
      severity: 'error',
      from: { path: '^src/cli/' },
      to: {
        path: '^src/(image|backup-storage|primary-storage|volume|snapshot|zone|account|long-job)/',
        pathNot:
          '/(messages|password|[a-z0-9-]+-storage|image|volume|disk-offering|snapshot|url|zone|account|long-job)\\.ts$',
      },
    },
    {
      name: 'product-without-tests',
      severity: 'error',
      from: { path: '^src/' },
      to: { path: '^(test|bench)/' },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: { extensions: ['.ts', '.mjs', '.js'] },
  },
};
