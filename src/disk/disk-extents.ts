import type { MapEntry } from './qemu-img.ts';

/** Where the bytes of a stretch of a disk are. */
export interface Extent {
  start: number;
  end: number;
  /** `zeros`; `packed` where only QEMU can tell (compressed); else the bytes are in a file of the chain. */
  in: 'zeros' | 'packed' | 'file';
  /** Of the chain: 0 is the disk's own file, 1 its backing file, … */
  file: number;
  /** Of the stretch's first byte in that file. */
  offset: number;
}

/** A disk's map, kept small: neighbours that go on from each other are one. */
export class DiskExtents {
  readonly #extents: Extent[] = [];

  add({ start, length, present, data, depth, offset }: MapEntry): void {
    const next: Extent = {
      start,
      end: start + length,
      in: !present || !data ? 'zeros' : offset === undefined ? 'packed' : 'file',
      file: depth,
      offset: offset ?? 0,
    };
    const last = this.#extents.at(-1);
    if (last && last.in === next.in && (last.in !== 'file' || follows(last, next))) last.end = next.end;
    else this.#extents.push(next);
  }

  /** Those that overlap [start, end), in order. */
  *between(start: number, end: number): Generator<Extent> {
    let low = 0;
    let high = this.#extents.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#extents[middle] as Extent).end > start) high = middle;
      else low = middle + 1;
    }
    for (let extent = this.#extents[low]; extent && extent.start < end; extent = this.#extents[++low])
      yield extent;
  }
}

function follows(last: Extent, next: Extent): boolean {
  return last.file === next.file && last.offset + (last.end - last.start) === next.offset;
}
