/** A figure beside what it shall be. */
export interface Reach {
  says: string;
  reached: boolean;
}

export function atMost(what: string, value: number, most: number, unit: string, digits = 2): Reach {
  return { says: `${what}: ${value.toFixed(digits)} ${unit}, at most ${most}`, reached: value <= most };
}

export function atLeast(what: string, value: number, least: number, unit: string): Reach {
  return { says: `${what}: ${value.toFixed(0)} ${unit}, at least ${least}`, reached: value >= least };
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((one, other) => one - other);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}
