import { createHash } from 'node:crypto';
import type { Knex } from 'knex';
import { sqlContext } from '../access/secure.sql.ts';
import type { CallContext } from '../access/types.ts';
import { AppError } from '../errors.ts';
import { divideSql } from '../expression/functions/number.sql.ts';
import { compileFilterSql, compileValueSql } from '../expression/to-sql.sql.ts';
import { fieldType } from '../model/field-types.ts';
import { wholeTable } from '../model/read-table.sql.ts';
import { ROLLUP_DELTAS } from '../model/rollups.ts';
import type { FieldModel, ObjectModel, RollupModel } from '../model/types.ts';
import { ident, joinSql, keyword, platformTable, rows, run, schemaOf, sql, type Sql } from '../sql.ts';
import type { Image } from './batch.ts';
import { imageOf } from './images.ts';
import { rowsOf } from './related.sql.ts';

const PARENT = 'p';
const CHILD = 'c';

/** Locks records for their roll-ups, in the order of their ids; lets references to them pass. Answers their images when asked to. */
export async function lockForRollups(
  tx: Knex.Transaction,
  object: ObjectModel,
  ids: readonly string[],
  withImages: boolean,
): Promise<ReadonlyMap<string, Image>> {
  if (withImages) {
    const found = await rowsOf(tx, object, ids, 'for no key update');
    return new Map(found.map((row) => [String(row['id']), imageOf(object, row)]));
  }
  await rows(tx, sql`select 1 from ${ident(schemaOf(tx), object.table)} where id = any(${[...ids].sort()}::uuid[]) order by id for no key update`);
  return new Map();
}

/** Where the references that roll-ups look along lead from these records; reads, without a lock. */
export async function parentsOf(
  db: Knex,
  object: ObjectModel,
  feeds: readonly { readonly parent: ObjectModel; readonly via: FieldModel }[],
  ids: readonly string[],
): Promise<readonly { readonly parent: ObjectModel; readonly id: string }[]> {
  const ways = new Map(feeds.map((feed) => [`${feed.parent.name} ${feed.via.name}`, feed]));
  if (ways.size === 0 || ids.length === 0) return [];
  const parts = [...ways.values()].map(({ parent, via }, index) => {
    const ofObject = via.objectColumn === null ? keyword('') : sql` and ${ident(via.objectColumn)} = ${parent.name}`;
    return sql`select distinct ${index}::int as way, ${ident(via.column ?? '')} as id from ${ident(schemaOf(db), object.table)}
      where id = any(${ids}::uuid[]) and ${ident(via.column ?? '')} is not null${ofObject}`;
  });
  const found = await rows(db, joinSql(parts, ' union all '));
  const list = [...ways.values()];
  return found.flatMap((row) => {
    const parent = list[Number(row['way'])]?.parent;
    return parent === undefined ? [] : [{ parent, id: String(row['id']) }];
  });
}

/** What roll-ups of a record became, by field name, in the API's form. */
export interface NewValues {
  readonly id: string;
  readonly values: Image;
}

/**
 * Counts roll-ups of these records anew from the related records, in one statement; answers the records that changed. The
 * records must be locked by an *earlier* statement: only then does this one see all that others wrote before it.
 * Version, time of change and history of the records stay as they are.
 */
