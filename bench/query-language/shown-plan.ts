/** The database's own plan of a question, as the engine asks it. */
import { type CompiledQuery, type KyselyPlugin, sql } from 'kysely';
import { Database, type Sql } from '../../src/database/database.ts';
import { Image } from '../../src/image/image.ts';
import { query } from '../../src/query/query.ts';

export async function shownPlan(database: Database, parameters: Record<string, unknown>): Promise<string[]> {
  const seen: CompiledQuery[] = [];
  const watched = (on: Sql) => {
    const plugin: KyselyPlugin = {
      transformQuery({ node, queryId }) {
        seen.push(on.getExecutor().compileQuery(node, queryId));
        return node;
      },
      transformResult: async ({ result }) => result,
    };
    return on.withPlugin(plugin);
  };
  await query(new Database(watched(database.sql), watched(database.reader), database.syntax), Image, {
    ...parameters,
    fields: ['uuid'],
  });
  const page = seen.findLast((each) => /order by/.test(each.sql));
  if (!page) return [];
  const explain = database.syntax.name === 'sqlite' ? 'explain query plan' : 'explain';
  const { rows } = await database.sql.executeQuery<Record<string, string>>({
    ...page,
    sql: `${explain} ${page.sql}`,
    query: sql`${sql.raw(explain)}`.toOperationNode(),
  });
  return rows.map((row) => row.detail ?? row['QUERY PLAN'] ?? '');
}
