/** As people read them: sizes in binary units, durations in the two largest ones, and the beginning of long texts. */

const SIZE_UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];

/** `1610612736` → `1.5 GiB`. */
export function formatSize(bytes: number): string {
  let value = bytes;
  let unit = 0;
  // 1023.6 KiB would be written 1024 KiB.
  while (Number(value.toFixed(digitsFor(value, unit))) >= 1024 && unit < SIZE_UNITS.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${Number(value.toFixed(digitsFor(value, unit)))} ${SIZE_UNITS[unit]}`;
}

/** Behind the point, so that three are shown in all. */
function digitsFor(value: number, unit: number): number {
  return unit === 0 || value >= 100 ? 0 : value >= 10 ? 1 : 2;
}

/** Milliseconds → `4.2 s`, `3 min 20 s`, `2 h 5 min`. */
export function formatDuration(milliseconds: number): string {
  if (milliseconds < 1000) return `${Math.round(milliseconds)} ms`;
  if (milliseconds < 9950) return `${(milliseconds / 1000).toFixed(1)} s`;
  const seconds = Math.round(milliseconds / 1000);
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${seconds % 60} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** The characters of what somebody wrote that an error shows at most. */
const SHOWN = 80;

/** What was written, as an error may hold it: of a megabyte, the beginning. */
export function shorten(text: string): string {
  return text.length > SHOWN ? `${text.slice(0, SHOWN)}…` : text;
}
