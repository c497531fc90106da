/** The tags that a creating call brings: written with the resource's first rows, whichever message makes it. */
import type { CreationHook } from '../job/operation.ts';
import type { Clock } from '../kernel/clock.ts';
import { addSystemTag, addUserTag } from './tags.ts';

/** Tags that mean something to the call alone begin so, and are not kept (zstack-api.md 5.9). */
const EPHEMERAL = 'ephemeral::';

export function tagsOfNewResources(parts: { clock: Clock }): CreationHook {
  return {
    async begin(tx, { call, resource, uuid }) {
      const { userTags = [], systemTags = [] } = call.parameters as {
        userTags?: string[];
        systemTags?: string[];
      };
      const now = parts.clock.now();
      for (const tag of userTags) await addUserTag(tx, { resource, uuid }, tag, now);
      for (const tag of systemTags) {
        if (!tag.startsWith(EPHEMERAL)) await addSystemTag(tx, { resource, uuid }, tag, now);
      }
    },
  };
}
