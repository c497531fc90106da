import type { Field } from '../kernel/field.ts';

/** What is declared of a kind of backup storage, apart from how one is opened: the command line reads it too. */
export interface DeclaredKind<
  T extends string = string,
  F extends Readonly<Record<string, Field<unknown, 'optional'>>> = Readonly<
    Record<string, Field<unknown, 'optional'>>
  >,
> {
  /** ZStack's name of it, as in `type` of the inventory. */
  readonly type: T;
  /** Completes "what kind it is". */
  readonly doc: string;
  /** What its inventories have besides, and no other kind's: columns of the one table. Secrets are none of these. */
  readonly fields: F;
}

export function declareKind<
  const T extends string,
  const F extends Readonly<Record<string, Field<unknown, 'optional'>>>,
>(kind: DeclaredKind<T, F>): DeclaredKind<T, F> {
  return Object.freeze(kind);
}
