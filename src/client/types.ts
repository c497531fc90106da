/** The client's calls, typed by the declarations themselves: nothing is generated, nothing can be out of date. */
import type { Catalogue } from '../catalogue.ts';
import type { Field, Fields, ValueOf } from '../kernel/field.ts';
import type { AnswerOf, Message, QueryMessage } from '../kernel/message.ts';

type MayBeLeftOut<F extends Fields> = {
  [K in keyof F]: F[K] extends Field<unknown, 'required'> ? never : K;
}[keyof F];

/** Parameters as a caller gives them: those with a default may be left out too. */
export type InputOf<M extends { parameters: Fields }> = {
  [K in Exclude<keyof M['parameters'], MayBeLeftOut<M['parameters']>>]: ValueOf<M['parameters'][K]>;
} & {
  [K in MayBeLeftOut<M['parameters']>]?: ValueOf<M['parameters'][K]> | undefined;
};

/** What a condition of a query may be: `name~=centos%`, or its three parts. */
export type Condition = string | { name: string; op: string; value?: unknown };

type QueryInput = Omit<InputOf<QueryMessage>, 'conditions'> & { conditions?: readonly Condition[] };

type Input<M extends Message> = M extends QueryMessage ? QueryInput : InputOf<M>;

type Optional<T> = Record<string, never> extends T ? true : false;

type CallOf<M extends Message> =
  Optional<Input<M>> extends true
    ? (parameters?: Input<M>, options?: CallOptions) => Promise<AnswerOf<M>>
    : (parameters: Input<M>, options?: CallOptions) => Promise<AnswerOf<M>>;

/** What answers with JSON. */
type Callable<M> = M extends Message ? (M extends { answer: { kind: 'file' } } ? false : true) : false;

/** Every message as a method: `ingot.addImage({…})`. */
export type Calls = {
  [K in keyof Catalogue as Callable<Catalogue[K]> extends true ? Uncapitalize<K & string> : never]: CallOf<
    Extract<Catalogue[K], Message>
  >;
};

export type MessageName = {
  [K in keyof Catalogue]: Callable<Catalogue[K]> extends true ? K : never;
}[keyof Catalogue];

export type InputOfNamed<K extends MessageName> = Input<Extract<Catalogue[K], Message>>;
export type AnswerOfNamed<K extends MessageName> = AnswerOf<Extract<Catalogue[K], Message>>;

/** How far a job is. Sizes in bytes. */
export interface JobProgress {
  state: 'Waiting' | 'Running' | 'Canceling' | 'Succeeded' | 'Canceled' | 'Failed';
  percent?: number;
  bytesDone?: number;
  bytesTotal?: number;
  /** Bytes found good after an interruption and not moved again. */
  bytesResumed?: number;
  bytesPerSecond?: number;
  secondsLeft?: number;
  /** Of a job that waits for a free place: 1 is the next to begin. */
  placeInLine?: number;
}

export interface CallOptions {
  /** Told every time a job is asked for. */
  onProgress?: (progress: JobProgress) => void;
  /** Stops waiting. The job goes on, unless `cancel` is set. */
  signal?: AbortSignal;
  /** Whether the job is cancelled when the signal stops the waiting. */
  cancel?: boolean;
  /** The uuid that the job shall have: 32 letters and digits. */
  jobUuid?: string;
  /** Seconds that the service may take for the call. */
  timeout?: number;
}
