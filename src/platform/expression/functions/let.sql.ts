import { ident, joinSql, sql, type Sql } from '../../sql.ts';

/**
 * `body` over values computed once, named `_l."name"`. `offset 0` keeps the planner from copying the expressions into
 * the body, which would double the work with each level of nesting. Arguments stand in `bindings` only, never in `body`:
 * there an inner `_l` cannot be mistaken for this one.
 */
export function letSql(bindings: Readonly<Record<string, Sql>>, body: Sql): Sql {
  const columns = Object.entries(bindings).map(([name, value]) => sql`${value} as ${ident(name)}`);
  return sql`(select ${body} from (select ${joinSql(columns)} offset 0) as _l)`;
}

/** The same over two steps: `second` is computed from the first bindings and joins them. */
export function letSql2(first: Readonly<Record<string, Sql>>, second: Readonly<Record<string, Sql>>, body: Sql): Sql {
  const outer = Object.entries(first).map(([name, value]) => sql`${value} as ${ident(name)}`);
  const inner = Object.entries(second).map(([name, value]) => sql`${value} as ${ident(name)}`);
  return sql`(select ${body} from (select _l.*, ${joinSql(inner)} from (select ${joinSql(outer)} offset 0) as _l offset 0) as _l)`;
}
