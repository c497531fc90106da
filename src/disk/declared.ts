import { IngotError } from '../kernel/errors.ts';
import type { DiskFacts, DiskFormat } from './facts.ts';

const TAKEN: readonly DiskFormat[] = ['qcow2', 'raw', 'iso'];

/**
 * Holds the format that the user declared against what the bytes are. Without a declaration (absent or
 * empty) the bytes decide, except for a disk that shows nothing known: that is raw only if someone says so.
 *
 * @throws IngotError SYS.1007 for a declared format that can not be held
 * @throws IngotError IMG.1002 for bytes that are not what was declared; the sentence names both
 */
export function checkDeclaredFormat(declared: string | undefined, facts: DiskFacts): void {
  if (!declared) {
    if (facts.format !== 'raw' || facts.recognised) return;
    throw new IngotError(
      'IMG.1002',
      'The format of the image was not given, and its bytes show no disk format, partition table or file system that is known. If it is a raw disk all the same, say so: format=raw',
      { opaque: { found: 'unknown' } },
    );
  }
  if (!TAKEN.some((format) => format === declared)) {
    throw new IngotError(
      'SYS.1007',
      `The format "${declared}" can not be held; it must be one of ${TAKEN.join(', ')}. The image's bytes are ${facts.format}`,
      { opaque: { parameter: 'format', found: facts.format } },
    );
  }
  if (declared === facts.format) return;
  throw new IngotError(
    'IMG.1002',
    `The image was declared to be ${declared}, but its bytes are ${describe(facts)}. Give format=${facts.format}, or give no format, or check the address`,
    { opaque: { declared, found: facts.format } },
  );
}

function describe(facts: DiskFacts): string {
  if (facts.format === 'qcow2') return `qcow2 (version ${facts.version})`;
  if (facts.format === 'iso') return 'iso (an ISO 9660 or UDF disc image)';
  return facts.recognised ? `raw (${facts.contents})` : 'raw, with nothing known in it';
}
