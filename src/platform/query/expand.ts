import type { Knex } from 'knex';
import { readRights, rightsFor } from '../access/rights.ts';
import type { CallContext } from '../access/types.ts';
import type { FieldModel, ToManyModel } from '../model/types.ts';
import { ident, ready, rows, sql, type ReadyStatement } from '../sql.ts';
import { displayName } from './display-name.ts';
import { invalidQuery, unknownName } from './invalid-query.ts';
import { readableNameFields, referenceNames, withKeys } from './names.ts';
import { fillSlots, makeShape, makeNamedShape, SLOT, valueColumns, type FreshRecord } from './page.ts';
import { runRecurring } from './recurring.ts';
import { makePlanCache } from './plan-cache.ts';
import { DISPLAY_NAME, fieldSql, openSource, selectFields, whereSql, type Source } from './source.ts';
import type { RecordData } from './types.ts';

/** Records of a to-many path shown with each parent. */
export const MOST_CHILDREN = 100;
const MOST_RELATIONS = 20;
const DEEPEST = 5;
/** Records read along all relations of one level; a page asked for more is too large to be answered. */
const MOST_RECORDS = 20_000;

/** One relation to show with each record, and what is shown with the records that it leads to. */
export type Expansion =
  | { readonly kind: 'one'; readonly name: string; readonly targets: readonly { readonly object: string; readonly inner: readonly Expansion[] }[] }
  | { readonly kind: 'many'; readonly name: string; readonly path: ToManyModel; readonly inner: readonly Expansion[] };

/** Relations by name, each with those asked for behind it; `index` is its place in the request. */
type Wanted = Map<string, { readonly index: number; readonly inner: Wanted }>;

/**
 * The relations of a read: `provider`, and `provider.locations` for those of the record that it leads to.
 * @throws AppError invalid_query, worded alike for relations that do not exist and such that may not be read
 */
export function planExpand(source: Level, names: readonly string[] | undefined): readonly Expansion[] {
  const wanted: Wanted = new Map();
  let count = 0;
  (names ?? []).forEach((name, index) => {
    let level = wanted;
    const steps = name.split('.');
    if (steps.length > DEEPEST) throw invalidQuery(`expand/${index}`, `Relations can be expanded ${DEEPEST} levels deep.`);
    for (const step of steps) {
      const known = level.get(step) ?? { index, inner: new Map() };
      if (!level.has(step)) count += 1;
      level.set(step, known);
      level = known.inner;
    }
  });
  if (count > MOST_RELATIONS) throw invalidQuery('expand', `At most ${MOST_RELATIONS} relations can be expanded.`);
  return planLevel(source, wanted);
}

/** What planning needs of an object; its rows are opened when they are read, so that a plan stays the same for every caller of the same rights. */
type Level = Pick<Source, 'ctx' | 'rights' | 'object'>;

function levelOf(ctx: CallContext, object: string): Level {
  const rights = readRights(ctx, object);
  return { ctx, rights, object: rights.object };
}

function planLevel(source: Level, wanted: Wanted): readonly Expansion[] {
  return [...wanted].map(([name, { index, inner }]): Expansion => {
    const found = relationNamed(source, name);
    if (found === null) throw unknownName(`expand/${index}`, source.object.name, 'relation', name, relationNames(source));
    if (found.kind === 'many') return { kind: 'many', name, path: found.path, inner: planLevel(levelOf(source.ctx, found.path.object), inner) };
    return { kind: 'one', name, targets: planTargets(source.ctx, found.targets, inner, index) };
  });
}

/** A reference to one of several objects is followed on in those that have the relation; one of them must. */
function planTargets(
  ctx: CallContext,
  targets: readonly string[],
  wanted: Wanted,
  index: number,
): readonly { readonly object: string; readonly inner: readonly Expansion[] }[] {
  const sources = targets.map((target) => levelOf(ctx, target));
  for (const name of wanted.keys()) {
    if (sources.some((source) => relationNamed(source, name) !== null)) continue;
    throw unknownName(`expand/${index}`, targets.join(' or '), 'relation', name, [...new Set(sources.flatMap(relationNames))]);
  }
  return sources.map((source) => {
    const own = new Map([...wanted].filter(([name]) => relationNamed(source, name) !== null));
    return { object: source.object.name, inner: planLevel(source, own) };
  });
}

type Relation = { readonly kind: 'one'; readonly targets: readonly string[] } | { readonly kind: 'many'; readonly path: ToManyModel };

