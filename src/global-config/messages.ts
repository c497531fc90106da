import { text } from '../kernel/field.ts';
import { defineMessage, defineQuery, inventoryOf, nothing } from '../kernel/message.ts';
import { GlobalConfig } from './global-config.ts';

const about = { resource: GlobalConfig, zstackPackage: 'org.zstack.core.config' };

export const QueryGlobalConfig = defineQuery(GlobalConfig, {
  route: 'GET /global-configurations',
  source: 'zstack-api.md 3.9',
  byUuid: false,
  zstackPackage: about.zstackPackage,
});

export const UpdateGlobalConfig = defineMessage({
  ...about,
  name: 'UpdateGlobalConfig',
  doc: 'Changes a setting; it holds at once here, and within two seconds in the other processes.',
  source: 'zstack-api.md 3.9',
  caller: 'admin',
  kind: 'change',
  route: 'PUT /global-configurations/{category}/{name}/actions',
  parameters: {
    category: text('What it is about.', { max: 255 }),
    name: text('Its name in the category.', { max: 255 }),
    value: text('What is to hold; its default where it is left out.', { max: 2048, optional: true }),
  },
  answer: inventoryOf(GlobalConfig),
});

export const ResetGlobalConfig = defineMessage({
  ...about,
  name: 'ResetGlobalConfig',
  doc: 'Gives all settings their defaults.',
  source: 'zstack-api.md 3.9',
  caller: 'admin',
  kind: 'change',
  route: 'PUT /global-configurations/actions',
  parameters: {},
  answer: nothing,
});
