import type { Knex } from 'knex';
import { rightsFor, unknownRecord } from '../access/rights.ts';
import { readRowRights, type RowRights } from '../access/row-rights.sql.ts';
import type { CallContext } from '../access/types.ts';
import { inTransaction } from '../db.ts';
import { AppError, isAppError, type ErrorDetail } from '../errors.ts';
import { isUuid } from '../ids.ts';
import { suggestion } from '../metadata/suggest.ts';
import type { FieldModel } from '../model/types.ts';
import type { Reader } from '../query/reader.ts';
import type { RecordData } from '../query/types.ts';
import { actorOf } from './actor.ts';
import type { Image } from './batch.ts';
import { isSame, targetOf } from './images.ts';
import { lockRecords } from './load.sql.ts';
import { insertMerge, movePointers, type MovedPointers, type MovedReference } from './merge.sql.ts';
import { planOf, type ObjectPlan } from './object-plan.ts';
import { pointingAt } from './references.sql.ts';
import type { RecordEngine, WriteItem, WriteOutcome } from './types.ts';
import { savepoint } from './write.sql.ts';

/** Records that one call may merge into another. */
export const MOST_SOURCES = 9;
const CHUNK = 500;

export interface MergeDeps {
  readonly engine: RecordEngine;
  readonly reader: Reader;
}

interface Versioned {
  readonly id: string;
  readonly version: number;
}

export interface MergeRequest {
  /** The record that stays. */
  readonly survivor: Versioned;
  readonly sources: readonly Versioned[];
  /** Field -> id of the record whose value is taken. */
  readonly fields: Readonly<Record<string, string>>;
  /** What the record that stays lacks is taken from the first of the others that has it. */
  readonly fill: boolean;
  /** Only say what would come out. */
  readonly preview: boolean;
}

export interface Merged {
  /** Null for a preview. */
  readonly merge: string | null;
  readonly record: RecordData | null;
  readonly version: number;
  /** References that were moved, as far as the caller may see the records that hold them. */
  readonly moved: readonly { readonly object: string; readonly field: string; readonly count: number }[];
}

interface Work {
  readonly deps: MergeDeps;
  readonly tx: Knex.Transaction;
  readonly context: CallContext;
  readonly plan: ObjectPlan;
  readonly request: MergeRequest;
  readonly images: ReadonlyMap<string, Image>;
  readonly rights: ReadonlyMap<string, RowRights>;
  readonly group: ReadonlySet<string>;
}

/**
 * Merges records into one: values are taken field by field, everything that points at the others points at the one that
 * stays, and the others go to the trash. Histories stay whole and are read together (`query/history.ts`). Writes, in one
 * transaction; `undo.ts` parts them again. The caller needs the right to change the one that stays and to delete the others.
 * @throws AppError not_found, forbidden, conflict_version; conflict_unique with each record that would clash once moved
 */
export function mergeRecords(deps: MergeDeps, db: Knex, context: CallContext, object: string, request: MergeRequest): Promise<Merged> {
  const call: CallContext = { ...context, allowDuplicates: true };
  return inTransaction(db, async (tx) => {
    if (!request.preview) return merge(await begin(deps, tx, call, object, request));
    await savepoint(tx, 'set');
    const merged = await merge(await begin(deps, tx, call, object, request));
    await savepoint(tx, 'back');
    return { ...merged, merge: null };
  });
}

async function begin(deps: MergeDeps, tx: Knex.Transaction, context: CallContext, object: string, request: MergeRequest): Promise<Work> {
  const plan = planOf(context.model, object);
  const records = [request.survivor, ...request.sources];
  const ids = records.map(({ id }) => id);
  if (request.sources.length === 0 || request.sources.length > MOST_SOURCES)
    throw new AppError('bad_request', `One to ${MOST_SOURCES} records can be merged into another at once.`);
  if (new Set(ids).size !== ids.length) throw new AppError('bad_request', 'Each record of a merge is named once.');
  for (const id of ids) if (!isUuid(id)) throw unknownRecord(object, id);
  // Locked before anything is looked for: nothing new can point at them from here on.
  const images = await lockRecords(tx, plan.object, ids, context.model.version);
  const rights = await readRowRights(tx, context, object, ids);
  const work: Work = { deps, tx, context, plan, request, images, rights, group: new Set(ids) };
  for (const record of records) await authorize(work, record);
  return work;
}

async function authorize(work: Work, { id, version }: Versioned): Promise<void> {
  const { deps, tx, context, plan, request, images, rights } = work;
  const { name, label } = plan.object;
  const may = rights.get(id);
  const image = images.get(id);
  if (image === undefined || may?.canRead !== true || may.isTrashed) throw unknownRecord(name, id);
  const isSurvivor = id === request.survivor.id;
  if (isSurvivor ? !may.canUpdate : !may.canDelete)
    throw new AppError('forbidden', `You may not ${isSurvivor ? 'change' : 'delete'} this ${label}, so you may not merge it.`);
  if (image['version'] === version) return;
  const at = request.sources.findIndex((source) => source.id === id);
  const message = `Somebody changed this ${label} since you read it (you have version ${version}, now it is ${String(image['version'])}).`;
  const errors = isSurvivor ? [] : [{ pointer: `/sources/${at}/version`, code: 'version', detail: message }];
  throw new AppError('conflict_version', message, { errors, extra: { current: await deps.reader.get(tx, context, name, id), clashing: [] } });
}

