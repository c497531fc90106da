/** A job's progress as one line of text. */
import { formatDuration, formatSize } from '../kernel/format.ts';
import { displayWidth, fit } from './display-width.ts';

export interface Progress {
  percent: number;
  bytesDone?: number | undefined;
  bytesTotal?: number | undefined;
  /** Found good after an interruption and not moved again. */
  bytesResumed?: number | undefined;
  bytesPerSecond?: number | undefined;
  secondsLeft?: number | undefined;
  /** Of a job that waits for a free place: 1 is the next to begin. */
  placeInLine?: number | undefined;
}

const WIDEST_BAR = 30;
const NARROWEST_BAR = 8;

/** `43%  1.2 GiB of 2.8 GiB  310 MiB/s  5 s left  resumed 200 MiB`. */
export function progressText(progress: Progress): string {
  return parts(progress).join('  ');
}

function parts(progress: Progress): string[] {
  const { percent, bytesDone, bytesTotal, bytesResumed, bytesPerSecond, secondsLeft, placeInLine } = progress;
  if (placeInLine !== undefined) return [`waiting, number ${placeInLine} in line`];
  const shown = [`${String(Math.floor(percent)).padStart(3)}%`];
  if (bytesDone !== undefined && bytesDone > 0) {
    shown.push(
      bytesTotal === undefined
        ? formatSize(bytesDone)
        : `${formatSize(bytesDone)} of ${formatSize(bytesTotal)}`,
    );
  }
  if (bytesPerSecond) shown.push(`${formatSize(bytesPerSecond)}/s`);
  if (secondsLeft !== undefined) shown.push(`${formatDuration(secondsLeft * 1000)} left`);
  if (bytesResumed) shown.push(`resumed ${formatSize(bytesResumed)}`);
  return shown;
}

/** The same behind a bar, in less than `width` columns: the bar shrinks first, then the last words go. */
export function progressLine(label: string, progress: Progress, width: number): string {
  // The last column stays free: terminals wrap when it is written.
  const room = width - 1;
  const words = parts(progress);
  for (let count = words.length; count > 0; count--) {
    const text = words.slice(0, count).join('  ');
    const bar = Math.min(WIDEST_BAR, room - displayWidth(label) - displayWidth(text) - 4);
    if (bar >= NARROWEST_BAR) return `${label} [${drawBar(progress.percent, bar)}] ${text}`;
  }
  return fit(`${label} ${words[0]}`, room);
}

function drawBar(percent: number, width: number): string {
  const full = Math.floor((Math.min(100, Math.max(0, percent)) / 100) * width);
  return '█'.repeat(full) + '░'.repeat(width - full);
}
