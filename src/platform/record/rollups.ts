import type { Knex } from 'knex';
import type { CallContext } from '../access/types.ts';
import { AppError } from '../errors.ts';
import { isUuid } from '../ids.ts';
import type { FieldModel, ObjectModel } from '../model/types.ts';
import { pending, txOf, type Batch, type Image } from './batch.ts';
import { resetHot } from './derived.sql.ts';
import { targetOf } from './images.ts';
import { readRecords } from './load.sql.ts';
import { effectsOf, feedsOf, mayTouch, type Change, type Effects } from './rollup-feeds.ts';
import { appendDeltas, lockForRollups, parentsOf, recountRollups } from './rollups.sql.ts';

/** The value that a roll-up begins with: nothing is counted yet. */
export function emptyRollup(field: FieldModel): unknown {
  if (field.rollup === null || (field.rollup.op !== 'count' && field.rollup.op !== 'sum')) return null;
  return field.valueKind === 'integer' ? 0 : '0';
}

/** Records that are locked for their roll-ups: those of objects that others look at with their images, the others with null. */
class Held {
  private readonly rows = new Map<ObjectModel, Map<string, Image | null>>();

  image(object: ObjectModel, id: string): Image | null {
    return this.rows.get(object)?.get(id) ?? null;
  }

  /** Notes what became of a held record, for what is counted next. */
  note(object: ObjectModel, id: string, image: Image): void {
    this.rows.get(object)?.set(id, image);
  }

  /** Locks what is not yet held, in the order of ids. */
  async lock(tx: Knex.Transaction, context: CallContext, object: ObjectModel, ids: Iterable<string>): Promise<void> {
    const known = this.rows.get(object) ?? new Map<string, Image | null>();
    this.rows.set(object, known);
    const missing = [...ids].filter((id) => !known.has(id));
    if (missing.length === 0) return;
    const images = await lockForRollups(tx, object, missing, feedsOf(context.model, object).length > 0);
    for (const id of missing) known.set(id, images.get(id) ?? null);
  }
}

const heldBy = new WeakMap<Batch, Held>();

function heldOf(batch: Batch): Held {
  const known = heldBy.get(batch) ?? new Held();
  heldBy.set(batch, known);
  return known;
}

const DEEPEST = 16;

/**
 * Before a batch locks its own records: locks the records above them whose roll-ups may change, the uppermost first.
 * Trashing a record and then what belongs to it takes locks in that order too, so that neither waits for the other in a
 * circle. Pays nothing for an object that no roll-up looks at.
 */
export async function holdAbove(batch: Batch): Promise<void> {
  const { plan, context, entries } = batch;
  const touched = feedsOf(context.model, plan.object).filter((feed) => feed.rollup.deltas === null && entries.some((entry) => mayTouch(feed, entry)));
  if (touched.length === 0) return;
  const tx = txOf(batch);
  const first: Level = new Map();
  for (const { via, parent } of touched) {
    for (const entry of entries) {
      const target = targetOf(via, entry.sent.get(via.name));
      if (target?.object === parent.name && isUuid(target.id)) put(first, parent, target.id);
    }
  }
  const existing = entries.filter((entry) => entry.item.kind !== 'create' && isUuid(entry.id)).map((entry) => entry.id);
  for (const { parent, id } of await parentsOf(tx, plan.object, touched, existing)) put(first, parent, id);
  const levels = [first];
  for (let level = first; level.size > 0 && levels.length < DEEPEST;) {
    const next: Level = new Map();
    for (const [object, ids] of level) {
      const above = feedsOf(context.model, object).filter((feed) => feed.rollup.deltas === null && feed.isOverRollups);
      for (const { parent, id } of await parentsOf(tx, object, above, [...ids])) put(next, parent, id);
    }
    level = next;
    levels.push(level);
  }
  const held = heldOf(batch);
  for (const level of levels.reverse()) await lockLevel(tx, context, held, level);
}

type Level = Map<ObjectModel, Set<string>>;

function put(level: Level, object: ObjectModel, id: string): void {
  level.set(object, (level.get(object) ?? new Set<string>()).add(id));
}

async function lockLevel(tx: Knex.Transaction, context: CallContext, held: Held, level: ReadonlyMap<ObjectModel, Iterable<string>>): Promise<void> {
  for (const [object, ids] of [...level].sort(([a], [b]) => (a.name < b.name ? -1 : 1))) await held.lock(tx, context, object, ids);
}