async function merge(work: Work): Promise<Merged> {
  const { deps, tx, context, plan, request } = work;
  const { survivor, sources } = request;
  const { name } = plan.object;
  const values = chosenValues(work);
  const before = work.images.get(survivor.id) ?? {};
  const write = (some: Readonly<Record<string, unknown>>): Promise<readonly WriteOutcome[]> =>
    deps.engine.write(tx, context, name, [{ kind: 'update', id: survivor.id, values: some }], { mode: 'atomic', asSystem: true });
  // A reference from the one that stays to one that goes would hold that one; a key is free only once its record is gone.
  const own = Object.fromEntries(Object.entries(values).filter(([field]) => pointsInto(work, field, before[field])));
  if (Object.keys(own).length > 0) await write(own);
  const moved = await moveReferences(work);
  const gone = await deps.engine.write(
    tx,
    context,
    name,
    sources.map(({ id, version }): WriteItem => ({ kind: 'delete', id, version })),
    // The right to do so was asked for under lock before the references moved: it may rest on them.
    { mode: 'atomic', asSystem: true },
  );
  const [written] = await write(values);
  if (written?.ok !== true) throw new AppError('internal', 'The record that stays was not written.');
  const pointers: MovedPointers[] = [];
  for (const { id } of sources) pointers.push(...(await movePointers(tx, name, id, survivor.id)));
  const id = context.newId();
  await insertMerge(tx, {
    id,
    object: name,
    survivorId: survivor.id,
    survivorVersion: written.version,
    at: context.now,
    actor: actorOf(context.principal),
    reason: context.reason ?? null,
    sources: gone.flatMap((outcome) => (outcome.ok ? [{ id: outcome.id, version: outcome.version }] : [])),
    changed: await changesOf(work, before),
    moved,
    pointers,
    undoneAt: null,
  });
  return { merge: id, record: await readable(deps, tx, context, name, survivor.id), version: written.version, moved: await countMoved(work, moved) };
}

/** True for a reference to one of the records that are merged. */
function pointsInto({ plan, group }: Work, name: string, value: unknown): boolean {
  const field = plan.object.fields.get(name);
  return field !== undefined && group.has(targetOf(field, value)?.id ?? '');
}

/** The record as the caller may read it; null when the merge moved it out of their sight. */
async function readable({ reader }: MergeDeps, tx: Knex.Transaction, context: CallContext, object: string, id: string): Promise<RecordData | null> {
  try {
    return await reader.get(tx, context, object, id);
  } catch (error) {
    if (isAppError(error, 'not_found')) return null;
    throw error;
  }
}

/** Which fields a merge may set: stored, and not kept by the engine or the record's path. */
export function mergeableFields(plan: ObjectPlan): readonly FieldModel[] {
  return plan.userFields.map(({ field }) => field).filter((field) => !field.readOnly && field.name !== 'ownerId');
}

/** The values that the record that stays gets: those asked for, and what it lacks. Findings name each wrong choice at once. */
function chosenValues(work: Work): Readonly<Record<string, unknown>> {
  const { plan, request, images, rights, group } = work;
  const may = rights.get(request.survivor.id);
  const fields = mergeableFields(plan);
  const errors: ErrorDetail[] = [];
  for (const [name, from] of Object.entries(request.fields)) {
    const pointer = `/fields/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`;
    const field = fields.find((entry) => entry.name === name);
    if (field === undefined || may?.writable.has(name) !== true || ![...rights.values()].every((row) => row.readable.has(name))) {
      const known = fields.map((entry) => entry.name).filter((entry) => may?.writable.has(entry) === true);
      errors.push({
        pointer,
        code: 'unknown_field',
        detail: `${plan.object.label} has no field ${JSON.stringify(name)} that you may choose.`,
        ...suggestion(name, known),
      });
    } else if (!group.has(from))
      errors.push({ pointer, code: 'unknown_record', detail: 'Choose the value of one of the records that are merged.', fix: 'Give the id of one of them.' });
  }
  if (errors.length > 0) throw new AppError('validation_failed', errors[0]?.detail ?? '', { errors });
  const order = [request.survivor.id, ...request.sources.map(({ id }) => id)];
  const values: Record<string, unknown> = {};
  for (const field of fields) {
    const own = images.get(request.survivor.id)?.[field.name] ?? null;
    const chosen = Object.hasOwn(request.fields, field.name) ? request.fields[field.name] : undefined;
    // What is hidden in one record does not move to where it may be read.
    const isKept = (id: string): boolean => may?.readable.has(field.name) !== true || rights.get(id)?.readable.has(field.name) === true;
    const asked = chosen === undefined ? (request.fill ? order : [request.survivor.id]) : [chosen];
    const candidates = asked.filter(isKept).map((id) => images.get(id)?.[field.name] ?? null);
    // A record does not point at itself, nor at what it took in.
    const value = candidates.find((candidate) => !isEmpty(candidate) && !pointsInto(work, field.name, candidate)) ?? null;
    if (!isSame(own, value)) values[field.name] = value;
  }
  return values;
}

