import { IngotError } from '../kernel/errors.ts';
import type { DiskInspector } from './inspector.ts';

/**
 * Shows the inspector, which has seen all bytes, those parts once more whose meaning it learnt too late.
 * @param read gives the bytes [start, end) of the same image
 * @throws IngotError IMG.1002 when the image is refused, SYS.1016 when less is there than has passed
 */
export async function readSecondTime(
  inspector: DiskInspector,
  read: (range: { start: number; end: number }) => AsyncIterable<Uint8Array>,
): Promise<void> {
  for (let part = inspector.unread(); part; part = inspector.unread()) {
    let at = part.start;
    for await (const piece of read({ start: at, end: part.end })) {
      const bytes = piece.subarray(0, part.end - at);
      inspector.readAgain(bytes);
      at += bytes.length;
    }
    if (at === part.end) continue;
    throw new IngotError(
      'SYS.1016',
      `the store gave back ${at - part.start} of ${part.end - part.start} bytes of the image's ${part.name}`,
      { retryable: true },
    );
  }
}
