import { boolean, json, text } from '../kernel/field.ts';
import { answerOf, defineMessage, defineQuery, nothing } from '../kernel/message.ts';
import { ManagementNode } from './management-node.ts';

const about = { resource: ManagementNode, zstackPackage: 'org.zstack.header.managementnode' };
const open = { caller: 'anyone', kind: 'sync', parameters: {} } as const;
const SUCCESS = boolean('Always true.');

export const QueryManagementNode = defineQuery(ManagementNode, {
  route: 'GET /management-nodes',
  source: 'zstack-api.md 3.9',
  caller: 'admin',
  zstackPackage: about.zstackPackage,
});

export const GetVersion = defineMessage({
  ...about,
  ...open,
  name: 'GetVersion',
  doc: 'Says which version of Ingot answers.',
  source: 'zstack-api.md 3.9',
  route: 'PUT /management-nodes/actions',
  answer: answerOf({ success: SUCCESS, version: text('Such as 0.1.0.') }),
});

export const GetCurrentTime = defineMessage({
  ...about,
  ...open,
  name: 'GetCurrentTime',
  doc: "Says what time the service's clock has.",
  source: 'zstack-api.md 3.9',
  route: 'PUT /management-nodes/actions',
  answer: answerOf({
    success: SUCCESS,
    currentTime: json<{ MillionSeconds: number; Seconds: number }>(
      'Since 1970: MillionSeconds in milliseconds, Seconds in seconds.',
    ),
  }),
});

export const IsReadyToGo = defineMessage({
  ...about,
  ...open,
  name: 'IsReadyToGo',
  doc: 'Answers when the service can do its work, and fails while it can not.',
  source: 'zstack-api.md 3.9',
  route: 'GET /management-nodes/ready',
  answer: nothing,
  zstackPackage: 'org.zstack.header.apimediator',
});
