import type { Knex } from 'knex';
import type { CallContext } from '../access/types.ts';
import { nextCronInstant } from '../calendar/recurrence.ts';
import type { Instant } from '../clock.ts';
import { inTransaction } from '../db.ts';
import type { Log } from '../log.ts';
import { isHot } from '../model/read-table.sql.ts';
import type { Model } from '../model/types.ts';
import type { Sql } from '../sql.ts';
import type { Image } from './batch.ts';
import { derivedFields, type DerivedField } from './derived-fields.ts';
import {
  claimDerived,
  driftedRollups,
  endDerived,
  idsAfter,
  keepDrift,
  moveDerived,
  readDerived,
  readForFormula,
  resetHot,
  syncDerived,
  writeFormula,
  type DerivedState,
  type Drift,
} from './derived.sql.ts';
import { isSame, parseValue, rowOf, toInput } from './images.ts';
import { planOf } from './object-plan.ts';
import { evalContext, makeRelated } from './related.sql.ts';
import { followChanges } from './rollups.ts';
import { fieldsWithDeltas, foldDeltas, hasDeltas, lockForRollups, recountRollups } from './rollups.sql.ts';

/** What a check found of one derived field. */
export interface DerivedReport {
  readonly object: string;
  readonly field: string;
  readonly kind: 'count' | 'sum' | 'min' | 'max' | 'avg' | 'last' | 'formula';
  readonly hot: boolean;
  /** `filling` until every record has been looked at once under the present definition. */
  readonly state: DerivedState['state'];
  readonly records: number;
  readonly drifted: number;
  readonly repaired: boolean;
  /** The first of the records that differ. */
  readonly examples: readonly Drift[];
  /** When the worker last went over it, and what it found. */
  readonly checkedAt: Instant | null;
  readonly checkedDrift: number | null;
}

export interface DerivedOptions {
  /** A call of the system's own, on the Model in force. */
  readonly context: () => Promise<CallContext>;
  readonly log: Log;
}

/** Keeps stored values that follow from others: folds what waits, fills what is new, and reconciles every night. */
export interface DerivedValues {
  /** As the worker takes them. */
  readonly handlers: readonly {
    readonly name: string;
    readonly run: (db: Knex) => Promise<number>;
    readonly everySeconds?: number;
    readonly waiting?: (db: Knex) => Sql;
  }[];
  /** Compares every derived value with what it is made of; writes only when told to repair. */
  readonly check: (db: Knex, context: CallContext, repair: boolean) => Promise<readonly DerivedReport[]>;
}

const RECORDS_AT_ONCE = 1_000;
const EXAMPLES = 10;
/** Writers on an older Model may be at work for a moment after a new one came: what they missed is found by then. */
const FIRST_CHECK_MS = 60_000;
const NIGHTLY = '15 3 * * *';

export function makeDerivedValues({ context, log }: DerivedOptions): DerivedValues {
  const synced = new WeakSet<Model>();
  const sync = async (db: Knex, ctx: CallContext): Promise<void> => {
    if (synced.has(ctx.model)) return;
    await inTransaction(db, (tx) => syncDerived(tx, derivedFields(ctx.model), ctx.now));
    synced.add(ctx.model);
  };
  const run = async (db: Knex): Promise<number> => {
    const ctx = await context();
    await sync(db, ctx);
    const fields = derivedFields(ctx.model);
    if (fields.length === 0) return 0;
    const states = await readDerived(db);
    const isDue = ({ field }: DerivedField): boolean => {
      const state = states.get(field.id);
      return state !== undefined && (state.state === 'filling' || state.nextCheck <= ctx.now);
    };
    const due = fields.find(isDue);
    return due === undefined ? 0 : inTransaction(db, (tx) => workOn(tx, ctx, due, log));
  };
  return {
    handlers: [
      { name: 'rollups', run: async (db) => foldAll(db, await context()), waiting: hasDeltas },
      { name: 'derived', run, everySeconds: 5 },
    ],
    async check(db, ctx, repair) {
      await sync(db, ctx);
      const reports: DerivedReport[] = [];
      for (const entry of derivedFields(ctx.model)) reports.push(await report(db, ctx, entry, repair));
      return reports;
    },
  };
}

/** Folds the deltas of hot roll-ups that wait, one bounded batch a field. */
async function foldAll(db: Knex, context: CallContext): Promise<number> {
  const hot = derivedFields(context.model).filter(({ field }) => isHot(field));
  if (hot.length === 0) return 0;
  const waiting = new Set(await fieldsWithDeltas(db));
  let count = 0;
  for (const { object, field } of hot) if (waiting.has(field.id)) count += await inTransaction(db, (tx) => foldDeltas(tx, object, field));
  return count;
}

/** One batch of filling or checking a field; 0 while another process is at it. */
async function workOn(tx: Knex.Transaction, context: CallContext, entry: DerivedField, log: Log): Promise<number> {
  const state = await claimDerived(tx, entry.field.id);
  if (state === null || (state.state === 'filled' && state.nextCheck > context.now)) return 0;
  const ids = await idsAfter(tx, entry.object, state.afterId, RECORDS_AT_ONCE);
  if (ids.length === 0) {
    await endOf(tx, context, entry, state, log);
    return 1;
  }
  const isFilling = state.state === 'filling';
  const drifted = isFilling ? await fill(tx, context, entry, ids) : await reconcile(tx, context, entry, ids);
  await moveDerived(tx, entry.field.id, {
    afterId: ids.at(-1) ?? null,
    records: state.records + ids.length,
    drifted: state.drifted + (isFilling ? 0 : drifted.length),
  });
  return ids.length;
}

