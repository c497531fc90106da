/** A job that this process works on, and how far it is. */
import type { Clock } from '../kernel/clock.ts';
import type { LongJobRow } from './long-job.ts';
import { Meter } from './meter.ts';
import type { Progress } from './operation.ts';

export interface Running {
  readonly row: LongJobRow;
  readonly stop: AbortController;
  readonly meter: Meter;
  progress: Progress;
  ended: Promise<void>;
}

export interface JobProgress extends Progress {
  /** Bytes a second over the last few seconds. */
  rate: number;
  percent: number;
}

/** The job of the row, as far as it was when it was last written; nobody works on it yet. */
export function runningOf(row: LongJobRow, clock: Clock): Running {
  return {
    row,
    stop: new AbortController(),
    meter: new Meter(clock),
    progress: {
      bytesDone: row.bytesDone,
      ...(row.bytesTotal !== null && { bytesTotal: row.bytesTotal }),
      bytesResumed: row.bytesResumed,
    },
    ended: Promise.resolve(),
  };
}

/** 99 at most: a job is at 100 when its end stands. */
export function percentOf({ bytesDone, bytesTotal }: Progress): number {
  if (!bytesTotal) return 0;
  return Math.min(99, Math.floor((bytesDone / bytesTotal) * 100));
}
