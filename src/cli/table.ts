/** Inventories as a table: the columns are chosen from the resource's fields, as many as fit. */
import type { AnyField } from '../kernel/field.ts';
import type { Resource } from '../kernel/resource.ts';
import { displayWidth, fit, pad } from './display-width.ts';
import { formatValue } from './listing.ts';

const GAP = 2;
/** The narrowest that a column of free text is squeezed to. */
const SQUEEZED = 12;

interface Column {
  name: string;
  field: AnyField | undefined;
  cells: string[];
  width: number;
}

export interface TableOptions {
  /** Columns of the terminal; undefined where there is no limit. */
  width: number | undefined;
  /** The fields asked for; by default those that matter most. */
  fields?: readonly string[] | undefined;
}

export function renderTable(
  resource: Resource,
  inventories: readonly Readonly<Record<string, unknown>>[],
  { width, fields }: TableOptions,
): string {
  const names = fields ?? columnsOf(resource);
  const wanted = names.map((name) => columnOf(resource, name, inventories));
  const columns = fields === undefined ? chooseColumns(wanted, width) : wanted;
  squeeze(columns, width);
  const line = (cells: string[]) =>
    columns
      .map((column, i) => pad(fit(cells[i] ?? '', column.width), column.width, alignment(column.field)))
      .join(' '.repeat(GAP))
      .trimEnd();
  const head = line(columns.map((column) => column.name));
  const rows = inventories.map((_, row) => line(columns.map((column) => column.cells[row] ?? '')));
  return [head, ...rows].join('\n');
}

/** All fields that say something in one cell, the most telling first. */
function columnsOf(resource: Resource): string[] {
  const fields = Object.entries(resource.fields).map(([name, field]) => ({ name, rank: rank(name, field) }));
  return fields
    .filter((each) => each.rank < UNFIT)
    .sort((a, b) => a.rank - b.rank)
    .map((each) => each.name);
}

const UNFIT = 100;

function rank(name: string, field: AnyField): number {
  if (name === 'uuid') return 0;
  if (name === 'name') return 1;
  if (field.kind === 'choice') {
    if (Object.keys(field.choices).length < 2) return UNFIT;
    return name === 'state' || name === 'status' ? 2 : 5;
  }
  if (field.kind === 'integer') return field.unit === 'bytes' ? 3 : field.unit === 'percent' ? 4 : 7;
  if (field.kind === 'boolean') return 8;
  if (field.kind === 'date') return 9;
  if (field.kind === 'uuid') return 10;
  return field.kind === 'text' && field.max <= 255 && !field.secret ? 11 : UNFIT;
}

function columnOf(
  resource: Resource,
  name: string,
  inventories: readonly Readonly<Record<string, unknown>>[],
): Column {
  const field = Object.hasOwn(resource.fields, name) ? resource.fields[name] : undefined;
  const cells = inventories.map((inventory) => formatValue(field, inventory[name], { exact: false }));
  const width = cells.reduce((most, cell) => Math.max(most, displayWidth(cell)), displayWidth(name));
  return { name, field, cells, width };
}

/** The most telling columns that fit; without a terminal, those that a terminal of usual width would show. */
function chooseColumns(columns: Column[], width = 160): Column[] {
  const chosen: Column[] = [];
  let left = width;
  for (const column of columns) {
    // A column in which nothing stands tells nothing.
    if (column.cells.length > 0 && column.cells.every((cell) => cell === '')) continue;
    const least = (isFree(column) ? Math.min(column.width, SQUEEZED) : column.width) + GAP;
    if (chosen.length > 1 && least > left + GAP) continue;
    chosen.push(column);
    left -= least;
  }
  return chosen;
}

/** Narrows free text until the line fits. */
function squeeze(columns: Column[], width: number | undefined): void {
  if (width === undefined) return;
  let excess = columns.reduce((sum, column) => sum + column.width + GAP, -GAP) - width;
  while (excess > 0) {
    const widest = columns
      .filter((column) => isFree(column) && column.width > SQUEEZED)
      .sort((a, b) => b.width - a.width)[0];
    if (!widest) return;
    const cut = Math.min(excess, Math.max(1, Math.ceil((widest.width - SQUEEZED) / 2)));
    widest.width -= cut;
    excess -= cut;
  }
}

function isFree({ field }: Column): boolean {
  return field === undefined || field.kind === 'text' || field.kind === 'list' || field.kind === 'json';
}

function alignment(field: AnyField | undefined): 'left' | 'right' {
  return field?.kind === 'integer' ? 'left' : 'right';
}
