import type fc from 'fast-check';

/** Something that takes anything, and must take it in good order. */
export interface FuzzTarget<Input = unknown> {
  /** Its folder in the corpus. */
  name: string;
  /** Inputs are JSON values, so that a failing one can be kept. */
  inputs: fc.Arbitrary<Input>;
  /** Throws or rejects when the input was not taken as it should be. */
  run(input: Input): void | Promise<void>;
  /** Before the first of many runs, and after the last. */
  begin?(): Promise<void>;
  end?(): Promise<void>;
}

/** A target that may be asked to run what an input generator of another type made: the corpus holds JSON. */
export function target<Input>(target: FuzzTarget<Input>): FuzzTarget {
  return { name: target.name, inputs: target.inputs, run: (input) => target.run(input as Input) };
}
