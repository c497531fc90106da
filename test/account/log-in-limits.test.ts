/** How fast passwords may be tried, with a clock that stands still until it is moved. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it, mock } from 'node:test';
import { setImmediate as turnOfTheLoop } from 'node:timers/promises';
import { FewAtOnce } from '../../src/account/few-at-once.ts';
import { LogInLimits } from '../../src/account/log-in-limits.ts';
import { systemClock } from '../../src/kernel/clock.ts';
import { originOf } from '../../src/transfer/origin.ts';

const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;
const HOME = '192.0.2.1';
const OFFICE = '198.51.100.7';

const WRONG = new Error('wrong');

beforeEach(() => mock.timers.enable({ apis: ['Date', 'setTimeout'], now: DAY }));
afterEach(() => mock.timers.reset());

/** Lets time pass until all have ended, and tells after how many milliseconds each did. */
async function whenEnded(attempts: Promise<unknown>[]): Promise<number[]> {
  const began = Date.now();
  const ends = attempts.map(() => -1);
  let open = attempts.length;
  for (const [i, attempt] of attempts.entries()) {
    const note = () => {
      ends[i] = Date.now() - began;
      open--;
    };
    attempt.then(note, note);
  }
  await turnOfTheLoop();
  while (open > 0) {
    mock.timers.tick(50);
    await turnOfTheLoop();
  }
  return ends;
}

const guess = (limits: LogInLimits, from: string, name: string) =>
  limits.logIn({ from, name }, async ({ failed }) => {
    failed();
    throw WRONG;
  });
const logIn = (limits: LogInLimits, from: string, name: string) =>
  limits.logIn({ from, name }, async () => 'in');

/** Wrong guesses from one address, each at another account. */
const spray = (limits: LogInLimits, from: string, count: number, names = 'account') =>
  Array.from({ length: count }, (_, i) => guess(limits, from, `${names} ${i}`));

const refused = (whose: RegExp) => ({ code: 'ID.1000', retryable: true, message: whose });

describe('guesses at one account from one address', () => {
  it('cost nothing three times, and then further and further waits, one after another', async () => {
    const limits = new LogInLimits(systemClock);
    assert.deepEqual(await whenEnded([1, 2, 3].map(() => guess(limits, HOME, 'admin'))), [0, 0, 0]);
    const waits = [];
    for (let i = 0; i < 8; i++) waits.push(...(await whenEnded([guess(limits, HOME, 'ADMIN')])));
    assert.deepEqual(waits, [250, 500, 1000, 2000, 4000, 8000, 8000, 8000]);
    const three = [1, 2, 3].map(() => guess(limits, HOME, 'admin'));
    await assert.rejects(
      guess(limits, HOME, 'admin'),
      refused(/^there were 11 failed log-ins to 'admin' from 192\.0\.2\.1 and .*; try again in 8 s$/),
    );
    assert.deepEqual(await whenEnded(three), [8000, 16_000, 24_000]);
    assert.deepEqual(await whenEnded([guess(limits, OFFICE, 'admin')]), [0]);
  });

  it('are forgotten with a success and after 15 minutes, and with no other end of an attempt', async () => {
    const limits = new LogInLimits(systemClock);
    const four = () => [1, 2, 3, 4].map(() => guess(limits, HOME, 'admin'));
    assert.deepEqual(await whenEnded(four()), [0, 0, 0, 250]);
    const broken = limits.logIn({ from: HOME, name: 'admin' }, async () => {
      throw new Error('the database is away');
    });
    assert.deepEqual(await whenEnded([broken]), [500]);
    assert.deepEqual(
      await whenEnded([guess(limits, HOME, 'admin'), logIn(limits, HOME, 'admin')]),
      [0, 1000],
    );
    assert.deepEqual(await whenEnded(four()), [0, 0, 0, 250]);
    mock.timers.tick(15 * MINUTE);
    assert.deepEqual(await whenEnded(four()), [0, 0, 0, 250]);
  });

  it('are remembered however many names are made up', async () => {
    const limits = new LogInLimits(systemClock);
    await whenEnded([1, 2, 3, 4].map(() => guess(limits, HOME, 'admin')));
    const begun: number[] = [];
    let end = () => {};
    const ended = new Promise<void>((resolve) => {
      end = resolve;
    });
    const underWay = (i: number) =>
      limits.logIn({ from: OFFICE, name: 'bob' }, async () => {
        begun.push(i);
        await ended;
      });
    const open = [1, 2, 3].map(underWay);
    for (let i = 0; i < 11_000; i++)
      await assert.rejects(guess(limits, `10.0.${i >> 8}.${i & 255}`, `name ${i}`), WRONG);
    assert.deepEqual(await whenEnded([guess(limits, HOME, 'admin')]), [500]);
    const fourth = underWay(4);
    await turnOfTheLoop();
    assert.deepEqual(begun, [1, 2, 3]);
    end();
    await Promise.all([...open, fourth]);
    assert.deepEqual(begun, [1, 2, 3, 4]);
  });
});

