import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { ClusterSet, PageBudget } from '../../src/disk/cluster-set.ts';
import { NumberHeap } from '../../src/disk/number-heap.ts';

const cluster = fc.oneof(
  fc.nat(100),
  fc.nat(10_000),
  fc.nat(2 ** 31).map((number) => number * 2 ** 16),
);

describe('a set of clusters', () => {
  it('holds what was put in, one by one and as ranges', () => {
    const steps = fc.array(fc.record({ start: cluster, count: fc.nat(5000), single: fc.boolean() }), {
      maxLength: 8,
    });
    fc.assert(
      fc.property(steps, cluster, fc.nat(5000), (all, from, length) => {
        const set = new ClusterSet(new PageBudget(2 ** 22));
        const known = new Set<number>();
        for (const { start, count, single } of all) {
          if (single) assert.equal(set.add(start), !known.has(start));
          else set.addAll(start, start + count);
          if (single) known.add(start);
          else for (let at = start; at < start + count; at++) known.add(at);
        }
        for (const { start, count } of all) {
          for (const at of [start - 1, start, start + count - 1, start + count])
            if (at >= 0) assert.equal(set.has(at), known.has(at), `${at}`);
        }
        let first: number | undefined;
        for (let at = from; at < from + length && first === undefined; at++) if (known.has(at)) first = at;
        assert.equal(set.firstIn(from, from + length), first);
      }),
      { numRuns: 200 },
    );
  });

  it('is refused more than its budget, whatever the sets of an image are', () => {
    const budget = new PageBudget(4 * 320);
    const [one, other] = [new ClusterSet(budget), new ClusterSet(budget)];
    for (const page of [0, 1]) one.add(page * 2048);
    for (const page of [5, 9]) other.add(page * 2048);
    one.addAll(0, 4096);
    assert.throws(() => other.add(2 ** 40), /scattered so widely/);
    assert.equal(other.has(9 * 2048), true);
  });
});

describe('a heap of numbers', () => {
  it('gives them back in order', () => {
    fc.assert(
      fc.property(fc.array(fc.double({ noNaN: true, min: 0 }), { maxLength: 300 }), (numbers) => {
        const heap = new NumberHeap(new PageBudget(2 ** 20));
        for (const number of numbers) heap.push(number);
        const sorted = Array.from({ length: numbers.length }, () => heap.pop());
        assert.deepEqual(sorted, [...Float64Array.from(numbers).sort()]);
        assert.equal(heap.pop(), undefined);
      }),
    );
  });
});
