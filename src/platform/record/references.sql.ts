import type { Knex } from 'knex';
import { AppError } from '../errors.ts';
import { wholeTable } from '../model/read-table.sql.ts';
import { sideTables } from '../model/side-tables.ts';
import type { Model, ObjectModel } from '../model/types.ts';
import { ident, joinSql, keyword, rows, schemaOf, sql, type Sql } from '../sql.ts';
import type { Inbound } from './object-plan.ts';

/** Wanted targets: object name -> ids. */
export type Targets = ReadonlyMap<string, ReadonlySet<string>>;

/**
 * Which of the targets exist outside the trash (and where the caller may see them), each held by a key-share lock until
 * the transaction ends, so that none can be trashed under the reference. One statement for all objects.
 * @param visible predicate on the target's table under the given alias; null = every row
 */
export async function liveTargets(
  tx: Knex.Transaction,
  model: Model,
  targets: Targets,
  visible: (object: ObjectModel, alias: string) => Sql | null,
): Promise<ReadonlyMap<string, ReadonlySet<string>>> {
  const wanted = [...targets].filter(([, ids]) => ids.size > 0).sort(([a], [b]) => (a < b ? -1 : 1));
  if (wanted.length === 0) return new Map();
  const parts: Sql[] = [];
  const answers: Sql[] = [];
  for (const [index, [name, ids]] of wanted.entries()) {
    const object = model.objects.get(name);
    if (object === undefined) continue;
    const condition = visibleCondition(schemaOf(tx), object, visible);
    parts.push(
      sql`${ident(`r${index}`)} as materialized (select t.id from ${ident(schemaOf(tx), object.table)} as t where t.id = any(${[...ids].sort()}::uuid[]) and t.deleted_at is null${condition} order by t.id for key share of t)`,
    );
    answers.push(sql`select ${name}::text as object, id from ${ident(`r${index}`)}`);
  }
  const found = await rows(tx, sql`with ${joinSql(parts)} ${joinSql(answers, ' union all ')}`);
  const live = new Map<string, Set<string>>();
  for (const row of found) {
    const ids = live.get(String(row['object'])) ?? new Set<string>();
    ids.add(String(row['id']));
    live.set(String(row['object']), ids);
  }
  return live;
}

/** The rule on rows as a condition on `t`; that of a wide object may name fields of its side tables, which cannot be locked with it. */
function visibleCondition(schema: string, object: ObjectModel, visible: (object: ObjectModel, alias: string) => Sql | null): Sql {
  const isWide = sideTables(object).length > 0;
  const predicate = visible(object, isWide ? 'v' : 't');
  if (predicate === null) return keyword('');
  return isWide ? sql` and exists (select from ${wholeTable(schema, object)} as v where v.id = t.id and ${predicate})` : sql` and ${predicate}`;
}

/** Which object each bare id belongs to, looked for in the given objects; ids are unique over all of them. */
export async function objectsOf(db: Knex, model: Model, names: readonly string[], ids: readonly string[]): Promise<ReadonlyMap<string, string>> {
  const objects = names.flatMap((name) => model.objects.get(name) ?? []);
  if (objects.length === 0 || ids.length === 0) return new Map();
  const parts = objects.map(
    (object) => sql`select id, ${object.name}::text as object from ${ident(schemaOf(db), object.table)} where id = any(${[...ids]}::uuid[])`,
  );
  const found = await rows(db, joinSql(parts, ' union all '));
  return new Map(found.map((row) => [String(row['id']), String(row['object'])]));
}

/** Live records that point at one of these records by one reference field. */
export interface Pointing {
  readonly inbound: Inbound;
  /** Target id -> ids of the records that point at it. */
  readonly byTarget: ReadonlyMap<string, readonly string[]>;
}

/** Looks for live records that point at the given ones. Call only after the targets are locked FOR UPDATE. */
export async function pointingAt(tx: Knex.Transaction, target: ObjectModel, inbound: readonly Inbound[], ids: readonly string[]): Promise<readonly Pointing[]> {
  if (inbound.length === 0 || ids.length === 0) return [];
  const parts = inbound.map((entry, index) => {
    const { column, objectColumn } = entry.field;
    if (column === null) throw new AppError('internal', `${entry.object.name}.${entry.field.name} has no column.`);
    const ofObject = objectColumn === null ? keyword('') : sql` and t.${ident(objectColumn)} = ${target.name}`;
    return sql`select ${index}::int as which, t.${ident(column)} as target, t.id from ${ident(schemaOf(tx), entry.object.table)} as t where t.${ident(column)} = any(${[...ids]}::uuid[])${ofObject} and t.deleted_at is null`;
  });
  const found = await rows(tx, sql`${joinSql(parts, ' union all ')} order by which, id`);
  return inbound.map((entry, index) => {
    const byTarget = new Map<string, string[]>();
    for (const row of found) {
      if (Number(row['which']) !== index) continue;
      const known = byTarget.get(String(row['target'])) ?? [];
      known.push(String(row['id']));
      byTarget.set(String(row['target']), known);
    }
    return { inbound: entry, byTarget };
  });
}
