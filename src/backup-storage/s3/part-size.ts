/** S3's limits: https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html */
const MOST_PARTS = 10_000;

const MIB = 1024 * 1024;
/** Large enough that a request costs little beside its bytes; S3 wants 5 MiB for all parts but the last. */
export const SMALLEST_PART = 8 * MIB;

/** The parts that an object of the expected size takes, with some to spare for one that is larger than it said. */
const PLANNED_PARTS = 9000;
/** Parts of one size while it is not known how many come: 8 GiB of the smallest, then 16 GiB, … 8 TiB in all. */
const UNPLANNED_STEP = MOST_PARTS / 10;
const SPARE_STEP = (MOST_PARTS - PLANNED_PARTS) / 8;

/**
 * Bytes of a part, counted from 1: so many that 10,000 parts are enough for the expected size, or, growing as they
 * become many, for the largest object that S3 takes (5 TiB).
 */
export function partBytes(number: number, expectedSize: number | undefined): number {
  if (expectedSize === undefined) return SMALLEST_PART * 2 ** Math.floor((number - 1) / UNPLANNED_STEP);
  const planned = Math.max(SMALLEST_PART, Math.ceil(expectedSize / PLANNED_PARTS / MIB) * MIB);
  const beyond = Math.max(0, Math.ceil((number - PLANNED_PARTS) / SPARE_STEP));
  return planned * 2 ** beyond;
}
