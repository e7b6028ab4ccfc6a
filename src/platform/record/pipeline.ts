import type { Knex } from 'knex';
import { unknownRecord } from '../access/rights.ts';
import { readRowRights } from '../access/row-rights.sql.ts';
import type { CallContext } from '../access/types.ts';
import { AppError } from '../errors.ts';
import type { PolicyUse, ReadPath, Row } from '../expression/types.ts';
import type { Fault } from '../fault.ts';
import { isUuid } from '../ids.ts';
import type { FieldModel } from '../model/types.ts';
import type { RecordData } from '../query/types.ts';
import { actorOf } from './actor.ts';
import { authorizeAfter, authorizeBefore, ruleReads, writeRights } from './authorize.ts';
import { alive, fail, pending, settleFindings, txOf, type Batch, type Entry, type Image } from './batch.ts';
import { physicalColumns, physicalRow, rowOf } from './images.ts';
import { readIncoming } from './incoming.ts';
import { fieldsChangedSince, lockRecords, readRecords } from './load.sql.ts';
import { keepMoves } from './moves.ts';
import { planOf } from './object-plan.ts';
import { modelChanged, requireInForce } from '../schema/processes.sql.ts';
import { uniqueConflict } from './pg-errors.ts';
import { applyDefaults, applyTransition, beginChange, beginCreate, beginTransition, checkGuards, compareImages, validateEntry } from './prepare.ts';
import { keepMatches, lookForDuplicates } from './duplicates.ts';
import { checkFiles } from './files.sql.ts';
import { checkReferences, lockGuardedParents, resolveBareIds } from './references.ts';
import { evalContext, makeRelated, preload, type PolicyLookup, type Related } from './related.sql.ts';
import { holdAbove, holdRollups, writeRollups } from './rollups.ts';
import { formatNumber, takeNumbers } from './sequences.sql.ts';
import { changeOf, sideRowsOf } from './side.ts';
import { writeSideRows } from './side-rows.sql.ts';
import { followChildren, lookForChildren } from './trash.ts';
import type { RecordHook, WriteItem, WriteOptions, WriteOutcome } from './types.ts';
import { takenKeys } from './uniques.sql.ts';
import { insertRecords, updateRecords } from './write.sql.ts';

/** What the pipeline needs besides the batch; made once by the engine. */
export interface Machinery {
  readonly hooks: readonly RecordHook[];
  readonly faults: Fault;
  readonly policies: PolicyLookup | undefined;
  /** Writes of other objects that follow from this one, through the same pipeline. */
  readonly write: (
    tx: Knex.Transaction,
    context: CallContext,
    object: string,
    items: readonly WriteItem[],
    options: WriteOptions,
  ) => Promise<readonly WriteOutcome[]>;
  /** The record as the caller may read it now. */
  readonly current: (db: Knex, context: CallContext, object: string, id: string) => Promise<RecordData | null>;
}

/** Lays out a batch; nothing is read or written yet. */
export function makeBatch(
  handle: { readonly db: Knex; readonly tx: Knex.Transaction | null },
  context: CallContext,
  object: string,
  items: readonly WriteItem[],
  options: WriteOptions,
  atomic: boolean,
): Batch {
  const entries = items.map((item, index): Entry => ({
    index,
    item,
    id: item.kind === 'create' ? (item.id ?? context.newId()) : item.id,
    sent: new Map(),
    before: null,
    after: {},
    transition: null,
    decisions: [],
    changed: [],
    findings: [],
    failure: null,
    idle: false,
  }));
  const plan = planOf(context.model, object);
  const system = options.asSystem === true || context.principal.kind === 'system';
  const rights = system ? null : writeRights(context, object);
  return { ...handle, context, plan, entries, atomic, events: options.events ?? 'each', system, rights, actor: actorOf(context.principal) };
}