async function endOf(tx: Knex.Transaction, context: CallContext, { object, field }: DerivedField, state: DerivedState, log: Log): Promise<void> {
  const { records, drifted } = state;
  const isFilled = state.state === 'filling';
  const soon = new Date(Date.parse(context.now) + FIRST_CHECK_MS).toISOString();
  const nextCheck = isFilled ? soon : (nextCronInstant(NIGHTLY, context.model.calendarLookup.planZone, context.now) ?? soon);
  await endDerived(tx, field.id, { nextCheck, checkedAt: isFilled ? null : context.now, records, drifted });
  const about = { object: object.name, field: field.name, records, drifted };
  if (isFilled) log.info(about, 'A derived field is filled.');
  else if (drifted > 0) log.warn(about, 'Values of a derived field were not what they are made of; they are repaired.');
}

/** Writes the right values; answers the records that had others. */
async function fill(tx: Knex.Transaction, context: CallContext, entry: DerivedField, ids: readonly string[]): Promise<readonly string[]> {
  const { object, field } = entry;
  if (field.rollup === null) {
    const wrong = differing(context, entry, await readForFormula(tx, object, ids, true));
    const after = wrong.map(({ image, computed }): Image => ({ ...image, [field.name]: computed }));
    await writeFormula(tx, object, field, after);
    await followChanges(
      tx,
      context,
      object,
      wrong.map(({ image }, index) => ({ before: image, after: after[index] ?? null })),
    );
    return wrong.map(({ image }) => String(image['id']));
  }
  const before = await lockForRollups(tx, object, ids, true);
  if (isHot(field)) {
    const drifted = await driftedRollups(tx, context, object, field, ids);
    await resetHot(tx, context, object, field, ids);
    return drifted.map(({ id }) => id);
  }
  const changed = await recountRollups(tx, context, object, [field], ids);
  await followChanges(
    tx,
    context,
    object,
    changed.flatMap(({ id, values }) => {
      const was = before.get(id);
      return was === undefined ? [] : [{ before: was, after: { ...was, ...values } }];
    }),
  );
  return changed.map(({ id }) => id);
}

/** Finds what differs, repairs it, and keeps a note of each. */
async function reconcile(tx: Knex.Transaction, context: CallContext, entry: DerivedField, ids: readonly string[]): Promise<readonly Drift[]> {
  const found = await drift(tx, context, entry, ids);
  if (found.length === 0) return [];
  const repaired = new Set(
    await fill(
      tx,
      context,
      entry,
      found.map(({ id }) => id),
    ),
  );
  const kept = found.filter(({ id }) => repaired.has(id));
  await keepDrift(tx, entry.field.id, kept, context.now);
  return kept;
}

async function drift(db: Knex, context: CallContext, entry: DerivedField, ids: readonly string[]): Promise<readonly Drift[]> {
  const { object, field } = entry;
  if (field.rollup !== null) return driftedRollups(db, context, object, field, ids);
  const images = await readForFormula(db, object, ids, false);
  return differing(context, entry, images).map(({ image, computed }) => ({ id: String(image['id']), stored: image[field.name] ?? null, computed }));
}

interface Differing {
  readonly image: Image;
  readonly computed: unknown;
}

function differing(context: CallContext, { object, field }: DerivedField, images: readonly Image[]): readonly Differing[] {
  const evaluate = planOf(context.model, object.name).formulas.find((formula) => formula.field.name === field.name)?.evaluate;
  if (evaluate === undefined) return [];
  const evaluation = evalContext(context, makeRelated(), undefined);
  return images.flatMap((image) => {
    const computed = parseValue(field, toInput(field, evaluate(rowOf(object, image), evaluation)));
    return isSame(image[field.name] ?? null, computed) ? [] : [{ image, computed }];
  });
}

async function report(db: Knex, context: CallContext, entry: DerivedField, repair: boolean): Promise<DerivedReport> {
  const { object, field } = entry;
  const state = (await readDerived(db)).get(field.id);
  const examples: Drift[] = [];
  let records = 0;
  let drifted = 0;
  let after: string | null = null;
  for (;;) {
    const ids: readonly string[] = await idsAfter(db, object, after, RECORDS_AT_ONCE);
    if (ids.length === 0) break;
    const found: readonly Drift[] = repair ? await inTransaction(db, (tx) => reconcile(tx, context, entry, ids)) : await drift(db, context, entry, ids);
    records += ids.length;
    drifted += found.length;
    examples.push(...found.slice(0, EXAMPLES - examples.length));
    after = ids.at(-1) ?? null;
  }
  return {
    object: object.name,
    field: field.name,
    kind: field.rollup?.op ?? 'formula',
    hot: isHot(field),
    state: state?.state ?? 'filling',
    records,
    drifted,
    repaired: repair,
    examples,
    checkedAt: state?.checkedAt ?? null,
    checkedDrift: state?.checkedDrift ?? null,
  };
}
