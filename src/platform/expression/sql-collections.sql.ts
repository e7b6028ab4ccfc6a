import { ident, joinSql, keyword, sql, type Sql } from '../sql.ts';
import { letSql } from './functions/let.sql.ts';
import { idOf, type Place, type Target } from './sql-records.sql.ts';
import { sqlTypeOf } from './sql-values.sql.ts';
import type { Expr } from './tree.ts';
import type { ExprType } from './types.ts';
import { MAX_LIST, MAX_TEXT } from './work.ts';

/** A question about related records. */
export function aggregate(node: Extract<Expr, { kind: 'aggregate' }>, target: Target, place: Place): Sql {
  const alias = target.alias();
  const inner: Place = { root: place.root, items: [...place.items.slice(0, node.slot), alias] };
  const live = sql`from ${target.schema.table(node.object)} ${ident(alias)} where ${ident(alias, node.viaColumn)} = ${idOf(node.of, target, place)} and ${ident(alias, 'deleted_at')} is null`;
  const filtered = node.filter === null ? live : sql`${live} and ${target.predicate(node.filter, inner)}`;
  if (node.operator === 'exists') return sql`exists (select 1 ${filtered})`;
  if (node.operator === 'all')
    return node.filter === null ? keyword('true') : sql`(not exists (select 1 ${live} and ${target.forms.not(target.predicate(node.filter, inner))}))`;
  if (node.value === null) return sql`(select count(*)::numeric ${filtered})`;
  // Over a sub-select, for PostgreSQL gives an aggregate of outer columns alone to the outer query.
  const values = sql`from (select ${target.value(node.value, inner)} as v ${filtered}) as _g`;
  switch (node.operator) {
    case 'sum':
      return target.forms.sum(values);
    case 'min':
      return target.forms.min(values);
    case 'max':
      return target.forms.max(values);
    case 'avg':
      return target.forms.avg(values);
    default: {
      const list = sql`array(select _g.v from (select ${target.value(node.value, inner)} as v, ${ident(alias, 'id')} as o ${filtered}) as _g where _g.v is not null order by _g.o)`;
      return madeList(list, node.value.type, true);
    }
  }
}

/** A list that an expression made, or null when it or its texts together are too long. */
function madeList(list: Sql, of: ExprType, isBounded: boolean): Sql {
  const conditions = [
    ...(isBounded ? [sql`cardinality(_l.a) <= ${MAX_LIST}::integer`] : []),
    ...(of.kind === 'text' ? [sql`length(array_to_string(_l.a, '')) <= ${MAX_TEXT}::integer`] : []),
  ];
  return conditions.length === 0 ? list : letSql({ a: list }, sql`case when ${joinSql(conditions, ' and ')} then _l.a end`);
}

/** A question about the elements of a list. */
export function each(node: Extract<Expr, { kind: 'each' }>, target: Target, place: Place): Sql {
  const [alias, source] = [target.alias(), target.alias()];
  const inner: Place = { root: place.root, items: [...place.items.slice(0, node.slot), alias] };
  const list = sql`(${target.value(node.list, place)})::${keyword(sqlTypeOf(node.list.type))}`;
  switch (node.operator) {
    case 'exists':
      return sql`exists (select 1 from unnest(${list}) as ${ident(alias)} (v) where ${target.predicate(node.body, inner)})`;
    case 'all':
      return sql`(not exists (select 1 from unnest(${list}) as ${ident(alias)} (v) where ${target.forms.not(target.predicate(node.body, inner))}))`;
    default: {
      const elements = sql`unnest(${ident(source, 'a')}) with ordinality as ${ident(alias)} (v, o)`;
      const made =
        node.operator === 'filter'
          ? sql`array(select ${ident(alias, 'v')} from ${elements} where ${target.predicate(node.body, inner)} order by ${ident(alias, 'o')})`
          : sql`array(select ${target.value(node.body, inner)} from ${elements} order by ${ident(alias, 'o')})`;
      const whole = sql`(select case when ${ident(source, 'a')} is not null then ${made} end from (select ${list} as a offset 0) as ${ident(source)})`;
      return node.operator === 'filter' ? whole : madeList(whole, node.body.type, false);
    }
  }
}