function relationNamed(source: Level, name: string): Relation | null {
  const field = source.object.fields.get(name);
  if (field?.ref !== null && field?.ref !== undefined && source.rights.readable.has(name)) {
    const targets = field.ref.to.filter((target) => isReadable(source.ctx, target));
    return targets.length === 0 ? null : { kind: 'one', targets };
  }
  const path = source.object.toMany.get(name);
  if (path === undefined || !isReadable(source.ctx, path.object) || !rightsFor(source.ctx, path.object).readable.has(path.via)) return null;
  return { kind: 'many', path };
}

function relationNames(source: Level): readonly string[] {
  return [...source.object.fields.keys(), ...source.object.toMany.keys()].filter((name) => relationNamed(source, name) !== null);
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
 * Puts what the relations lead to under `expanded` of each record: for a reference the record or null, for a to-many
 * path `{data, more}`. One statement a relation (and target object) and level, whatever the number of records.
 */
export async function addExpanded(db: Knex, source: Source, expansions: readonly Expansion[], records: readonly FreshRecord[]): Promise<void> {
  if (expansions.length === 0) return;
  const expanded = new Map<string, Record<string, unknown>>(records.map((record) => [record.id, {}]));
  for (const expansion of expansions) {
    const values = expansion.kind === 'one' ? await readOnes(db, source.ctx, expansion, records) : await readManys(db, source.ctx, expansion, records);
    for (const [id, members] of expanded) members[expansion.name] = values.get(id) ?? null;
  }
  for (const record of records) record['expanded'] = expanded.get(record.id) ?? {};
}

type ToOne = Extract<Expansion, { kind: 'one' }>;
type ToMany = Extract<Expansion, { kind: 'many' }>;

/** A reference's value as object (null when the field says it) and id. */
function pointer(value: unknown): { readonly object: string | null; readonly id: string } | null {
  if (typeof value === 'string') return { object: null, id: value };
  if (typeof value !== 'object' || value === null || !('object' in value) || !('id' in value)) return null;
  return typeof value.object === 'string' && typeof value.id === 'string' ? { object: value.object, id: value.id } : null;
}

async function readOnes(db: Knex, ctx: CallContext, { name, targets }: ToOne, records: readonly RecordData[]): Promise<ReadonlyMap<string, unknown>> {
  const found = new Map<string, unknown>();
  for (const target of targets) {
    const pointers = records.flatMap((record) => {
      const to = pointer(record[name]);
      return to !== null && (to.object === null || to.object === target.object) ? [{ from: record.id, id: to.id }] : [];
    });
    const named = await readRecords(db, ctx, target.object, [...new Set(pointers.map((entry) => entry.id))]);
    await addExpanded(db, openSource(ctx, target.object), target.inner, [...named.values()]);
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
  return { shape: makeShape(fields), statement: ready(text), values };
}

async function readRecords(db: Knex, ctx: CallContext, object: string, ids: readonly string[]): Promise<ReadonlyMap<string, FreshRecord>> {
  if (ids.length === 0) return new Map();
  const plan = recordsPlans(ctx, object, (planning) => planRecords(planning, object));
  const found = await runRecurring(db, plan.statement, fillSlots(plan.values, ids));
  const records = found.map(plan.shape);
  await addNames(db, openSource(ctx, object), records);
  return new Map(records.map((record) => [record.id, record]));
}

async function readManys(db: Knex, ctx: CallContext, { path, inner }: ToMany, records: readonly RecordData[]): Promise<ReadonlyMap<string, unknown>> {
  const source = openSource(ctx, path.object);
  const via = source.object.fields.get(path.via);
  if (via === undefined || records.length === 0) return new Map();
  const { fields } = selectFields(source, undefined);
  const parent = ident('p', 'id');
  const id = ident(source.alias, 'id');
  const children = sql`select ${valueColumns(source, fields)} from ${source.from}${whereSql(source, [sql`${fieldSql(source, via)} = ${parent}`])} order by ${id} limit ${MOST_CHILDREN + 1}`;
  const found = await rows(
    db,
    sql`select ${parent} as parent, c.* from unnest(${records.map((record) => record.id)}::uuid[]) as p(id) cross join lateral (${children}) as c order by ${parent}, c.v0 limit ${MOST_RECORDS + 1}`,
  );
  if (found.length > MOST_RECORDS) throw invalidQuery('expand', `"${path.name}" leads to more than ${MOST_RECORDS} records.`, 'Ask for fewer records at once.');
  const shaped = found.map(makeNamedShape(fields));
  await addNames(db, source, shaped);
  await addExpanded(db, source, inner, shaped);
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
