/**
 * Reads of which the statement is known already. Kysely's way to a connection and back takes longer than SQLite takes
 * for a short one (measured: 10 against 5 microseconds), so where the database lies in this process they go past it.
 */
import { CompiledQuery, type Kysely } from 'kysely';

export type ReadInProcess = (text: string, values: readonly unknown[]) => unknown[];

// biome-ignore lint/suspicious/noExplicitAny: of whichever tables
type AnySql = Kysely<any>;

const inProcess = new WeakMap<AnySql, ReadInProcess>();

/** From now on, `read` asks this function instead of Kysely. Not for its transactions, which are others. */
export function readInProcess(on: AnySql, ask: ReadInProcess): void {
  inProcess.set(on, ask);
}

/** The rows of a `select`, with the dialect's own placeholders for its values: at once where the database lies in this process, else promised. */
export function read<R>(on: AnySql, text: string, values: readonly unknown[]): R[] | Promise<R[]> {
  const ask = inProcess.get(on);
  if (ask) return ask(text, values) as R[];
  return on.executeQuery<R>(CompiledQuery.raw(text, [...values])).then(({ rows }) => rows);
}
