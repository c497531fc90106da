import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { KINDS, type Taken } from './far-tables.ts';

const SCRIPT = join(import.meta.dirname, 'far-tables.ts');
/** The 64 MiB that are promised, and what the runtime has not given back yet. */
const MOST_MEMORY = 96 << 20;
const LONGEST_STEP = 200;

describe('a qcow2 without an end is judged in bounded memory, and in small steps', () => {
  for (const kind of KINDS) {
    it(kind, (t) => {
      // A process of its own, as the memory of a process never gets less.
      const taken: Taken = JSON.parse(execFileSync(process.execPath, [SCRIPT, kind], { encoding: 'utf8' }));
      t.diagnostic(`${Math.round(taken.memory / 2 ** 20)} MiB, ${Math.round(taken.longest)} ms`);
      assert.match(taken.refusal, /scattered so widely|cut short/);
      assert.ok(taken.memory < MOST_MEMORY, `${taken.memory} bytes of memory`);
      assert.ok(taken.longest < LONGEST_STEP, `${taken.longest} ms in one step`);
    });
  }
});