/** Everything up to the point where rows are written; entries that cannot be written have failed by then. */
export async function preparedBatch(machinery: Machinery, batch: Batch): Promise<void> {
  const related = makeRelated();
  const { rights } = batch;
  for (const entry of batch.entries) readIncoming(batch, entry);
  await holdAbove(batch);
  await loadBefore(batch);
  if (rights !== null) {
    await preloadFor(batch, related, ruleReads(rights), (entry) => entry.before);
    const context = evalContext(batch.context, related, machinery.policies);
    for (const entry of alive(batch)) authorizeBefore(batch, entry, rights, context);
  }
  await checkVersions(machinery, batch);
  for (const entry of alive(batch)) beginTransition(batch, entry);
  await buildAfter(machinery, batch, related);
  await resolveBareIds(batch);
  compareImages(batch);
  await lockGuardedParents(batch);
  await moveAlong(machinery, batch);
  // Before the checks: an expression must not tell of a record that the caller may not see.
  await checkReferences(batch);
  await checkFiles(batch);
  await validateAll(machinery, batch);
  settleFindings(batch);
  if (rights !== null) {
    const fresh = makeRelated();
    await preloadFor(batch, fresh, ruleReads(rights), (entry) => entry.after);
    const context = evalContext(batch.context, fresh, machinery.policies);
    for (const entry of pending(batch)) authorizeAfter(batch, entry, rights, context);
  }
  if (!batch.atomic) await refuseTakenKeys(batch);
  await lookForDuplicates(batch);
}

async function preloadFor(batch: Batch, related: Related, reads: readonly ReadPath[], image: (entry: Entry) => Row | null): Promise<void> {
  const { object } = batch.plan;
  const roots = alive(batch).flatMap((entry) => {
    const row = image(entry);
    return row === null ? [] : [rowOf(object, row)];
  });
  await preload(batch.db, batch.context.model, object, roots, reads, related);
}

/** Locks what exists, by id; a record that is gone, or in the trash when it should not be, ends its entry. */
async function loadBefore(batch: Batch): Promise<void> {
  const { object } = batch.plan;
  const seen = new Set<string>();
  for (const entry of batch.entries) {
    if (!isUuid(entry.id)) fail(batch, entry, unknownRecord(object.name, entry.id));
    else if (seen.has(entry.id)) fail(batch, entry, new AppError('bad_request', `A batch writes each record once, but ${entry.id} is named twice.`));
    seen.add(entry.id);
  }
  const changing = alive(batch).filter((entry) => entry.item.kind !== 'create');
  const ids = changing.map((entry) => entry.id);
  const { version } = batch.context.model;
  const found = batch.tx === null ? await readRecords(batch.db, object, ids, version) : await lockRecords(batch.tx, object, ids, version);
  for (const entry of changing) {
    const image = found.get(entry.id);
    const isTrashed = image !== undefined && image['deletedAt'] !== null;
    if (image === undefined || (isTrashed && entry.item.kind !== 'restore')) fail(batch, entry, unknownRecord(object.name, entry.id));
    else entry.before = image;
  }
}

async function checkVersions(machinery: Machinery, batch: Batch): Promise<void> {
  for (const entry of alive(batch)) {
    const { item, before } = entry;
    if (item.kind === 'create' || before === null) continue;
    if (item.kind === 'restore' && before['deletedAt'] === null) {
      fail(batch, entry, new AppError('conflict_state', `This ${batch.plan.object.label} is not in the trash.`));
      continue;
    }
    if (item.version === undefined) {
      if (!batch.system) fail(batch, entry, new AppError('precondition_required', `Say which version of the ${batch.plan.object.label} you read.`));
      continue;
    }
    if (item.version !== before['version']) fail(batch, entry, await staleVersion(machinery, batch, entry, before, item.version));
  }
}

