/** Has a guest drawn something by itself? Told from pictures of its screen, which nobody reads. */

/** The share of the screen that counts as a change: more than a cursor that blinks. */
const CHANGED = 0.005;

/** Pictures of one screen, one after the other. */
export class ScreenWatch {
  #last: Picture | undefined;
  #changes = 0;
  #still = 0;

  /** A picture as PPM (P6). */
  see(ppm: Buffer): void {
    const picture = readPpm(ppm);
    if (!picture) return;
    const changed = this.#last !== undefined && difference(this.#last, picture) > CHANGED;
    if (changed) this.#changes++;
    this.#still = changed ? 0 : this.#still + 1;
    this.#last = picture;
  }

  /** How often it was another one than before. */
  get changes(): number {
    return this.#changes;
  }

  /** How many pictures in a row have been the same. */
  get still(): number {
    return this.#still;
  }

  /** Whether it shows anything at all. */
  get blank(): boolean {
    if (!this.#last) return true;
    const [first] = this.#last.pixels;
    return this.#last.pixels.every((byte) => byte === first);
  }
}

interface Picture {
  width: number;
  height: number;
  pixels: Buffer;
}

function readPpm(ppm: Buffer): Picture | undefined {
  const header = /^P6\s+(\d+)\s+(\d+)\s+255\s/.exec(ppm.toString('latin1', 0, 64));
  if (!header) return undefined;
  return { width: Number(header[1]), height: Number(header[2]), pixels: ppm.subarray(header[0].length) };
}

/** The share of the pixels that differ; all of them where the size does. */
function difference(one: Picture, other: Picture): number {
  if (one.width !== other.width || one.height !== other.height) return 1;
  let differ = 0;
  for (let i = 0; i < one.pixels.length; i += 3) {
    if (
      one.pixels[i] !== other.pixels[i] ||
      one.pixels[i + 1] !== other.pixels[i + 1] ||
      one.pixels[i + 2] !== other.pixels[i + 2]
    ) {
      differ++;
    }
  }
  return differ / (one.width * one.height);
}
