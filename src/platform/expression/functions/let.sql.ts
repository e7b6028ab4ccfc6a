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

/** `body` over values computed in steps, each computed from those before it. */
export function letSteps(steps: readonly Readonly<Record<string, Sql>>[], body: Sql): Sql {
  const columns = (step: Readonly<Record<string, Sql>>): Sql => joinSql(Object.entries(step).map(([name, value]) => sql`${value} as ${ident(name)}`));
  const [first = {}, ...rest] = steps;
  const from = rest.reduce((inner, step) => sql`(select _l.*, ${columns(step)} from ${inner} as _l offset 0)`, sql`(select ${columns(first)} offset 0)`);
  return sql`(select ${body} from ${from} as _l)`;
}
