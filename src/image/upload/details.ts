import type { Database } from '../../database/database.ts';
import type { SyncOperation } from '../../job/operation.ts';
import type { GetUploadImageJobDetails } from '../messages.ts';
import type { Uploads } from './uploads.ts';

/** Uploads of the name that their images still wait for, oldest first. */
export function getUploadImageJobDetails(parts: {
  database: Database;
  uploads: Uploads;
}): SyncOperation<typeof GetUploadImageJobDetails> {
  return async ({ parameters: { imageId } }) => {
    const rows = await parts.database.sql
      .selectFrom('imageUpload as upload')
      .innerJoin('image', 'image.uuid', 'upload.imageUuid')
      .innerJoin('longJob', 'longJob.uuid', 'upload.jobUuid')
      .select(['upload.key', 'upload.url', 'upload.imageUuid', 'upload.jobUuid', 'longJob.state'])
      .where('upload.name', '=', imageId)
      .where('image.status', '=', 'Downloading')
      .orderBy('upload.createDate')
      .execute();
    const existingJobDetails = await Promise.all(
      rows.map(async ({ key, url, imageUuid, jobUuid, state }) => ({
        longJobUuid: jobUuid,
        longJobState: state,
        imageUuid,
        imageUploadUrl: url,
        offset: (await parts.uploads.stateOf(key))?.offset ?? 0,
      })),
    );
    return { existingJobDetails, success: true };
  };
}
