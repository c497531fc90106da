/**
 * The boundaries between the steps of the service's work: each transaction, each checkpoint of a job, and each change
 * that a driver makes to what it keeps. Nobody listens there in the product; the crash suite stands at each of them in
 * turn, to kill the process, have the step fail, or hold it up.
 */

/** Awaited at each boundary; what it throws is the step's own error. */
export type StepListener = (step: string) => Promise<void>;

export const nobodyListens: StepListener = async () => {};

/** An interface's methods that are steps; a step may itself give an object that has steps. */
export type Steps<T> = { readonly [K in keyof T]?: Step };

interface Step {
  /**
   * The steps of what the method gives, such as the writer that `create` opens. It is aborted with `keep` where the
   * boundary behind the call fails: nobody has it then.
   */
  readonly gives?: Readonly<Record<string, Step>>;
  /**
   * Set where a boundary before the call would lead to what can't be: where calls may overlap and count in their
   * order, it could change that; and what lets go of a resource does so, even where it fails.
   */
  readonly onlyBehind?: true;
}

/** The same object, with a boundary before and after each of the steps; itself where nobody listens. */
export function withSteps<T extends object>(
  object: T,
  name: string,
  steps: Readonly<Record<string, Step>>,
  listener: StepListener,
): T {
  if (listener === nobodyListens) return object;
  return new Proxy(object, {
    get(target, property) {
      const value: unknown = Reflect.get(target, property, target);
      if (typeof value !== 'function' || typeof property !== 'string') return value;
      const step = Object.hasOwn(steps, property) ? steps[property] : undefined;
      const call = value.bind(target) as (...given: unknown[]) => Promise<unknown>;
      if (!step) return call;
      const title = `${name}.${property}`;
      return async (...given: unknown[]) => {
        if (!step.onlyBehind) await listener(`before ${title}`);
        const result = await call(...given);
        try {
          await listener(`after ${title}`);
        } catch (error) {
          if (step.gives) await (result as { abort(options: object): Promise<void> }).abort({ keep: true });
          throw error;
        }
        return step.gives && typeof result === 'object' && result !== null
          ? withSteps(result, title, step.gives, listener)
          : result;
      };
    },
  });
}
