/** A server's key as it is remembered: its kind, and its fingerprint as ssh-keygen(1) shows it. */
import type { ServerHostKeyAlgorithm } from 'ssh2';
import { IngotError } from '../../kernel/errors.ts';
import { fingerprintOf } from '../../transfer/known-hosts.ts';

/** `ssh-ed25519 SHA256:…`, from the key as the server sends it. */
export function describeHostKey(key: Buffer): string {
  const kind = key.subarray(4, 4 + key.readUInt32BE(0)).toString('latin1');
  return `${kind} ${fingerprintOf(key)}`;
}

/**
 * Which keys are asked for: of the kind that is remembered alone, as a server has one of each, and would else show
 * another one as soon as it has one that we like better.
 */
export function algorithmsFor(remembered: string): ServerHostKeyAlgorithm[] {
  const kind = remembered.split(' ')[0] as ServerHostKeyAlgorithm;
  return kind === 'ssh-rsa' ? ['rsa-sha2-512', 'rsa-sha2-256', 'ssh-rsa'] : [kind];
}

export function changedHostKey(server: string, remembered: string, found?: string): IngotError {
  const shown = found === undefined ? 'it has no such key any longer' : `now it shows ${found}`;
  return new IngotError(
    'BS.1005',
    `${server} is not the server it was: its host key was ${remembered}, and ${shown}`,
    {
      elaboration:
        "Somebody may be in between. If its machine was set up anew, call 'ReconnectSftpBackupStorage' with acceptNewHostKey=true.",
    },
  );
}
