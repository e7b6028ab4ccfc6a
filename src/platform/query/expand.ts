import type { Knex } from 'knex';
import { rightsFor } from '../access/rights.ts';
import type { CallContext } from '../access/types.ts';
import type { FieldModel, ToManyModel } from '../model/types.ts';
import { ident, ready, rows, sql, type ReadyStatement } from '../sql.ts';
import { displayName } from './display-name.ts';
import { invalidQuery, unknownName } from './invalid-query.ts';
import { readableNameFields, referenceNames, withKeys } from './names.ts';
import { fillSlots, makeShape, makeNamedShape, runPrepared, SLOT, statementName, valueColumns, type FreshRecord } from './page.ts';
import { makePlanCache } from './plan-cache.ts';
import { DISPLAY_NAME, fieldSql, openSource, readableNames, selectFields, whereSql, type Source } from './source.ts';
import type { RecordData } from './types.ts';

/** Records of a to-many path shown with each parent. */
export const MOST_CHILDREN = 100;
const MOST_RELATIONS = 10;

/** One relation to show with each record. */
export type Expansion =
  | { readonly kind: 'one'; readonly name: string; readonly targets: readonly string[] }
  | { readonly kind: 'many'; readonly name: string; readonly path: ToManyModel };

/**
 * The relations of a read.
 * @throws AppError invalid_query, worded alike for relations that do not exist and such that may not be read
 */
export function planExpand(source: Source, names: readonly string[] | undefined): readonly Expansion[] {
  const wanted = [...new Set(names ?? [])];
  if (wanted.length > MOST_RELATIONS) throw invalidQuery('expand', `At most ${MOST_RELATIONS} relations can be expanded.`);
  return wanted.map((name, index) => {
    const expansion = relationNamed(source, name);
    if (expansion === null) throw unknownName(`expand/${index}`, source.object.name, 'relation', name, relationNames(source));
    return expansion;
  });
}

function relationNamed(source: Source, name: string): Expansion | null {
  const field = source.object.fields.get(name);
  if (field?.ref !== null && field?.ref !== undefined && source.rights.readable.has(name)) {
    const targets = field.ref.to.filter((target) => isReadable(source.ctx, target));
    return targets.length === 0 ? null : { kind: 'one', name, targets };
  }
  const path = source.object.toMany.get(name);
  if (path === undefined || !isReadable(source.ctx, path.object) || !rightsFor(source.ctx, path.object).readable.has(path.via)) return null;
  return { kind: 'many', name, path };
}

function relationNames(source: Source): readonly string[] {
  return [...readableNames(source), ...source.object.toMany.keys()].filter((name) => relationNamed(source, name) !== null);
}

function isReadable(ctx: CallContext, object: string): boolean {
  return ctx.model.objects.has(object) && rightsFor(ctx, object).canRead;
}

/** Fields that must be read for the expansions to find their records. */
export function expansionFields(source: Source, expansions: readonly Expansion[]): readonly FieldModel[] {
  return expansions.flatMap((expansion) => {
    const field = expansion.kind === 'one' ? source.object.fields.get(expansion.name) : undefined;
    return field === undefined ? [] : [field];
  });
}

/**
 * What stands under `expanded` of each record, by the record's id: for a reference the record or null, for a to-many
 * path `{data, more}`. One statement a relation (and target object).
 */
export async function readExpanded(
  db: Knex,
  source: Source,
  expansions: readonly Expansion[],
  records: readonly RecordData[],
): Promise<ReadonlyMap<string, Readonly<Record<string, unknown>>>> {
  const expanded = new Map<string, Record<string, unknown>>(records.map((record) => [record.id, {}]));
  for (const expansion of expansions) {
    const values =
      expansion.kind === 'one'
        ? await readOnes(db, source.ctx, expansion.name, expansion.targets, records)
        : await readManys(db, source.ctx, expansion.path, records);
    for (const [id, members] of expanded) members[expansion.name] = values.get(id) ?? null;
  }
  return expanded;
}

/** A reference's value as object (null when the field says it) and id. */
function pointer(value: unknown): { readonly object: string | null; readonly id: string } | null {
  if (typeof value === 'string') return { object: null, id: value };
  if (typeof value !== 'object' || value === null || !('object' in value) || !('id' in value)) return null;
  return typeof value.object === 'string' && typeof value.id === 'string' ? { object: value.object, id: value.id } : null;
}

