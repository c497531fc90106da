/** The job behind `AddImage url=upload://…`: waits for the bytes, takes them in as from any source, and ends the image. */
import type { Settings } from '../../global-config/settings.ts';
import type { JobOperation } from '../../job/operation.ts';
import { LeaseLost, ServiceStopping } from '../../job/operation.ts';
import { IngotError } from '../../kernel/errors.ts';
import { defineMessage } from '../../kernel/message.ts';
import { requireInventory } from '../../query/find.ts';
import { type AddImageParts, endTakingIn, undoTakingIn } from '../add.ts';
import type { AddImageState } from '../add-state.ts';
import { Image } from '../image.ts';
import { AddImage } from '../messages.ts';
import { MAX_VIRTUAL_SIZE, UPLOAD_MAX_IDLE } from '../settings.ts';
import { bringIn, checkTaken } from '../take-in.ts';
import { UploadChannel } from './channel.ts';
import type { AwaitedUpload, Uploads } from './uploads.ts';

/** Never called from outside: AddImage begins it, with its own parameters. */
export const ReceiveImageUpload = defineMessage({
  name: 'ReceiveImageUpload',
  resource: Image,
  doc: 'Takes in the bytes that are sent to the address that AddImage url=upload://… answered with.',
  kind: 'job',
  source: AddImage.source,
  caller: AddImage.caller,
  route: 'POST /images/uploads',
  parameters: AddImage.parameters,
  answer: AddImage.answer,
});

export type ReceiveState = AddImageState & { upload: AwaitedUpload };

export function receiveImageUpload(
  parts: AddImageParts & { settings: Settings; uploads: Uploads },
): JobOperation<typeof ReceiveImageUpload, ReceiveState> {
  return {
    waitsFor: 'client',

    async admit() {
      throw new IngotError('SYS.1008', 'an upload is begun with AddImage');
    },

    async run(job) {
      const { upload, imageUuid } = job.checkpoint;
      const channel = new UploadChannel({
        name: upload.name,
        size: await parts.uploads.sizeOf(upload.key),
        maxIdle: async () => (await parts.settings.get(UPLOAD_MAX_IDLE)) * 1000,
        stallTimeout: parts.transfer.stallTimeout,
      });
      parts.uploads.enter(upload.key, channel);
      try {
        const { call, signal, report } = job;
        const landing = await bringIn(
          parts,
          {
            call,
            signal,
            report,
            get checkpoint() {
              return job.checkpoint;
            },
            save: (next) => job.save({ ...job.checkpoint, ...next }),
          },
          {
            inspector: { maxVirtualSize: await parts.settings.get(MAX_VIRTUAL_SIZE) },
            source: () => channel,
            judge: (result) => checkTaken(job.call.parameters, result),
            foreign: parts,
          },
        );
        const end = await endTakingIn(parts, job.checkpoint, landing, signal);
        return async (tx) => {
          const answer = await end(tx);
          const [first] = job.checkpoint.copies;
          if (first) {
            // Until now it was where the bytes were awaited.
            const driver = await parts.storages.driver(first.storageUuid, tx);
            await tx
              .updateTable('imageBackupStorageRef')
              .set({ installPath: driver.location(first.path) })
              .where('imageUuid', '=', imageUuid)
              .where('backupStorageUuid', '=', first.storageUuid)
              .execute();
          }
          return { ...answer, inventory: await requireInventory(tx, Image, imageUuid) };
        };
      } catch (error) {
        channel.close(whyClosed(job.signal, error));
        throw error;
      } finally {
        parts.uploads.leave(upload.key, channel);
      }
    },

    undo: (job) => undoTakingIn(parts, job.checkpoint),
    ended: () => void parts.trash.empty(),
  };
}

/** The client tries again where the job goes on later, and else learns what became of it. */
function whyClosed(signal: AbortSignal, error: unknown): unknown {
  if (signal.reason instanceof ServiceStopping || signal.reason instanceof LeaseLost) {
    return new IngotError('SYS.1010', 'the service is stopping; the upload goes on at its next start', {
      retryable: true,
    });
  }
  return signal.aborted ? new IngotError('SYS.1017', 'the upload was cancelled') : error;
}
