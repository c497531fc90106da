import { CompiledQuery } from 'kysely';
import { type Sql, syntaxOf } from './database.ts';

interface Compilable {
  compile(): { sql: string };
}

/** A statement whose text is made once for each dialect: making one takes longer than running a short one. */
export class Statement<Row> {
  readonly #make: (on: Sql) => Compilable;
  readonly #texts = new Map<string, string>();

  /** What `make` binds does not matter, only how many values and in which order. */
  constructor(make: (on: Sql) => Compilable) {
    this.#make = make;
  }

  async run(on: Sql, values: readonly unknown[]): Promise<Row[]> {
    const { name } = syntaxOf(on);
    let text = this.#texts.get(name);
    if (text === undefined) {
      text = this.#make(on).compile().sql;
      this.#texts.set(name, text);
    }
    return (await on.executeQuery<Row>(CompiledQuery.raw(text, [...values]))).rows;
  }
}
