/**
 * `npm run hostile`: every hostile file and every good image through AddImage of a real service, out of a real web
 * server. Writes the table of docs/security.md; ends with 1 when one is judged otherwise than expected.
 */
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { IngotError } from '../../src/kernel/errors.ts';
import { Workbench } from '../disk/workbench.ts';
import { startNginx } from '../support/nginx.ts';
import { startServiceProcess, type TestService } from '../support/service.ts';
import { makeGoodImages } from './good-images.ts';
import { hostileCases } from './hostile-cases.ts';

const DOCUMENT = join(import.meta.dirname, '..', '..', 'docs', 'security.md');
const [BEGIN, END] = ['<!-- made by npm run hostile -->', '<!-- end -->'];

interface Row {
  group: string;
  name: string;
  expected: string;
  got: string;
  right: boolean;
}

const bench = new Workbench();
const site = bench.path('site');
mkdirSync(join(site, 'hostile'), { recursive: true });
mkdirSync(bench.path('nginx'));
const nginx = await startNginx(site, bench.path('nginx'));
const service = await startServiceProcess({ data: bench.path('data') });
try {
  const hostile = await judgeHostile();
  const left = await service.client.query('Image');
  const good = await judgeGood();
  const accepted = hostile.filter(({ got }) => got.startsWith('accepted')).length;
  const refused = good.filter(({ right }) => !right).length;
  const summary = [
    `${hostile.length} hostile files: **${accepted} accepted**, ${hostile.filter(({ right }) => right).length} refused for the reason expected, ${left.length} images left behind.`,
    `${good.length} good images: **${refused} refused**.`,
  ];
  writeDocument(summary, hostile, good);
  for (const row of [...hostile, ...good]) {
    if (!row.right)
      console.log(`✖ ${row.group}: ${row.name}\n  expected ${row.expected}\n  got      ${row.got}`);
  }
  console.log(summary.join('\n').replaceAll('**', ''));
  const asExpected = [...hostile, ...good].every(({ right }) => right) && left.length === 0;
  process.exitCode = asExpected ? 0 : 1;
} finally {
  await service.stop();
  await nginx.stop();
  bench.remove();
}

async function judgeHostile(): Promise<Row[]> {
  const rows: Row[] = [];
  for (const [
    index,
    { group, name, bytes, parameters = {}, code = 'IMG.1002', reason },
  ] of hostileCases.entries()) {
    writeFileSync(join(site, 'hostile', `${index}`), bytes());
    const verdict = await addImage(service, { name, url: nginx.url(`/hostile/${index}`), ...parameters });
    const right = verdict.code === code && reason.test(verdict.words);
    const got =
      verdict.code === undefined ? `accepted as ${verdict.words}` : `${verdict.code}: ${verdict.words}`;
    rows.push({ group, name, expected: `${code}, ${reason.source}`, got, right });
  }
  return rows;
}

async function judgeGood(): Promise<Row[]> {
  const rows: Row[] = [];
  for (const [index, { name, path, format }] of (await makeGoodImages(bench)).entries()) {
    symlinkSync(path, join(site, `good-${index}`));
    const verdict = await addImage(service, { name, url: nginx.url(`/good-${index}`) });
    const right = verdict.code === undefined && verdict.words === format;
    const got = verdict.code === undefined ? `Ready, ${verdict.words}` : `${verdict.code}: ${verdict.words}`;
    rows.push({ group: 'good', name, expected: `Ready, ${format}`, got, right });
    if (verdict.uuid) await service.client.call('DeleteImage', { uuid: verdict.uuid });
  }
  return rows;
}

/** The error's code and sentence, or no code and the format. */
async function addImage(
  { client }: TestService,
  parameters: Record<string, unknown>,
): Promise<{ code?: string; words: string; uuid?: string }> {
  try {
    const { inventory } = await client.call('AddImage', parameters);
    return { words: inventory.format, uuid: inventory.uuid };
  } catch (error) {
    if (error instanceof IngotError) return { code: error.code, words: error.details };
    throw error;
  }
}

function writeDocument(summary: string[], hostile: Row[], good: Row[]): void {
  const text = readFileSync(DOCUMENT, 'utf8');
  const [before, rest = ''] = text.split(BEGIN);
  const after = rest.split(END)[1] ?? '\n';
  const table = [
    BEGIN,
    '',
    ...summary.flatMap((line) => [line, '']),
    '| | hostile file | expected | got |',
    '|---|---|---|---|',
    ...hostile.map(line),
    '',
    '| | good image | expected | got |',
    '|---|---|---|---|',
    ...good.map(line),
    '',
    END,
  ];
  writeFileSync(DOCUMENT, `${before}${table.join('\n')}${after}`);
}

function line({ group, name, expected, got, right }: Row): string {
  const cells = [group, name, code(expected), got].map((cell) =>
    cell.replaceAll('|', '\\|').replaceAll('\n', ' '),
  );
  return `| ${cells.join(' | ')}${right ? '' : ' ✖'} |`;
}

function code(text: string): string {
  return `\`${text}\``;
}
