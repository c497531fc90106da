import type { Database } from '../database/database.ts';
import type { Operations } from '../job/operation.ts';
import type { Clock } from '../kernel/clock.ts';
import type * as messages from './messages.ts';

export function managementNodeOperations(parts: {
  database: Database;
  clock: Clock;
  version: string;
}): Operations<typeof messages> {
  return {
    async getVersion() {
      return { success: true, version: parts.version };
    },
    async getCurrentTime() {
      const now = parts.clock.now();
      return { success: true, currentTime: { MillionSeconds: now, Seconds: Math.floor(now / 1000) } };
    },
    async isReadyToGo() {
      await parts.database.ping();
      return {};
    },
  };
}
