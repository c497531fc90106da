/** Every message there is. Declarations alone: the command line reads them without loading the service. */
import * as account from './account/messages.ts';
import * as audit from './audit/messages.ts';
import * as backupStorage from './backup-storage/messages.ts';
import * as globalConfig from './global-config/messages.ts';
import * as image from './image/messages.ts';
import { type Message, messagesIn } from './kernel/message.ts';
import { type Resource, reachableResources } from './kernel/resource.ts';
import * as longJob from './long-job/messages.ts';
import * as managementNode from './management-node/messages.ts';
import * as primaryStorage from './primary-storage/messages.ts';
import * as snapshot from './snapshot/messages.ts';
import * as tag from './tag/messages.ts';
import * as vm from './vm/messages.ts';
import * as volume from './volume/messages.ts';
import * as zone from './zone/messages.ts';

/** The folders' declarations, as the typed client derives its calls from them. */
export type Catalogue = typeof image &
  typeof backupStorage &
  typeof primaryStorage &
  typeof volume &
  typeof vm &
  typeof snapshot &
  typeof zone &
  typeof longJob &
  typeof account &
  typeof audit &
  typeof globalConfig &
  typeof managementNode &
  typeof tag;

export const messages: readonly Message[] = [
  image,
  backupStorage,
  primaryStorage,
  volume,
  vm,
  snapshot,
  zone,
  longJob,
  account,
  audit,
  globalConfig,
  managementNode,
  tag,
].flatMap(messagesIn);

/** Every resource that a message is about, or that is related to one, by name. */
export const resources: ReadonlyMap<string, Resource> = reachableResources(
  messages.flatMap((message) => message.resource ?? []),
);
