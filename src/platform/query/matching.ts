import type { Knex } from 'knex';
import { mayDoEverything } from '../access/rights.ts';
import type { CallContext } from '../access/types.ts';
import { AppError } from '../errors.ts';
import { compileFilterSql } from '../expression/to-sql.sql.ts';
import type { TypedExpression } from '../expression/types.ts';
import { ident, rows, sql, type Sql } from '../sql.ts';
import { openSource, whereSql, type Source } from './source.ts';

/**
 * Ids of the live records that meet a checked condition, in the order of their ids, a page at a time. For the platform's
 * own work: the condition was checked against the whole Model, so nobody with narrower rights may ask with it.
 * @throws AppError forbidden for a caller that may not read everything
 */
export async function matchingIds(
  db: Knex,
  ctx: CallContext,
  object: string,
  condition: TypedExpression | null,
  page: { readonly after: string | null; readonly limit: number },
): Promise<readonly string[]> {
  const source = openWhole(ctx, object);
  const id = ident(source.alias, 'id');
  const conditions = [...conditionSql(source, condition), ...(page.after === null ? [] : [sql`${id} > ${page.after}::uuid`])];
  const found = await rows(db, sql`select ${id} as id from ${source.from}${whereSql(source, conditions)} order by ${id} limit ${page.limit}::int`);
  return found.map((row) => String(row['id']));
}

/** How many live records meet a checked condition; for the platform's own work, as above. */
export async function countMatching(db: Knex, ctx: CallContext, object: string, condition: TypedExpression | null): Promise<number> {
  const source = openWhole(ctx, object);
  const [row] = await rows(db, sql`select count(*)::int as n from ${source.from}${whereSql(source, conditionSql(source, condition))}`);
  return Number(row?.['n']);
}

function openWhole(ctx: CallContext, object: string): Source {
  if (!mayDoEverything(ctx)) throw new AppError('forbidden', 'Only the platform itself looks for records by a checked condition.');
  return openSource(ctx, object);
}

function conditionSql(source: Source, condition: TypedExpression | null): readonly Sql[] {
  if (condition === null) return [];
  return [sql`(${compileFilterSql(condition, source.schema, { alias: source.alias, context: source.context })})`];
}