async function staleVersion(machinery: Machinery, batch: Batch, entry: Entry, before: Image, version: number): Promise<AppError> {
  const { plan, db, context } = batch;
  const changed = await fieldsChangedSince(db, entry.id, version, before);
  const readable = batch.rights === null ? null : (await readRowRights(db, context, plan.object.name, [entry.id])).get(entry.id)?.readable;
  const isReadable = (name: string): boolean => readable === null || readable?.has(name) === true;
  const clashing = plan.userFields
    .filter(({ field }) => changed.has(field.id) && entry.sent.has(field.name) && isReadable(field.name))
    .map(({ field }) => field.name);
  const current = await machinery.current(db, context, plan.object.name, entry.id);
  const message = `Somebody changed this ${plan.object.label} since you read it (you have version ${version}, now it is ${String(before['version'])}).`;
  return new AppError('conflict_version', message, { extra: { current, clashing } });
}

async function buildAfter(machinery: Machinery, batch: Batch, related: Related): Promise<void> {
  const creates = alive(batch).filter((entry) => entry.item.kind === 'create');
  for (const entry of alive(batch)) {
    if (entry.item.kind === 'create') beginCreate(batch, entry);
    else beginChange(batch, entry);
  }
  if (creates.length === 0 || batch.plan.defaults.length === 0) return;
  await preloadFor(batch, related, batch.plan.defaultReads, (entry) => (entry.item.kind === 'create' ? entry.after : null));
  const context = evalContext(batch.context, related, machinery.policies);
  for (const entry of creates) applyDefaults(batch, entry, context);
}

/** Guards, then what transitions set. */
async function moveAlong(machinery: Machinery, batch: Batch): Promise<void> {
  const { plan } = batch;
  const moving = alive(batch).filter((entry) => entry.transition !== null);
  if (moving.length === 0) return;
  const related = makeRelated();
  for (const [name, group] of groupByTransition(moving)) {
    const transition = plan.transitions.get(name);
    if (transition === undefined) continue;
    const roots = group.map((entry) => rowOf(plan.object, entry.after));
    await preload(txOf(batch), batch.context.model, plan.object, roots, [...transition.guardReads, ...transition.setReads], related, true);
    const context = evalContext(batch.context, related, machinery.policies);
    for (const entry of group) {
      const noting = { ...context, note: (use: PolicyUse) => void entry.decisions.push(use) };
      checkGuards(batch, entry, transition, noting);
      if (entry.failure === null && entry.transition !== null) applyTransition(batch, entry, entry.transition, transition, noting);
    }
  }
  await resolveBareIds(batch);
  compareImages(batch);
}

/** The schema and the checks of what would be written. */
async function validateAll(machinery: Machinery, batch: Batch): Promise<void> {
  const { plan, db } = batch;
  const related = makeRelated();
  const judged = pending(batch).filter((entry) => entry.item.kind !== 'delete' && entry.item.kind !== 'restore');
  const roots = judged.map((entry) => rowOf(plan.object, entry.after));
  await preload(db, batch.context.model, plan.object, roots, plan.checkReads, related);
  const context = evalContext(batch.context, related, machinery.policies);
  for (const entry of judged) validateEntry(batch, entry, context);
}

function groupByTransition(entries: readonly Entry[]): ReadonlyMap<string, readonly Entry[]> {
  const groups = new Map<string, Entry[]>();
  for (const entry of entries) {
    const name = entry.transition?.name ?? '';
    groups.set(name, [...(groups.get(name) ?? []), entry]);
  }
  return groups;
}

/** For batches that fail item by item: keys taken by live records, and keys that two items of the batch share. */
async function refuseTakenKeys(batch: Batch): Promise<void> {
  const { plan } = batch;
  const tx = txOf(batch);
  for (const key of plan.uniques) {
    const candidates = pending(batch).filter((entry) => hasNewKey(entry, key));
    const seen = new Set<string>();
    for (const entry of candidates) {
      const text = JSON.stringify(physicalRow(entry.after, key));
      if (seen.has(text)) fail(batch, entry, uniqueConflict(plan.object, key));
      seen.add(text);
    }
    const left = candidates.filter((entry) => entry.failure === null);
    const taken = await takenKeys(
      tx,
      plan.object,
      key,
      left.map((entry) => ({ index: entry.index, id: entry.id, image: entry.after })),
    );
    for (const entry of left) if (taken.has(entry.index)) fail(batch, entry, uniqueConflict(plan.object, key));
  }
}

