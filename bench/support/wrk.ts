import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { runProgram } from '../../test/support/program.ts';
import { scratchDirectory } from './scratch.ts';

export interface WrkResult {
  /** Answers a second. */
  rate: number;
  /** Milliseconds. */
  p50: number;
  p99: number;
}

export interface WrkRequest {
  /** Where it asks, one after another. */
  urls: readonly string[];
  headers: Record<string, string>;
  connections: number;
  seconds: number;
}

/** Keeps the connections busy from one thread of wrk. Rejects where an answer was not 200. */
export async function wrk({ urls, headers, connections, seconds }: WrkRequest): Promise<WrkResult> {
  const script = join(scratchDirectory(), 'wrk.lua');
  writeFileSync(script, lua(urls, headers));
  const origin = new URL(urls[0] ?? '').origin;
  const line = [
    '--threads=1',
    `--connections=${connections}`,
    `--duration=${seconds}s`,
    // By its own, an answer that takes two seconds counts as none.
    '--timeout=60s',
    `--script=${script}`,
  ];
  const output = await runProgram('wrk', [...line, origin]);
  const [, rate, p50, p99, bad] = /^rate=(\S+) p50=(\S+) p99=(\S+) bad=(\d+)$/m.exec(output) ?? [];
  if (bad !== '0') throw new Error(`wrk was not answered as it should be:\n${output}`);
  return { rate: Number(rate), p50: Number(p50), p99: Number(p99) };
}

function lua(urls: readonly string[], headers: Record<string, string>): string {
  const paths = urls.map((url) => JSON.stringify(url.slice(new URL(url).origin.length)));
  const set = Object.entries(headers).map(
    ([name, value]) => `wrk.headers[${JSON.stringify(name)}] = ${JSON.stringify(value)}`,
  );
  // Latencies are in microseconds there.
  return `${set.join('\n')}
local paths = { ${paths.join(', ')} }
local requests = {}
local next = 0
init = function(args)
  for i, path in ipairs(paths) do requests[i] = wrk.format("GET", path) end
end
request = function()
  next = next % #requests + 1
  return requests[next]
end
done = function(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format("rate=%.1f p50=%.3f p99=%.3f bad=%d\\n",
    summary.requests / (summary.duration / 1e6), latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
`;
}
