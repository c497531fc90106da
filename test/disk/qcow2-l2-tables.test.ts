import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { PageBudget } from '../../src/disk/cluster-set.ts';
import { ClusterNumbers, L2Tables } from '../../src/disk/qcow2-l2-tables.ts';

const budget = () => new PageBudget(2 ** 24);

describe('numbers of clusters', () => {
  it('are those that were kept last', () => {
    const cluster = fc.oneof(fc.integer({ min: 1, max: 300 }), fc.integer({ min: 1, max: 2 ** 47 }));
    const steps = fc.array(fc.tuple(cluster, fc.nat(2 ** 31 - 1)), { maxLength: 3000, size: 'max' });
    fc.assert(
      fc.property(steps, cluster, (all, other) => {
        const numbers = new ClusterNumbers(budget());
        const known = new Map<number, number>();
        for (const [at, number] of all) {
          numbers.set(at, number);
          known.set(at, number);
        }
        for (const [at, number] of known) assert.equal(numbers.get(at), number);
        assert.equal(numbers.get(other), known.get(other));
      }),
      { numRuns: 50 },
    );
  });

  it('take no more than their budget', () => {
    const numbers = new ClusterNumbers(new PageBudget(2 ** 20));
    assert.throws(() => {
      for (let at = 1; at < 2 ** 20; at++) numbers.set(at, at);
    }, /scattered so widely/);
  });
});

describe('L2 tables', () => {
  it("are read as whose they are by then, and again where a snapshot's turns out to be the disk's too", () => {
    const tables = new L2Tables(budget());
    assert.equal(tables.name(7, 3584, 2, false), 'new');
    assert.equal(tables.name(7, 3584, 2, true), 'known');
    assert.deepEqual(tables.open(7), { index: 2, own: true });
    assert.equal(tables.name(7, 3584, 2, false), 'known');

    assert.equal(tables.name(9, 4608, 5, false), 'new');
    assert.deepEqual(tables.open(9), { index: 5, own: false });
    assert.equal(tables.name(9, 4608, 5, true), 'read-again');
    assert.deepEqual(tables.open(9), { index: 5, own: true });
  });

  it('are at one place of the L1 table, whoever shares them', () => {
    const tables = new L2Tables(budget());
    tables.name(7, 3584, 2, false);
    for (const own of [false, true])
      assert.throws(() => tables.name(7, 3584, 3, own), /two of its L2 tables/);
    tables.name(8, 4096, 0, true);
    assert.throws(() => tables.name(8, 4096, 0, true), /two of its L2 tables/);
  });
});
