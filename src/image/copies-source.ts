/** An image's own copies as the source of a transfer. */
import { IngotError, toIngotError } from '../kernel/errors.ts';
import type { AnsweredBytes } from '../kernel/message.ts';
import { type Body, type Source, SourceBreak } from '../transfer/source.ts';
import { openCopies, type ReadingParts } from './read-copies.ts';
import type { ImageWithCopies } from './ready-copies.ts';

export function copiesSource(parts: ReadingParts, found: ImageWithCopies): Source {
  const { actualSize, sha256Sum, name } = found.image;
  return {
    label: `image '${name}'`,
    retry: { tries: 2, baseDelay: 200, maxDelay: 2000 },
    async open({ offset, signal }) {
      const bytes = await openCopies(parts, found, offset, signal).catch((thrown) => {
        throw asBreak(thrown);
      });
      return { offset, facts: { totalSize: actualSize, etag: sha256Sum }, body: new CopiesBody(bytes) };
    },
  };
}

class CopiesBody implements Body {
  readonly #bytes: AnsweredBytes;

  constructor(bytes: AnsweredBytes) {
    this.#bytes = bytes;
  }

  async fill(target: Uint8Array, arrived: (bytes: number) => boolean): Promise<'more' | 'end'> {
    const length = await this.#bytes.read(target).catch((thrown) => {
      throw asBreak(thrown);
    });
    if (length > 0) arrived(length);
    return length < target.length ? 'end' : 'more';
  }

  close(): void {
    void this.#bytes.close().catch(() => {});
  }
}

function asBreak(thrown: unknown): unknown {
  if (!(thrown instanceof IngotError)) return thrown;
  const error = toIngotError(thrown);
  return error.retryable ? new SourceBreak(error) : error;
}
