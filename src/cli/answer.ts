/** What a call answered, for people and for programs. */
import type { ErrorBody } from '../kernel/errors.ts';
import type { Message } from '../kernel/message.ts';
import { describeError } from './describe-error.ts';
import { renderListing } from './listing.ts';
import { renderTable } from './table.ts';
import type { Terminal } from './terminal.ts';

type Members = Record<string, unknown>;

export interface Presentation {
  json: boolean;
  quiet: boolean;
  /** The fields a query asked for. */
  fields?: readonly string[] | undefined;
}

export function showAnswer(
  terminal: Terminal,
  message: Message,
  answer: Members,
  { json, quiet, fields }: Presentation,
): void {
  if (json) {
    terminal.print(sortedJson(answer));
    return;
  }
  const { inventory, inventories, failures, total, ...rest } = answer;
  const shape = message.answer;
  if (shape.kind === 'inventory' && isMembers(inventory)) terminal.print(renderListing(shape.of, inventory));
  else if (shape.kind === 'inventories' && Array.isArray(inventories)) {
    const rows = inventories as Members[];
    if (rows.length > 0) {
      terminal.print(renderTable(shape.of, rows, { width: terminal.width, fields }));
      if (typeof total === 'number' && !quiet) terminal.remark(`${rows.length} of ${total}`);
    } else if (typeof total === 'number') terminal.print(String(total));
    else if (!quiet) terminal.remark(`no ${shape.of.name} matches`);
  } else if (shape.kind === 'inventories' && typeof total === 'number') terminal.print(String(total));
  else if (shape.kind === 'fields') {
    terminal.print(renderListing(shape.fields, answer));
  } else if (shape.kind === 'nothing' && !quiet) terminal.remark(`${message.name}: done`);
  if (shape.kind === 'inventory' && Object.keys(rest).length > 0) terminal.print(renderListing({}, rest));
  warnOf(terminal, failures);
}

/** What failed although the call as a whole did not. */
function warnOf(terminal: Terminal, failures: unknown): void {
  if (!Array.isArray(failures)) return;
  for (const failure of failures as Members[]) {
    const { error, ...where } = failure;
    const place = Object.entries(where)
      .map(([name, value]) => `${name}=${String(value)}`)
      .join(' ');
    terminal.warning(
      `warning: ${place}${isMembers(error) ? `\n${describeError(error as unknown as ErrorBody, 1)}` : ''}`,
    );
  }
}

/** As ZStack's command line prints it: sorted keys, indented by 4. */
export function sortedJson(value: unknown): string {
  return JSON.stringify(sorted(value), null, 4);
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (!isMembers(value)) return value;
  // No prototype, so that a member of any name is one.
  const result: Members = Object.create(null) as Members;
  for (const name of Object.keys(value).sort()) result[name] = sorted(value[name]);
  return result;
}

function isMembers(value: unknown): value is Members {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
