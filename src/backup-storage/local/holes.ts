/** Zero blocks of this size at multiples of it become holes: small enough to find most, a few hundred kernel calls a GiB. */
export const HOLE_BYTES = 64 * 1024;

const ZEROS = new Uint8Array(HOLE_BYTES);

export interface Run {
  /** Index of the chunk's first and behind its last byte. */
  start: number;
  end: number;
}

/** The parts of a chunk that have to be written, given where in the file the chunk goes. */
export function dataRuns(chunk: Uint8Array, position: number): Run[] {
  const runs: Run[] = [];
  let current: Run | undefined;
  for (let start = 0; start < chunk.length; ) {
    const end = Math.min(chunk.length, start + HOLE_BYTES - ((position + start) % HOLE_BYTES));
    if (end - start === HOLE_BYTES && isZero(chunk, start, end)) {
      current = undefined;
    } else if (current) {
      current.end = end;
    } else {
      current = { start, end };
      runs.push(current);
    }
    start = end;
  }
  return runs;
}

function isZero(bytes: Uint8Array, start: number, end: number): boolean {
  // Nearly all blocks that aren't zero show it here.
  if (bytes[start] !== 0 || bytes[end - 1] !== 0) return false;
  return Buffer.compare(bytes.subarray(start, end), ZEROS) === 0;
}
