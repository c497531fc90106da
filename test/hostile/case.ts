/** A file that must not be taken in, and what must be said about it. */
export interface HostileCase {
  group: string;
  name: string;
  /** Its bytes, made when asked for. */
  bytes: () => Buffer;
  /** What AddImage is told besides; nothing by default. */
  parameters?: { format?: string; mediaType?: string };
  /** IMG.1002 by default. */
  code?: string;
  /** Where our own looks find nothing to refuse, and qemu-img check does. */
  byQemu?: true;
  /** What the sentence must say. */
  reason: RegExp;
}