async function readOnes(
  db: Knex,
  ctx: CallContext,
  name: string,
  targets: readonly string[],
  records: readonly RecordData[],
): Promise<ReadonlyMap<string, unknown>> {
  const found = new Map<string, unknown>();
  for (const target of targets) {
    const pointers = records.flatMap((record) => {
      const to = pointer(record[name]);
      return to !== null && (to.object === null || to.object === target) ? [{ from: record.id, id: to.id }] : [];
    });
    const named = await readRecords(db, ctx, target, [...new Set(pointers.map((entry) => entry.id))]);
    for (const entry of pointers) found.set(entry.from, named.get(entry.id) ?? null);
  }
  return found;
}

interface RecordsPlan {
  readonly shape: (row: readonly unknown[]) => FreshRecord;
  readonly statement: ReadyStatement;
  readonly values: readonly unknown[];
}

const recordsPlans = makePlanCache<RecordsPlan>();

function planRecords(ctx: CallContext, object: string): RecordsPlan {
  const source = openSource(ctx, object);
  const { fields } = selectFields(source, undefined);
  const { text, values } =
    sql`select ${valueColumns(source, fields)} from ${source.from}${whereSql(source, [sql`${ident(source.alias, 'id')} = any(${SLOT}::uuid[])`])}`;
  return { shape: makeShape(fields), statement: ready(text, statementName(ctx, 'ids', text)), values };
}

async function readRecords(db: Knex, ctx: CallContext, object: string, ids: readonly string[]): Promise<ReadonlyMap<string, RecordData>> {
  if (ids.length === 0) return new Map();
  const plan = recordsPlans(ctx, object, (planning) => planRecords(planning, object));
  const found = await runPrepared(db, plan.statement, fillSlots(plan.values, ids));
  const records = found.map(plan.shape);
  await addNames(db, openSource(ctx, object), records);
  return new Map(records.map((record) => [record.id, record]));
}

async function readManys(db: Knex, ctx: CallContext, path: ToManyModel, records: readonly RecordData[]): Promise<ReadonlyMap<string, unknown>> {
  const source = openSource(ctx, path.object);
  const via = source.object.fields.get(path.via);
  if (via === undefined || records.length === 0) return new Map();
  const { fields } = selectFields(source, undefined);
  const parent = ident('p', 'id');
  const id = ident(source.alias, 'id');
  const children = sql`select ${valueColumns(source, fields)} from ${source.from}${whereSql(source, [sql`${fieldSql(source, via)} = ${parent}`])} order by ${id} limit ${MOST_CHILDREN + 1}`;
  const found = await rows(
    db,
    sql`select ${parent} as parent, c.* from unnest(${records.map((record) => record.id)}::uuid[]) as p(id) cross join lateral (${children}) as c order by ${parent}, c.v0`,
  );
  const shaped = found.map(makeNamedShape(fields));
  await addNames(db, source, shaped);
  const byParent = new Map<string, RecordData[]>(records.map((record) => [record.id, []]));
  found.forEach((row, index) => {
    const record = shaped[index];
    if (record !== undefined) byParent.get(String(row['parent']))?.push(record);
  });
  return new Map([...byParent].map(([parentId, list]) => [parentId, { data: list.slice(0, MOST_CHILDREN), more: list.length > MOST_CHILDREN }]));
}

/** Puts the display name into each record; the records hold at least the fields that names are made of. */
export async function addNames(db: Knex, source: Source, records: readonly FreshRecord[]): Promise<void> {
  const names = await referenceNames(db, source.ctx, source.object, records);
  for (const record of records) {
    // A field of the object's own may bear this name; then it stays as it is.
    if (!(DISPLAY_NAME in record)) record[DISPLAY_NAME] = displayName(source.object, record, names);
  }
}

/** Fields to select for an answer: those of the answer, of names and of expansions. */
export function fieldsToRead(source: Source, answer: readonly FieldModel[], withName: boolean, expansions: readonly Expansion[]): readonly FieldModel[] {
  return withKeys(source.object, [...answer, ...(withName ? readableNameFields(source) : []), ...expansionFields(source, expansions)]);
}