function hasNewKey(entry: Entry, key: readonly FieldModel[]): boolean {
  if (entry.item.kind === 'delete') return false;
  const isFull = key.every((field) => entry.after[field.name] !== null && entry.after[field.name] !== undefined);
  return isFull && (entry.item.kind === 'create' || entry.item.kind === 'restore' || key.some((field) => entry.changed.includes(field.name)));
}

/** Writes what is left: records, then what stands beside them, then hooks, then what follows from trashing. */
export async function writeBatch(machinery: Machinery, batch: Batch): Promise<void> {
  const { plan, context } = batch;
  const tx = txOf(batch);
  const followUps = await lookForChildren(batch);
  const entries = pending(batch);
  if (entries.length === 0) return;
  machinery.faults('record.before_write');
  const rollups = await holdRollups(batch);
  await numberRecords(batch);
  await writeRecords(batch, entries);
  machinery.faults('record.after_write');
  await writeSideRows(tx, context, plan.object, batch.actor, sideRowsOf(batch, entries));
  await keepMatches(batch);
  machinery.faults('record.after_history');
  if (rollups !== null) await writeRollups(batch, rollups);
  await keepMoves(batch, entries);
  await followChildren(machinery.write, batch, followUps);
  const hooks = machinery.hooks.filter((hook) => hook.object === '*' || hook.object === plan.object.name);
  const changes = hooks.length === 0 ? [] : entries.map((entry) => changeOf(batch, entry));
  for (const hook of hooks) await hook.afterWrite?.(tx, context, changes);
}

async function numberRecords(batch: Batch): Promise<void> {
  const creates = pending(batch).filter((entry) => entry.item.kind === 'create');
  const { sequences } = batch.plan;
  const first = await takeNumbers(
    txOf(batch),
    sequences.map((field) => field.id),
    creates.length,
  );
  for (const field of sequences) {
    let next = first.get(field.id);
    for (const entry of creates) {
      if (next === undefined) throw new AppError('internal', `No number was given for ${field.name}.`);
      entry.after[field.name] = formatNumber(field.sequence ?? '', next);
      next += 1n;
    }
  }
}

const MANY = 50;

async function writeRecords(batch: Batch, entries: readonly Entry[]): Promise<void> {
  const { plan, context } = batch;
  const tx = txOf(batch);
  const all = plan.stored.map(({ field }) => field);
  const creates = entries.filter((entry) => entry.item.kind === 'create');
  // Of many records only the columns that some of them fill are sent; of few, all, so that the statement is a prepared one.
  const filled = creates.length < MANY ? all : all.filter(({ name }) => creates.some(({ after }) => (after[name] ?? null) !== null));
  const inserted = await insertRecords(
    tx,
    plan.object,
    context.model.version,
    physicalColumns(filled),
    creates.map((entry) => physicalRow(entry.after, filled)),
  );
  if (inserted < creates.length) throw modelChanged();
  const changes = entries.filter((entry) => entry.item.kind !== 'create');
  const names = new Set(['version', 'updatedAt', 'updatedBy', ...changes.flatMap((entry) => entry.changed)]);
  if (changes.some((entry) => entry.item.kind === 'delete' || entry.item.kind === 'restore')) names.add('deletedAt');
  const fields = all.filter((field) => names.has(field.name));
  const written = await updateRecords(
    tx,
    plan.object,
    context.model.version,
    physicalColumns(fields),
    changes.map((entry) => ({ ...physicalRow(entry.after, fields), id: entry.id })),
  );
  const lost = changes.find((entry) => !written.has(entry.id));
  if (lost === undefined) return;
  await requireInForce(tx, context.model.version);
  throw new AppError('conflict_version', `This ${plan.object.label} changed while it was being written.`);
}