function isEmpty(value: unknown): boolean {
  return value === null || (Array.isArray(value) && value.length === 0);
}

/** Points everything that points at the merged records at the one that stays. Hidden records move too: they follow, as into the trash. */
async function moveReferences(work: Work): Promise<readonly MovedReference[]> {
  const { deps, tx, context, plan, request, group } = work;
  const sources = request.sources.map(({ id }) => id);
  const moved: MovedReference[] = [];
  const refused: { readonly object: string; readonly id: string; readonly code: string; readonly message: string }[] = [];
  for (const { inbound, byTarget } of await pointingAt(tx, plan.object, plan.inbound, sources)) {
    const { object, field } = inbound;
    const of = [...byTarget].flatMap(([from, ids]) => ids.filter((id) => !(object.name === plan.object.name && group.has(id))).map((id) => ({ id, from })));
    const value = field.objectColumn === null ? request.survivor.id : { object: plan.object.name, id: request.survivor.id };
    for (let start = 0; start < of.length; start += CHUNK) {
      const part = of.slice(start, start + CHUNK);
      const items = part.map(({ id }): WriteItem => ({ kind: 'update', id, values: { [field.name]: value } }));
      const outcomes = await deps.engine.write(tx, context, object.name, items, { mode: 'each', asSystem: true, events: of.length > CHUNK ? 'chunk' : 'each' });
      outcomes.forEach((outcome, index) => {
        const one = part[index];
        if (one === undefined) return;
        if (outcome.ok) moved.push({ object: object.name, id: one.id, fieldId: field.id, from: one.from });
        else refused.push({ object: object.name, id: one.id, code: outcome.code, message: outcome.message });
      });
    }
  }
  if (refused.length > 0) throw await refusal(work, refused);
  return moved;
}

async function refusal(
  work: Work,
  refused: readonly { readonly object: string; readonly id: string; readonly code: string; readonly message: string }[],
): Promise<AppError> {
  const seen = await visibleIds(work, refused);
  const errors = refused
    .filter(({ id }) => seen.has(id))
    .map(({ object, id, code, message }) => ({
      pointer: '',
      code,
      detail: `${object} ${id}: ${message}`,
      rule: object,
      fix: 'Merge, change or delete that record first.',
    }));
  const count = refused.length;
  const message = `${count === 1 ? 'One record' : `${String(count)} records`} that ${count === 1 ? 'points' : 'point'} here cannot follow to the record that stays.`;
  return new AppError(refused.some(({ code }) => code === 'conflict_unique') ? 'conflict_unique' : 'conflict_reference', message, { errors, extra: { count } });
}

/** Ids of those records that the caller may see. */
async function visibleIds(
  work: Pick<Work, 'tx' | 'context'>,
  records: readonly { readonly object: string; readonly id: string }[],
): Promise<ReadonlySet<string>> {
  const seen = new Set<string>();
  for (const object of new Set(records.map((record) => record.object))) {
    if (!rightsFor(work.context, object).canRead) continue;
    const ids = [...new Set(records.filter((record) => record.object === object).map(({ id }) => id))];
    for (const [id, rights] of await readRowRights(work.tx, work.context, object, ids)) if (rights.canRead && !rights.isTrashed) seen.add(id);
  }
  return seen;
}

async function countMoved(work: Work, moved: readonly MovedReference[]): Promise<Merged['moved']> {
  const seen = await visibleIds(work, moved);
  const counts = new Map<string, { object: string; field: string; count: number }>();
  for (const { object, id, fieldId } of moved) {
    const field = [...(work.context.model.objects.get(object)?.fields.values() ?? [])].find((entry) => entry.id === fieldId);
    if (field === undefined || !seen.has(id) || !rightsFor(work.context, object).readable.has(field.name)) continue;
    const key = `${object}.${field.name}`;
    const known = counts.get(key) ?? { object, field: field.name, count: 0 };
    known.count += 1;
    counts.set(key, known);
  }
  return [...counts.values()].sort((left, right) => (`${left.object}.${left.field}` < `${right.object}.${right.field}` ? -1 : 1));
}

/** What the merge changed in the record that stays: field id -> [old, new], as it is stored now. */
async function changesOf({ tx, context, plan, request }: Work, before: Image): Promise<Readonly<Record<string, readonly [unknown, unknown]>>> {
  const after = (await lockRecords(tx, plan.object, [request.survivor.id], context.model.version)).get(request.survivor.id) ?? {};
  const changed = mergeableFields(plan).filter((field) => !isSame(before[field.name] ?? null, after[field.name] ?? null));
  return Object.fromEntries(changed.map((field) => [field.id, [before[field.name] ?? null, after[field.name] ?? null] as const]));
}
