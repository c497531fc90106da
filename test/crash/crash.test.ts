/**
 * Death and errors at the steps of jobs. `npm test` stands at every twelfth step of each scenario, from a random one
 * on, to kill, to have it fail, or to have the disk fail at what is done with a file, as chance has it; `npm run crash`
 * stands at all of them, in each of the ways in which a step can go wrong.
 */
import assert from 'node:assert/strict';
import { createHash, randomInt } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { type RangeServer, startRangeServer } from '../support/range-server.ts';
import { smallQcow2 } from '../support/small-disks.ts';
import { temporaryDirectory } from '../support/temp-directory.ts';
import type { Act } from './faulty-service.ts';
import type { Source } from './scenario.ts';
import { SCENARIOS } from './scenarios.ts';
import { type Case, Stage } from './walk.ts';

const ALL = process.env.INGOT_CRASH === 'all';
const EVERY: readonly Act[] = ['kill', 'break', 'fill', 'delay', 'eio'];
const SOME: readonly Act[] = ['kill', 'break', 'eio'];
/** Or those that INGOT_CRASH_ACTS names. */
const acts = (): readonly Act[] => {
  const named = process.env.INGOT_CRASH_ACTS?.split(',') as Act[] | undefined;
  return named ?? (ALL ? EVERY : [SOME[randomInt(SOME.length)] ?? 'kill']);
};
const STRIDE = ALL ? 1 : 12;
/** Milliseconds for one scenario. */
const LIMIT = ALL ? 3_600_000 : 280_000;

describe('a job, whatever dies or fails at whichever of its steps', { concurrency: 2 }, () => {
  let server: RangeServer;
  let source: Source;
  const cases: Case[] = [];
  let steps = 0;

  before(async () => {
    const bytes = readFileSync((await smallQcow2()).path);
    server = await startRangeServer({ files: { '/disk.qcow2': bytes } });
    source = {
      url: server.url('/disk.qcow2'),
      size: bytes.length,
      sha256: createHash('sha256').update(bytes).digest('hex'),
    };
  });
  after(async () => {
    await server.close();
    const violations = cases.filter((one) => one.violation !== undefined).length;
    console.log(
      `${SCENARIOS.length} scenarios, ${steps} steps walked, ${cases.length} cases, ${violations} violations`,
    );
  });

  for (const scenario of SCENARIOS) {
    it(`is done or undone, and nothing lies: ${scenario.name}`, { timeout: LIMIT }, async (t) => {
      const stage = new Stage(scenario, temporaryDirectory(), source);
      await stage.prepare();
      let wrong = 0;
      for (const [round, act] of acts().entries()) {
        const first = ALL ? 1 : randomInt(1, STRIDE + 1);
        const walked = await stage.walk(act, { first, stride: STRIDE });
        t.diagnostic(`${act} at ${walked.length} steps, from step ${first} on`);
        cases.push(...walked);
        if (round === 0) steps += walked.length;
        for (const { at, step, violation } of walked) {
          if (violation === undefined) continue;
          wrong++;
          t.diagnostic(`${act} at ${at} (${step}): ${violation}`);
        }
      }
      assert.equal(wrong, 0, 'see the diagnostics');
    });
  }
});