describe('guesses from one address', () => {
  it('wait from the twentieth on whatever they are at, one after another and two seconds at most', async () => {
    const limits = new LogInLimits(systemClock);
    assert.deepEqual(await whenEnded(spray(limits, HOME, 20)), new Array(20).fill(0));
    assert.deepEqual(await whenEnded(spray(limits, HOME, 6, 'further')), [250, 750, 1750, 3750, 5750, 7750]);
    assert.deepEqual(await whenEnded([guess(limits, OFFICE, 'account 0')]), [0]);
    // They are counted before it is known how they end.
    const others = new LogInLimits(systemClock);
    const ends = await whenEnded(spray(others, HOME, 22));
    assert.deepEqual(ends.slice(18), [0, 0, 250, 750]);
  });

  it('are not made up for by a success of his own', async () => {
    const limits = new LogInLimits(systemClock);
    await whenEnded(spray(limits, HOME, 20));
    await whenEnded([logIn(limits, HOME, 'mallory')]);
    assert.deepEqual(await whenEnded([guess(limits, HOME, 'next')]), [0]);
    await whenEnded([logIn(limits, HOME, 'mallory')]);
    assert.deepEqual(await whenEnded([guess(limits, HOME, 'last')]), [500]);
  });

  it('count for 15 minutes', async () => {
    const limits = new LogInLimits(systemClock);
    for (let i = 0; i < 60; i++) {
      assert.deepEqual(await whenEnded([guess(limits, HOME, `slowly ${i}`)]), [0]);
      mock.timers.tick(MINUTE);
    }
    await whenEnded(spray(limits, HOME, 20));
    mock.timers.tick(15 * MINUTE);
    assert.deepEqual(await whenEnded([guess(limits, HOME, 'later')]), [0]);
  });

  it('are turned away where twenty are waiting, with when to come again', async () => {
    const limits = new LogInLimits(systemClock);
    await whenEnded(spray(limits, HOME, 24));
    const waiting = spray(limits, HOME, 20, 'waiting');
    await assert.rejects(
      guess(limits, HOME, 'one more'),
      refused(/^there were 24 failed log-ins from 192\.0\.2\.1 and .*; try again in 2 s$/),
    );
    // What was turned away is no slate to be wiped.
    await assert.rejects(guess(limits, HOME, 'waiting 0'), refused(/from 192\.0\.2\.1 and/));
    const ends = await whenEnded(waiting);
    assert.equal(ends.at(-1), 40_000);
  });

  it('are those of a whole /64 in IPv6, and of IPv4 in whichever form', async () => {
    assert.equal(originOf('2001:db8:1:2:3:4:5:6'), '2001:db8:1:2::/64');
    assert.equal(originOf('2001:DB8:1:2::1'), originOf('2001:db8:1:2:ffff::'));
    assert.notEqual(originOf('2001:db8:1:2::1'), originOf('2001:db8:1:3::1'));
    assert.equal(originOf('fe80::1%eth0'), 'fe80:0:0:0::/64');
    assert.equal(originOf('::ffff:192.0.2.1'), HOME);
    assert.equal(originOf('::ffff:c000:201'), HOME);
    // An interface's part of an address is what its owner says: it must lead to nobody else.
    assert.equal(originOf('2001:db8::5efe:192.0.2.1'), '2001:db8:0:0::/64');
    const limits = new LogInLimits(systemClock);
    await whenEnded(
      Array.from({ length: 20 }, (_, i) => guess(limits, `2001:db8::${i + 1}`, `account ${i}`)),
    );
    assert.deepEqual(await whenEnded([guess(limits, '2001:db8::abcd', 'next')]), [250]);
    assert.deepEqual(await whenEnded([guess(limits, '2001:db8:0:1::abcd', 'next')]), [0]);
  });
});

