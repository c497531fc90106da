import type { Operations } from '../job/operation.ts';
import type * as messages from './messages.ts';
import type { Settings } from './settings.ts';

export function globalConfigOperations({ settings }: { settings: Settings }): Operations<typeof messages> {
  return {
    async updateGlobalConfig({ parameters: { category, name, value } }, tx, afterCommit) {
      const standard = String(settings.find(category, name).default);
      await settings.set(tx, category, name, value ?? standard);
      afterCommit(() => settings.forget());
      const inventory = await tx
        .selectFrom('globalConfig')
        .selectAll()
        .where('category', '=', category)
        .where('name', '=', name)
        .executeTakeFirstOrThrow();
      return { inventory };
    },

    async resetGlobalConfig(_call, tx, afterCommit) {
      await settings.reset(tx);
      afterCommit(() => settings.forget());
      return {};
    },
  };
}
