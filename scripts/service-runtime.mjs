/** How Node is started for the service, so that it stays small. */
import { join } from 'node:path';
import { projectDirectory } from './project.mjs';

/**
 * Bytes in flight are garbage soon, and count as little by themselves: with room for more young objects, Node would
 * keep more of them (measured at the peak of an upload by SFTP, in MiB: 201 by its own 16, 194 with 4).
 */
export const SERVICE_FLAGS = ['--max-semi-space-size=4'];

/** Added to the environment, where that does not say otherwise. */
export function serviceEnvironment(environment = process.env) {
  const added = {
    // Reading, writing, flushing and digesting several images at once share libuv's pool of 4 threads otherwise.
    UV_THREADPOOL_SIZE: '16',
    // What one thread frees serves the next, and large blocks go back to the system: hashing a password takes 16 MiB,
    // which glibc's allocator would keep for good once it has seen two of them (measured: 20 MiB less at the peak).
    MALLOC_ARENA_MAX: '2',
    MALLOC_MMAP_THRESHOLD_: '1048576',
    // What Node makes of our TypeScript is kept, so that a call starts in two thirds of the time.
    NODE_COMPILE_CACHE: join(projectDirectory, 'node_modules', '.cache', 'ingot'),
  };
  return { ...added, ...Object.fromEntries(Object.entries(environment).filter(([name]) => name in added)) };
}
