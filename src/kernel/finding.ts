import { IngotError, isSystemError, toIngotError } from './errors.ts';

/** What `ingot fsck` finds; each folder looks after what it keeps. */
export interface Finding {
  kind:
    | 'missing-bytes'
    | 'wrong-size'
    | 'wrong-digest'
    | 'unsound'
    | 'stray-bytes'
    | 'no-copy'
    | 'no-description'
    | 'unregistered'
    | 'half-done'
    | 'wrong-capacity'
    | 'stray-tag'
    | 'no-owner'
    | 'unreachable';
  /** What is wrong, and where. */
  sentence: string;
  repaired: boolean;
}

export interface Inspection {
  /** Mends what it finds. */
  readonly repair: boolean;
  /** Reads every file, and compares its digest. */
  readonly deep: boolean;
  /** Paths, and uuids of resources, that open jobs answer for. */
  readonly inWork: ReadonlySet<string>;
  find(kind: Finding['kind'], sentence: string, repaired?: boolean): void;
  /** Counts a file that was looked at. */
  count(): void;
}

/** Notes the finding, and with `repair` mends it first; where its storage does not let it be mended, it is left. */
export async function findAndMend(
  { repair, find }: Inspection,
  kind: Finding['kind'],
  sentence: string,
  mend: () => Promise<unknown>,
): Promise<void> {
  if (!repair) return find(kind, sentence);
  try {
    await mend();
  } catch (error) {
    if (!isStoragesOwn(error)) throw error;
    return find(kind, `${sentence}; it is left: ${toIngotError(error).details}`);
  }
  find(kind, sentence, true);
}

/** What a storage says of itself; anything else is a fault of the database or of ours. */
export const isStoragesOwn = (error: unknown) => error instanceof IngotError || isSystemError(error);
