import type { Message } from '../kernel/message.ts';
import type { Connection } from './connection.ts';
import type { Interrupts } from './interrupts.ts';
import type { Terminal } from './terminal.ts';

/** What the commands of one process share. */
export interface CommandContext {
  terminal: Terminal;
  connection: Connection;
  interrupts: Interrupts;
  messages: readonly Message[];
  /** True in a shell: a service that was started outlives the call. */
  lasting: boolean;
}