/** Roll-ups that a write concerns, with their records locked. */
export interface HeldRollups {
  readonly effects: Effects;
  readonly held: Held;
}

/** Before a batch is written: what it does to roll-ups, with every record concerned locked. Null when it does nothing. */
export async function holdRollups(batch: Batch): Promise<HeldRollups | null> {
  const { plan, context } = batch;
  if (feedsOf(context.model, plan.object).length === 0) return null;
  return hold(txOf(batch), context, plan.object, pending(batch), heldOf(batch));
}

async function hold(tx: Knex.Transaction, context: CallContext, object: ObjectModel, changes: readonly Change[], held: Held): Promise<HeldRollups | null> {
  const effects = effectsOf(context, object, changes);
  if (effects.recounts.size === 0 && effects.deltas.length === 0) return null;
  await lockLevel(tx, context, held, new Map([...effects.recounts].map(([parent, { ids }]) => [parent, ids])));
  return { effects, held };
}

/** After the batch is written: counts the held roll-ups anew, and those that look at them, or notes deltas for hot ones. */
export async function writeRollups(batch: Batch, rollups: HeldRollups): Promise<void> {
  const changed = await settle(txOf(batch), batch.context, rollups);
  // A record that counts itself, or others of the batch, is answered as it is now.
  for (const entry of pending(batch)) Object.assign(entry.after, changed.get(`${batch.plan.object.name} ${entry.id}`));
}

/**
 * Brings roll-ups in line with changes that were written beside the pipeline, whose records are locked. Hot ones are set by a
 * recount too: what they were made of may never have been noted as a delta.
 */
export async function followChanges(tx: Knex.Transaction, context: CallContext, object: ObjectModel, changes: readonly Change[]): Promise<void> {
  const feeds = feedsOf(context.model, object);
  if (changes.length === 0 || feeds.length === 0) return;
  const rollups = await hold(tx, context, object, changes, new Held());
  if (rollups === null) return;
  const { deltas, recounts } = rollups.effects;
  await settle(tx, context, { ...rollups, effects: { recounts, deltas: [] } });
  for (const { parent, field } of feeds) {
    const ids = [...new Set(deltas.filter((delta) => delta.field === field.id).map((delta) => delta.record))].sort();
    if (ids.length === 0) continue;
    await lockForRollups(tx, parent, ids, false);
    await resetHot(tx, context, parent, field, ids);
  }
}

async function settle(tx: Knex.Transaction, context: CallContext, { effects, held }: HeldRollups): Promise<ReadonlyMap<string, Image>> {
  await appendDeltas(tx, effects.deltas);
  const changed = new Map<string, Image>();
  for (const [parent, { fields, ids }] of effects.recounts) {
    const written = await recountRollups(tx, context, parent, [...fields], [...ids].sort());
    for (const { id, values } of written) changed.set(`${parent.name} ${id}`, { ...changed.get(`${parent.name} ${id}`), ...values });
    if (written.length === 0 || feedsOf(context.model, parent).length === 0) continue;
    const upper = await hold(tx, context, parent, await changesOf(tx, context, parent, written, held), held);
    if (upper !== null) for (const [key, values] of await settle(tx, context, upper)) changed.set(key, { ...changed.get(key), ...values });
  }
  return changed;
}

/** The counted records as those see them that look at their roll-ups. One made by this very batch was not there to be locked. */
async function changesOf(
  tx: Knex.Transaction,
  context: CallContext,
  object: ObjectModel,
  written: readonly { readonly id: string; readonly values: Image }[],
  held: Held,
): Promise<readonly Change[]> {
  const fresh = written.filter(({ id }) => held.image(object, id) === null).map(({ id }) => id);
  const read = await readRecords(tx, object, fresh, context.model.version);
  return written.map(({ id, values }) => {
    const begun = Object.fromEntries(Object.keys(values).map((name) => [name, emptyRollup(fieldOf(object, name))]));
    const before = held.image(object, id) ?? { ...read.get(id), ...begun };
    const after = { ...before, ...values };
    held.note(object, id, after);
    return { before, after };
  });
}

function fieldOf(object: ObjectModel, name: string): FieldModel {
  const field = object.fields.get(name);
  if (field === undefined) throw new AppError('internal', `${object.name} has no field ${name}.`);
  return field;
}
