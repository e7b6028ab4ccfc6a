import type { Knex } from 'knex';
import { ident, joinSql, keyword, rows, schemaOf, sql } from '../sql.ts';

/** Records that stand in the way of a change. */
export interface Offenders {
  readonly count: number;
  /** Ids of some of them. */
  readonly records: readonly string[];
}

/** A question about the data that decides whether a step is possible. */
export type Question =
  | { readonly kind: 'empty'; readonly table: string; readonly column: string }
  | { readonly kind: 'duplicates'; readonly table: string; readonly columns: readonly string[] }
  /** Parts of the key, first and last day are expressions over quoted columns. */
  | { readonly kind: 'overlap'; readonly table: string; readonly key: readonly string[]; readonly from: string; readonly through: string }
  /** `target` is quoted and qualified. */
  | { readonly kind: 'dangling'; readonly table: string; readonly column: string; readonly target: string };

const SHOWN = 5;

/** Answers a question about the data. Reads only. */
export async function examine(db: Knex, question: Question): Promise<Offenders> {
  const table = ident(schemaOf(db), question.table);
  const shown = keyword(String(SHOWN));
  switch (question.kind) {
    case 'empty': {
      const where = sql`${ident(question.column)} is null and deleted_at is null`;
      return answer(
        await rows(
          db,
          sql`select count(*) as count, (select array_agg(id::text) from (select id from ${table} where ${where} limit ${shown}) s) as records from ${table} where ${where}`,
        ),
      );
    }
    case 'duplicates': {
      const columns = joinSql(question.columns.map((column) => ident(column)));
      const filled = joinSql(
        question.columns.map((column) => sql`${ident(column)} is not null`),
        ' and ',
      );
      const groups = sql`select min(id::text) as record, count(*) as count from ${table} where deleted_at is null and ${filled} group by ${columns} having count(*) > 1`;
      return answer(
        await rows(
          db,
          sql`with g as (${groups}) select coalesce(sum(count), 0) as count, (select array_agg(record) from (select record from g limit ${shown}) s) as records from g`,
        ),
      );
    }
    case 'overlap': {
      const [from, through] = [keyword(question.from), keyword(question.through)];
      const keys = keyword(question.key.join(', '));
      // The latest end of what came before, in the order of first days, tells whether the next begins too early.
      const walked = sql`select id, ${from} as begun, ${through} as ended,
        max(coalesce(${through}, 'infinity'::date)) over (partition by ${keys} order by ${from}, id rows between unbounded preceding and 1 preceding) as before
        from ${table} where deleted_at is null and ${from} is not null`;
      const where = sql`before >= begun or ended < begun`;
      return answer(
        await rows(
          db,
          sql`with w as (${walked}) select count(*) as count, (select array_agg(id::text) from (select id from w where ${where} limit ${shown}) s) as records from w where ${where}`,
        ),
      );
    }
    case 'dangling': {
      const where = sql`${ident(question.column)} is not null and not exists (select from ${keyword(question.target)} p where p.id = t.${ident(question.column)})`;
      return answer(
        await rows(
          db,
          sql`select count(*) as count, (select array_agg(id::text) from (select t.id from ${table} t where ${where} limit ${shown}) s) as records from ${table} t where ${where}`,
        ),
      );
    }
  }
}

function answer(found: readonly Readonly<Record<string, unknown>>[]): Offenders {
  const records = found[0]?.['records'];
  return { count: Number(found[0]?.['count'] ?? 0), records: Array.isArray(records) ? records.map(String) : [] };
}
