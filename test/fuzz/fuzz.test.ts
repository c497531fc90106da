import { after, before, describe, it } from 'node:test';
import fc from 'fast-check';
import { readCorpus } from './corpus.ts';
import { targets } from './targets.ts';

/** Runs at each `npm test`; `npm run fuzz -- MINUTES` runs as long as it is told. */
const RUNS: Record<string, number> = { disk: 300, query: 1000, command: 1000, http: 400 };

for (const target of targets) {
  describe(`anything, given to ${target.name}`, () => {
    before(() => target.begin?.());
    after(() => target.end?.());

    it('is taken in good order where it was not once', async () => {
      for (const { name, input } of readCorpus(target.name)) {
        try {
          await target.run(input);
        } catch (error) {
          throw new Error(`corpus/${target.name}/${name}`, { cause: error });
        }
      }
    });

    it('is taken in good order', async () => {
      const property = fc.asyncProperty(target.inputs, async (input) => target.run(input));
      await fc.assert(property, { numRuns: RUNS[target.name] ?? 100 });
    });
  });
}
