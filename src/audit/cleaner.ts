import type { Settings } from '../global-config/settings.ts';
import { sleep } from '../kernel/clock.ts';
import type { Log } from '../kernel/log.ts';
import type { AuditLog } from './audit-log.ts';
import { AUDIT_RETENTION } from './settings.ts';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;

/** Forgets old calls once an hour, until the signal ends it. */
export async function runAuditCleaner(
  parts: { audit: AuditLog; settings: Settings; log: Log },
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    try {
      const days = await parts.settings.get(AUDIT_RETENTION);
      if (days > 0) await parts.audit.purge(days * DAY);
    } catch (error) {
      parts.log.error({ err: error }, 'clearing the audit log failed; it is tried again in an hour');
    }
    await sleep(HOUR, signal).catch(() => {});
  }
}
