/** How a command ends. */

export const EXIT = { ok: 0, failed: 1, usage: 2, unreachable: 3, interrupted: 130 } as const;

export const EXIT_MEANINGS: Record<keyof typeof EXIT, string> = {
  ok: 'done',
  failed: 'the call failed; the error is on stderr',
  usage: 'the words could not be understood; nothing was sent',
  unreachable: 'the service was not reached, or you are not logged in',
  interrupted: 'interrupted; a job that was begun goes on unless it was cancelled',
};

/** Ends a command with an exit code and a sentence for stderr. */
export class Ending extends Error {
  readonly exitCode: number;
  /** What the user can do about it. */
  readonly elaboration: string | undefined;

  constructor(exitCode: number, sentence: string, elaboration?: string) {
    super(sentence);
    this.exitCode = exitCode;
    this.elaboration = elaboration;
  }
}

export function usageError(sentence: string, elaboration?: string): Ending {
  return new Ending(EXIT.usage, sentence, elaboration);
}