export async function recountRollups(
  tx: Knex.Transaction,
  context: CallContext,
  object: ObjectModel,
  fields: readonly FieldModel[],
  ids: readonly string[],
): Promise<readonly NewValues[]> {
  if (fields.length === 0 || ids.length === 0) return [];
  const pairs = fields.flatMap((field, index) => [
    { column: field.column ?? '', value: ident('n', `v${String(index)}`) },
    ...(field.sortColumn === null ? [] : [{ column: field.sortColumn, value: ident('n', `s${String(index)}`) }]),
  ]);
  const set = joinSql(pairs.map(({ column, value }) => sql`${ident(column)} = ${value}`));
  const changed = joinSql(
    pairs.map(({ column, value }) => sql`${ident('t', column)} is distinct from ${value}`),
    ' or ',
  );
  const columns = fields.map((field) => ident('t', field.column ?? ''));
  const statement = sql`update ${ident(schemaOf(tx), object.table)} as t set ${set} from (${countedSql(context, object, fields, ids)}) as n
    where t.id = n.id and (${changed}) returning t.id, ${joinSql(columns)}`;
  const name = createHash('sha256')
    .update(fields.map((field) => field.id).join())
    .digest('hex')
    .slice(0, 12);
  const found = await rows(tx, statement, { name: `rollup_${object.id}_${String(context.model.version)}_${name}` });
  return found.map((row) => ({
    id: String(row['id']),
    values: Object.fromEntries(fields.map((field) => [field.name, fieldType(field).format(row[field.column ?? ''] ?? null)])),
  }));
}

/** The values that roll-ups of these records should have: `id`, and `v0`, `v1` ... (with `s0` ... for sort keys) in the order of the fields. */
export function countedSql(context: CallContext, object: ObjectModel, fields: readonly FieldModel[], ids: readonly string[]): Sql {
  const groups = new Map<string, { readonly rollup: RollupModel; readonly columns: Sql[] }>();
  fields.forEach((field, index) => {
    const rollup = rollupOf(field);
    const key = `${rollup.object} ${rollup.via}`;
    const group = groups.get(key) ?? { rollup, columns: [] };
    groups.set(key, group);
    group.columns.push(...aggregates(context, rollup, String(index)));
  });
  const laterals = [...groups.values()].map(({ rollup, columns }, index) => {
    const { table, via } = childOf(context, rollup);
    const ofObject = via.objectColumn === null ? keyword('') : sql` and ${ident(CHILD, via.objectColumn)} = ${object.name}`;
    return sql`cross join lateral (select ${joinSql(columns)} from ${table} as ${ident(CHILD)}
      where ${ident(CHILD, via.column ?? '')} = ${ident(PARENT, 'id')}${ofObject} and ${ident(CHILD, 'deleted_at')} is null) as ${ident(`g${String(index)}`)}`;
  });
  const all = [...groups.keys()].map((_, index) => sql`${ident(`g${String(index)}`)}.*`);
  return sql`select ${ident(PARENT, 'id')}, ${joinSql(all)} from unnest(${ids}::uuid[]) as ${ident(PARENT)}(id) ${joinSql(laterals, ' ')}`;
}

/** The roll-up of a field. @throws AppError internal for a field that is none */
export function rollupOf(field: FieldModel): RollupModel {
  if (field.rollup === null) throw new AppError('internal', `${field.name} is no roll-up.`);
  return field.rollup;
}

function childOf(context: CallContext, rollup: RollupModel): { readonly table: Sql; readonly object: ObjectModel; readonly via: FieldModel } {
  const object = context.model.objects.get(rollup.object);
  const via = object?.fields.get(rollup.via);
  if (object === undefined || via === undefined || via.column === null)
    throw new AppError('internal', `${rollup.object}.${rollup.via} is no stored reference.`);
  return { table: wholeTable(context.model.schema, object), object, via };
}

function aggregates(context: CallContext, rollup: RollupModel, index: string): readonly Sql[] {
  const options = { alias: CHILD, context: sqlContext(context) };
  const { expressions } = context.model;
  const only = rollup.filter === null ? keyword('') : sql` filter (where ${compileFilterSql(rollup.filter, expressions, options)})`;
  const as = ident(`v${index}`);
  if (rollup.op === 'count') return [sql`count(*)${only}::numeric as ${as}`];
  if (rollup.value === null) throw new AppError('internal', `A roll-up by ${rollup.op} has no value.`);
  if (rollup.op === 'last') return lastOf(context, rollup, only, index);
  const value = compileValueSql(rollup.value, expressions, options);
  const isNumber = rollup.value.type.kind === 'number';
  switch (rollup.op) {
    case 'sum':
      return [sql`trim_scale(coalesce(sum(${value})${only}, 0)) as ${as}`];
    case 'avg':
      return [sql`trim_scale(${divideSql(sql`sum(${value})${only}`, sql`(count(${value})${only})::numeric`)}) as ${as}`];
    case 'min':
    case 'max': {
      const extreme = sql`${keyword(rollup.op)}(${value})${only}`;
      return [isNumber ? sql`trim_scale(${extreme}) as ${as}` : sql`${extreme} as ${as}`];
    }
  }
}

