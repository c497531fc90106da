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
