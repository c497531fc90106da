/**
 * Preloaded into every test file: a file whose tests have run, but that something keeps alive, would hold up the
 * run for ever. It ends with the names of what keeps it.
 */
import { after } from 'node:test';

/** Milliseconds from the end of a file's last test. */
const GRACE = 30_000;

after(() => {
  // A timer that keeps nothing alive itself: it fires only when something else does.
  setTimeout(() => {
    const kept = process.getActiveResourcesInfo().filter((name) => name !== 'Timeout');
    console.error(
      `${process.argv[1]}: its tests have run, but it is kept alive by ${kept.join(', ') || 'a timer'}`,
    );
    process.exit(1);
  }, GRACE).unref();
});