/** The value of the last record, with its sort key: the greatest by the order, records without one first. */
function lastOf(context: CallContext, rollup: RollupModel, only: Sql, index: string): readonly Sql[] {
  const { object } = childOf(context, rollup);
  const order = object.fields.get(rollup.orderBy)?.column;
  const source = object.fields.get(rollup.value?.reads[0]?.steps[0]?.field ?? '');
  if (order === undefined || order === null || source === undefined || source.column === null) throw new AppError('internal', 'A roll-up has no last value.');
  const last = (column: string): Sql =>
    sql`(array_agg(${ident(CHILD, column)} order by ${ident(CHILD, order)} desc nulls last, ${ident(CHILD, 'id')} desc)${only})[1]`;
  const sortKey = source.sortColumn === null ? [] : [sql`${last(source.sortColumn)} as ${ident(`s${index}`)}`];
  return [sql`${last(source.column)} as ${ident(`v${index}`)}`, ...sortKey];
}

/** What a write adds to hot roll-ups: amounts as decimal text. */
export interface Delta {
  readonly field: string;
  readonly record: string;
  readonly plus: string;
  readonly minus: string;
}

/** Notes what a write adds to hot roll-ups, one row a field and record; the records themselves are not touched. */
export async function appendDeltas(tx: Knex.Transaction, deltas: readonly Delta[]): Promise<void> {
  if (deltas.length === 0) return;
  await rows(
    tx,
    sql`insert into ${platformTable(tx, ROLLUP_DELTAS)} (field_id, record_id, amount)
        select field, record, sum(plus - minus) from jsonb_to_recordset(${JSON.stringify(deltas)}::jsonb) as r(field text, record uuid, plus numeric, minus numeric)
        group by field, record having sum(plus - minus) <> 0`,
    { name: 'rollup_deltas' },
  );
}

const PARENTS_AT_ONCE = 500;

/**
 * Folds waiting deltas of one hot roll-up into its records, in one transaction of the caller's. Records that others hold
 * are left for the next time, so that nobody waits. Answers how many records were folded.
 */
export async function foldDeltas(tx: Knex.Transaction, object: ObjectModel, field: FieldModel): Promise<number> {
  const deltas = platformTable(tx, ROLLUP_DELTAS);
  const table = ident(schemaOf(tx), object.table);
  const waiting = await rows(
    tx,
    sql`select id from ${table} where id in (select record_id from ${deltas} where field_id = ${field.id} group by record_id order by record_id limit ${PARENTS_AT_ONCE}::int)
        order by id for no key update skip locked`,
  );
  const ids = waiting.map((row) => String(row['id']));
  if (ids.length === 0) return 0;
  const column = ident(field.column ?? '');
  return run(
    tx,
    sql`with taken as (delete from ${deltas} where field_id = ${field.id} and record_id = any(${ids}::uuid[]) returning record_id, amount)
        update ${table} as t set ${column} = trim_scale(coalesce(t.${column}, 0) + s.amount)
        from (select record_id, sum(amount) as amount from taken group by record_id) as s where t.id = s.record_id`,
  );
}

/** Ids of fields that have deltas waiting. */
/** Holds when deltas wait. */
export function hasDeltas(db: Knex): Sql {
  return sql`exists (select from ${platformTable(db, ROLLUP_DELTAS)})`;
}

export async function fieldsWithDeltas(db: Knex): Promise<readonly string[]> {
  const found = await rows(db, sql`select distinct field_id from ${platformTable(db, ROLLUP_DELTAS)}`);
  return found.map((row) => String(row['field_id']));
}
