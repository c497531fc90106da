import type { RawBuilder } from 'kysely';

/** Where the two dialects differ in what we write by hand. */
export interface Syntax {
  readonly name: 'sqlite' | 'postgres';
  /** The text folded so that ASCII letters compare without regard to case. */
  fold(text: RawBuilder<unknown>): RawBuilder<unknown>;
  /** How many characters of a text an index holds. */
  readonly indexedLength: number;
  /** The folded text as an index holds it; `longest` is the most characters that it may have. */
  indexed(text: RawBuilder<unknown>, longest: number): RawBuilder<unknown>;
  /** True where the column is one of the values. The statement's text is the same for any number of them. */
  among(column: RawBuilder<unknown>, values: readonly string[]): RawBuilder<unknown>;
  /** The one value that `among` binds. */
  amongValue(values: readonly string[]): unknown;
  /** What a transaction does first to be the only one; absent where the dialect begins it so anyway. */
  readonly lockWrites?: RawBuilder<unknown>;
  /**
   * True while the statement may go on, and an error of `Database.reader` from then on; looked at row by row. Absent
   * where queries run in processes of the database's own.
   */
  readonly inTime?: RawBuilder<unknown>;
  /** Milliseconds since 1970 by the database's own clock: the one clock that several processes share. */
  readonly now: RawBuilder<number>;
}
