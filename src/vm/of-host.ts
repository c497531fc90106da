/** Jobs that have to do with the machines of one host: only the service that runs those can do or undo anything of them. */
import type { JobOperation } from '../job/operation.ts';
import type { Message } from '../kernel/message.ts';

/** What the checkpoint of such a job says. */
export interface OfHost {
  hostUuid?: string;
}

/** Jobs that say nothing of it are everybody's. */
export function isOf(host: { readonly uuid: string }, { hostUuid = host.uuid }: OfHost): boolean {
  return hostUuid === host.uuid;
}

/** The operation, all of whose jobs are the admitting service's. */
export function ofHost<M extends Message, C extends object>(
  host: { readonly uuid: string },
  operation: JobOperation<M, C>,
): JobOperation<M, C & OfHost> {
  return {
    ...operation,
    async admit(call, tx) {
      const { checkpoint, ...more } = await operation.admit(call, tx);
      return { ...more, checkpoint: { ...checkpoint, hostUuid: host.uuid } };
    },
    isOurs: (checkpoint) => isOf(host, checkpoint),
  };
}
