import type { Knex } from 'knex';
import type { CallContext } from '../access/types.ts';
import { AppError, isAppError } from '../errors.ts';
import type { FieldModel } from '../model/types.ts';
import { actorOf } from './actor.ts';
import { isSame, targetOf } from './images.ts';
import { lockRecords } from './load.sql.ts';
import { markUndone, movePointersBack, type MergeRow, type MovedReference } from './merge.sql.ts';
import { planOf, type ObjectPlan } from './object-plan.ts';
import type { RecordEngine, WriteItem } from './types.ts';

/** Something that stays as it is, for somebody changed it since. */
export interface Kept {
  readonly object: string;
  readonly id: string;
  /** Null for a record as a whole. */
  readonly field: string | null;
  readonly reason: string;
}

interface Work {
  readonly engine: RecordEngine;
  readonly tx: Knex.Transaction;
  readonly context: CallContext;
  readonly plan: ObjectPlan;
  readonly merge: MergeRow;
  readonly kept: Kept[];
}

const CHUNK = 500;

/**
 * Parts merged records again: the one that stayed gets its values back, the others come out of the trash, what was moved
 * goes back. What somebody changed since the merge stays as it is and is named. Writes.
 * The caller's right to change the one that stayed is the use case's to check; restoring the others is checked here.
 * @throws AppError conflict_unique, conflict_reference when one of the others cannot come back
 */
export async function partRecords(engine: RecordEngine, tx: Knex.Transaction, context: CallContext, merge: MergeRow): Promise<readonly Kept[]> {
  const work: Work = { engine, tx, context, plan: planOf(context.model, merge.object), merge, kept: [] };
  const sources = new Set(merge.sources.map(({ id }) => id));
  const back = await formerValues(work);
  const isToSource = ([name, value]: readonly [string, unknown]): boolean => {
    const field = work.plan.object.fields.get(name);
    return field !== undefined && sources.has(targetOf(field, value)?.id ?? '');
  };
  // The keys that the others had must be free before they come back, and they must be back before anything points at them.
  await writeSurvivor(
    work,
    back.filter((entry) => !isToSource(entry)),
  );
  await restoreSources(work);
  await writeSurvivor(work, back.filter(isToSource));
  await moveBack(work);
  await movePointersBack(tx, merge.survivorId, merge.pointers);
  const image = (await lockRecords(tx, work.plan.object, [merge.survivorId], context.model.version)).get(merge.survivorId);
  await markUndone(tx, merge.id, context.now, actorOf(context.principal), Number(image?.['version']));
  return work.kept;
}

/** What the record had in the fields that the merge changed and nobody changed since. */
async function formerValues({ tx, context, plan, merge, kept }: Work): Promise<readonly (readonly [string, unknown])[]> {
  const image = (await lockRecords(tx, plan.object, [merge.survivorId], context.model.version)).get(merge.survivorId) ?? {};
  const fields = new Map([...plan.object.fields.values()].map((field): [string, FieldModel] => [field.id, field]));
  return Object.entries(merge.changed).flatMap(([fieldId, [old, merged]]) => {
    const field = fields.get(fieldId);
    if (field === undefined) return [];
    if (isSame(image[field.name] ?? null, merged)) return [[field.name, old] as const];
    kept.push({ object: plan.object.name, id: merge.survivorId, field: field.name, reason: `${field.label} was changed since.` });
    return [];
  });
}

async function writeSurvivor({ engine, tx, context, plan, merge }: Work, values: readonly (readonly [string, unknown])[]): Promise<void> {
  if (values.length === 0) return;
  const item: WriteItem = { kind: 'update', id: merge.survivorId, values: Object.fromEntries(values) };
  await engine.write(tx, context, plan.object.name, [item], { mode: 'atomic', asSystem: true });
}

async function restoreSources({ engine, tx, context, plan, merge, kept }: Work): Promise<void> {
  const images = await lockRecords(
    tx,
    plan.object,
    merge.sources.map(({ id }) => id),
    context.model.version,
  );
  const items: WriteItem[] = [];
  for (const { id, version } of merge.sources) {
    const image = images.get(id);
    if (image === undefined || image['version'] !== version)
      kept.push({ object: plan.object.name, id, field: null, reason: 'It was restored or changed since.' });
    else items.push({ kind: 'restore', id, version });
  }
  try {
    // All or none: they may point at each other.
    await engine.write(tx, context, plan.object.name, items, { mode: 'atomic' });
  } catch (error) {
    if (!isAppError(error)) throw error;
    const errors = error.errors.map((detail) => ({ ...detail, pointer: detail.pointer.replace(/^\/\d+(?=\/|$)/, '') }));
    throw new AppError(error.code, `A record that was merged cannot come back: ${error.message}`, { errors, extra: error.extra, cause: error });
  }
}

/** References that the merge moved, where they still point at the record that stayed. */
async function moveBack({ engine, tx, context, plan, merge, kept }: Work): Promise<void> {
  const groups = new Map<string, MovedReference[]>();
  for (const moved of merge.moved) {
    const key = `${moved.object} ${moved.fieldId}`;
    groups.set(key, [...(groups.get(key) ?? []), moved]);
  }
  for (const group of groups.values()) {
    const [first] = group;
    const object = context.model.objects.get(first?.object ?? '');
    const field = [...(object?.fields.values() ?? [])].find((entry) => entry.id === first?.fieldId);
    if (object === undefined || field === undefined) continue;
    for (let start = 0; start < group.length; start += CHUNK) {
      const part = group.slice(start, start + CHUNK);
      const images = await lockRecords(
        tx,
        object,
        part.map(({ id }) => id),
        context.model.version,
      );
      const still = part.filter(({ id }) => {
        const image = images.get(id);
        const isStill = image !== undefined && image['deletedAt'] === null && targetOf(field, image[field.name])?.id === merge.survivorId;
        if (!isStill) kept.push({ object: object.name, id, field: field.name, reason: `${field.label} was changed, or the record went to the trash, since.` });
        return isStill;
      });
      const items = still.map(({ id, from }): WriteItem => ({
        kind: 'update',
        id,
        values: { [field.name]: field.objectColumn === null ? from : { object: plan.object.name, id: from } },
      }));
      const outcomes = await engine.write(tx, context, object.name, items, { mode: 'each', asSystem: true, events: group.length > CHUNK ? 'chunk' : 'each' });
      outcomes.forEach((outcome, index) => {
        const one = still[index];
        if (!outcome.ok && one !== undefined) kept.push({ object: object.name, id: one.id, field: field.name, reason: outcome.message });
      });
    }
  }
}