describe('who has logged in from an address', () => {
  it("waits for nobody else's failures there, but for those at his account", async () => {
    const limits = new LogInLimits(systemClock);
    await whenEnded([logIn(limits, HOME, 'Alice')]);
    await whenEnded(spray(limits, HOME, 24));
    const waiting = spray(limits, HOME, 20, 'waiting');
    const [alice, bob] = [logIn(limits, HOME, 'alice'), logIn(limits, HOME, 'bob')];
    await assert.rejects(bob, refused(/from 192\.0\.2\.1/));
    const [first = -1, ...others] = await whenEnded([alice, ...waiting]);
    assert.equal(first, 0);
    assert.ok(Math.min(...others) >= 2000);
    await whenEnded([1, 2, 3].map(() => guess(limits, HOME, 'alice')));
    assert.deepEqual(await whenEnded([logIn(limits, HOME, 'alice')]), [250]);
    // Elsewhere she is a stranger.
    await whenEnded(spray(limits, OFFICE, 20));
    assert.deepEqual(await whenEnded([logIn(limits, OFFICE, 'alice')]), [250]);
  });

  it('is a stranger again after a week', async () => {
    const limits = new LogInLimits(systemClock);
    await whenEnded([logIn(limits, HOME, 'alice')]);
    mock.timers.tick(7 * DAY - 1);
    await whenEnded(spray(limits, HOME, 20));
    const isKnown = () => limits.logIn({ from: HOME, name: 'alice' }, async (attempt) => attempt.isKnown);
    assert.equal(await isKnown(), true);
    mock.timers.tick(7 * DAY);
    assert.equal(await isKnown(), false);
  });
});

describe('the whole service', () => {
  it('has so many attempts under way and no more, and its users get in', async () => {
    const limits = new LogInLimits(systemClock);
    await whenEnded([logIn(limits, HOME, 'alice')]);
    let open = () => {};
    const opened = new Promise<void>((resolve) => {
      open = resolve;
    });
    const slow = (i: number) =>
      limits.logIn({ from: `10.0.0.${i % 25}`, name: `account ${i}` }, async () => opened);
    const many = Array.from({ length: 500 }, (_, i) => slow(i));
    await assert.rejects(
      logIn(limits, '10.0.1.1', 'bob'),
      refused(/^500 log-ins are under way; try again in 5 s$/),
    );
    assert.equal(await logIn(limits, HOME, 'alice'), 'in');
    open();
    await Promise.all(many);
    assert.equal(await logIn(limits, '10.0.1.1', 'bob'), 'in');
  });

  it('does so much at once, and what is urgent before the rest', async () => {
    const few = new FewAtOnce(2);
    const done: string[] = [];
    let atOnce = 0;
    let most = 0;
    const work = (name: string) => async () => {
      most = Math.max(most, ++atOnce);
      await turnOfTheLoop();
      atOnce--;
      done.push(name);
      if (name === 'b') throw WRONG;
    };
    const run = (name: string, urgent = false) => few.run(work(name), { urgent }).catch(() => {});
    await Promise.all([run('a'), run('b'), run('c'), run('d'), run('urgent', true)]);
    assert.deepEqual(done, ['a', 'b', 'urgent', 'c', 'd']);
    assert.equal(most, 2);
    await Promise.all([run('e'), run('f')]);
    assert.equal(most, 2);
  });
});

describe('the present password of somebody who is logged in', () => {
  it('is as hard to guess as in a log-in, and never waited for', async () => {
    const limits = new LogInLimits(systemClock);
    const check = (right: boolean) => limits.check({ from: HOME, name: 'alice' }, async () => right);
    for (let i = 0; i < 3; i++) assert.equal(await check(false), false);
    await assert.rejects(
      check(true),
      refused(/^there were 3 failed log-ins to 'alice' from 192\.0\.2\.1; try again in 1 s$/),
    );
    assert.deepEqual(await whenEnded([guess(limits, HOME, 'alice')]), [250]);
    mock.timers.tick(499);
    await assert.rejects(check(true), refused(/there were 4/));
    mock.timers.tick(1);
    assert.equal(await check(true), true);
    assert.deepEqual(await whenEnded([guess(limits, HOME, 'alice')]), [0]);
  });
});
