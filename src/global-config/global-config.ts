import { text } from '../kernel/field.ts';
import { defineResource, type RowOf } from '../kernel/resource.ts';

export const GlobalConfig = defineResource({
  name: 'GlobalConfig',
  zstackClass: 'org.zstack.core.config.GlobalConfigInventory',
  doc: 'A setting that is changed while the service runs, and holds for all of its processes.',
  source: 'zstack-api.md 4.11',
  key: ['category', 'name'],
  visible: 'everyone',
  fields: {
    category: text('What it is about.', { max: 255 }),
    name: text('Its name in the category.', { max: 255 }),
    description: text('What it does.', { max: 2048 }),
    defaultValue: text('What holds until it is changed.', { max: 2048 }),
    value: text('What holds.', { max: 2048 }),
  },
});

declare module '../database/database.ts' {
  interface Tables {
    globalConfig: RowOf<typeof GlobalConfig>;
  }
}
