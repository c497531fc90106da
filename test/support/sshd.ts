import { makeSshKeys, type Sshd, type SshdOptions, startSshdWith } from './sshd-server.ts';
import { temporaryDirectory } from './temp-directory.ts';

export { canTakePasswords, type Sshd } from './sshd-server.ts';

/** As `startSshdWith`, for tests: `keys` are those of one that comes back; without, it gets new ones. */
export async function startSshd(options: SshdOptions & { keys?: string } = {}): Promise<Sshd> {
  return startSshdWith(options.keys ?? (await makeSshKeys(temporaryDirectory())), options);
}
