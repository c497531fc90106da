/** Who gets a place, whatever comes and goes. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import fc from 'fast-check';
import type { AnyOperation } from '../../src/job/operation.ts';
import { Places, type Seat } from '../../src/job/places.ts';
import type { Message } from '../../src/kernel/message.ts';

const KINDS = { Import: 'source', Upload: 'client', Delete: undefined } as const;
const operations = Object.entries(KINDS).map(([name, waitsFor]) => ({
  message: { name } as Message,
  operation: (waitsFor ? { waitsFor } : {}) as AnyOperation,
}));
const jobNameOf = (name: string) => `API${name}Msg`;

const step = fc.oneof(
  fc.record({
    begin: fc.constantFrom(...Object.keys(KINDS)),
    account: fc.constantFrom('a', 'b', 'c', 'd'),
  }),
  fc.record({ end: fc.nat() }),
);

it('never more jobs have places than there are, and sources leave some free', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 40 }), fc.array(step, { maxLength: 120 }), (all, steps) => {
      const seated: Required<Seat>[] = [];
      const places = new Places({ all, operations, seats: () => seated });
      const count = (name: string) => seated.filter(({ jobName }) => jobName === jobNameOf(name)).length;
      for (const next of steps) {
        if ('end' in next) {
          if (seated.length > 0) seated.splice(next.end % seated.length, 1);
          continue;
        }
        const seat = { jobName: jobNameOf(next.begin), accountUuid: next.account };
        const has = places.has(seat);
        // What is begun when it is called and what is taken up later are judged alike.
        const { cancelledOr, not } = places.filter();
        const barred =
          not?.names.includes(seat.jobName) &&
          (not.ofAccounts === 'all' || not.ofAccounts.includes(seat.accountUuid));
        assert.equal(
          cancelledOr ? cancelledOr.includes(seat.jobName) : !barred || next.begin === 'Upload',
          has,
        );
        if (next.begin === 'Upload') assert.ok(has);
        if (has) seated.push(seat);
        assert.ok(count('Import') + count('Delete') <= all);
        assert.ok(count('Import') <= all - Math.floor(all / 4));
      }
    }),
  );
});

it('an account that comes while another has all it may finds a place for a source', () => {
  for (let all = 2; all <= 40; all++) {
    const seated: Required<Seat>[] = [];
    const places = new Places({ all, operations, seats: () => seated });
    const take = (accountUuid: string) => {
      const seat = { jobName: jobNameOf('Import'), accountUuid };
      const before = seated.length;
      while (places.has(seat)) seated.push(seat);
      return seated.length - before;
    };
    const first = take('a');
    assert.ok(first >= 1 && first >= Math.floor((all * 3) / 8), `${first} of ${all}`);
    assert.ok(take('b') >= 1, `none of ${all}`);
    assert.equal(take('a'), 0);
  }
});
