import type { Knex } from 'knex';
import type { CallContext } from '../access/types.ts';
import { inTransaction } from '../db.ts';
import { fault } from '../fault.ts';
import type { FieldModel, ObjectModel } from '../model/types.ts';
import { lockRecords } from '../record/load.sql.ts';
import { planOf } from '../record/object-plan.ts';
import { pointingAt } from '../record/references.sql.ts';
import type { RecordEngine, WriteItem } from '../record/types.ts';
import { keepFindings, lastWrittenChunk, noteUndone, sumUndone, type WrittenChunk } from './progress.sql.ts';
import type { Checkpoint } from './run-job.ts';
import type { Finding, ImportJob, UndoCounts } from './types.ts';
import { historySince, runsOfImport, type LaterChange } from './undo.sql.ts';

interface Undo {
  readonly tx: Knex.Transaction;
  readonly engine: RecordEngine;
  readonly context: CallContext;
  readonly object: ObjectModel;
  readonly job: ImportJob;
}

type Images = ReadonlyMap<string, Readonly<Record<string, unknown>>>;

/**
 * Takes an import back, block by block from the last: records that it created go to the trash, fields that it changed get their old
 * values. What people, other imports or rules of other causes wrote since stays; what rules did because of the import goes with it.
 * Done with the rights of the one who asks. May be called again: a block is undone once.
 */
export async function undoBlocks(db: Knex, engine: RecordEngine, context: CallContext, job: ImportJob, checkpoint: Checkpoint): Promise<UndoCounts> {
  const { object } = planOf(context.model, job.object);
  for (let done = 0; ; done += 1) {
    await checkpoint(done);
    const wasLast = await inTransaction(db, async (tx) => {
      const chunk = await lastWrittenChunk(tx, job.id);
      if (chunk === null) return true;
      await undoChunk({ tx, engine, context, object, job }, chunk);
      return false;
    });
    fault('import.after_undo');
    if (wasLast) break;
  }
  return sumUndone(db, job.id);
}

async function undoChunk(undo: Undo, chunk: WrittenChunk): Promise<void> {
  const { tx, context, object, job } = undo;
  const ids = [...chunk.updated.map(({ id }) => id), ...chunk.createdIds];
  const images = await lockRecords(tx, object, ids, context.model.version);
  const history = await historySince(tx, [...chunk.updated, ...chunk.createdIds.map((id) => ({ id, version: 2 }))]);
  const runs = new Set([...history.values()].flatMap((changes) => changes.flatMap(({ run }) => run ?? [])));
  const own = await runsOfImport(tx, job.id, [...runs]);
  const isOwn = (change: LaterChange): boolean => change.job === job.id || (change.run !== null && own.has(change.run));
  const findings: Finding[] = [];
  const keep = (recordId: string, reason: string): void => void findings.push({ line: 0, column: null, reason, cells: [], recordId });
  const restored = await restore(undo, chunk, images, history, isOwn, keep);
  const removed = await remove(undo, chunk, images, history, isOwn, keep);
  await keepFindings(tx, job.id, 'undo', findings);
  const kept = new Set(findings.map(({ recordId }) => recordId)).size;
  await noteUndone(tx, job.id, chunk.ordinal, { removed, restored, kept });
}

type History = ReadonlyMap<string, readonly LaterChange[]>;
type Keep = (recordId: string, reason: string) => void;

/** The old values of what the import and its consequences changed and nobody else touched; names of what others touched. */
function oldValues(object: ObjectModel, changes: readonly LaterChange[], isOwn: (change: LaterChange) => boolean) {
  const byId = new Map([...object.fields.values()].map((field): [string, FieldModel] => [field.id, field]));
  const values = new Map<string, unknown>();
  const touched = new Set<string>();
  for (const change of changes) {
    for (const [id, [old]] of change.changes) {
      const field = byId.get(id);
      if (field === undefined) continue;
      if (!isOwn(change)) touched.add(field.name);
      else if (!values.has(field.name)) values.set(field.name, old);
    }
  }
  const held = [...values.keys()].filter((name) => touched.has(name) || name === object.path?.field);
  for (const name of held) values.delete(name);
  for (const [name] of values) {
    const field = object.fields.get(name);
    if (field === undefined || field.readOnly || (field.system && name !== 'ownerId')) values.delete(name);
  }
  return { values: Object.fromEntries(values), held };
}

/** Puts back what the block changed. Answers how many records got old values. */
async function restore(
  undo: Undo,
  chunk: WrittenChunk,
  images: Images,
  history: History,
  isOwn: (change: LaterChange) => boolean,
  keep: Keep,
): Promise<number> {
  const { object } = undo;
  const items: WriteItem[] = [];
  for (const { id } of chunk.updated) {
    const image = images.get(id);
    if (image === undefined || image['deletedAt'] !== null) {
      keep(id, 'It was moved to the trash since.');
      continue;
    }
    const { values, held } = oldValues(object, history.get(id) ?? [], isOwn);
    if (held.length > 0)
      keep(id, `Changed since, or moved along its path, and left as it is: ${held.map((name) => object.fields.get(name)?.label ?? name).join(', ')}.`);
    if (Object.keys(values).length > 0) items.push({ kind: 'update', id, version: Number(image['version']), values });
  }
  return write(undo, items, keep);
}

/** Moves what the block created to the trash. Answers how many records went. */
async function remove(undo: Undo, chunk: WrittenChunk, images: Images, history: History, isOwn: (change: LaterChange) => boolean, keep: Keep): Promise<number> {
  const { tx, context, object } = undo;
  const live = chunk.createdIds.filter((id) => images.get(id)?.['deletedAt'] === null);
  const pointing = await pointersTo(tx, context, object, live);
  const going = new Set(live.filter((id) => !(history.get(id) ?? []).some((change) => !isOwn(change))));
  const edited = new Set(live.filter((id) => !going.has(id)));
  // What stays holds what it points at, and that in turn.
  const staying = (id: string): readonly string[] => (pointing.get(id) ?? []).filter((from) => !going.has(from));
  for (let held: readonly string[] = [...going]; held.length > 0;) {
    held = [...going].filter((id) => staying(id).length > 0);
    for (const id of held) going.delete(id);
  }
  const items: WriteItem[] = [];
  for (const id of live) {
    const others = staying(id).length;
    if (edited.has(id)) keep(id, 'It was changed since it was imported.');
    else if (others > 0) keep(id, `${String(others)} other ${others === 1 ? 'record points' : 'records point'} to it.`);
    else items.push({ kind: 'delete', id, version: Number(images.get(id)?.['version']) });
  }
  return write(undo, items, keep);
}

/** Ids of the live records that point at these, by what they point at. */
async function pointersTo(tx: Knex.Transaction, context: CallContext, object: ObjectModel, ids: readonly string[]): Promise<ReadonlyMap<string, string[]>> {
  const found = new Map<string, string[]>();
  for (const { byTarget } of await pointingAt(tx, object, planOf(context.model, object.name).inbound, ids))
    for (const [target, from] of byTarget) found.set(target, [...(found.get(target) ?? []), ...from.filter((id) => id !== target)]);
  return found;
}

async function write({ tx, engine, context, object, job }: Undo, items: readonly WriteItem[], keep: Keep): Promise<number> {
  const outcomes = await engine.write(tx, context, object.name, items, { mode: 'each', events: job.settings.rules === 'all' ? 'chunk' : 'none' });
  let done = 0;
  outcomes.forEach((outcome, index) => {
    const item = items[index];
    if (outcome.ok) done += 1;
    else if (item !== undefined && item.id !== undefined) keep(item.id, outcome.message);
  });
  return done;
}
