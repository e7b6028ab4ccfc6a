import type { FieldModel } from '../model/types.ts';
import type { Batch, Entry } from './batch.ts';
import { txOf } from './batch.ts';
import { targetOf } from './images.ts';
import { noteMoves } from './moves.sql.ts';
import type { ObjectPlan } from './object-plan.ts';

/** References whose earlier targets are kept: every one that people made, for a relation may be named after the move. */
const isKept = (field: FieldModel): boolean => !field.system || field.ref?.as !== null;

/** Notes the references of a batch that led to another record before: most writes change none, and pay nothing. */
export async function keepMoves(batch: Batch, entries: readonly Entry[]): Promise<void> {
  const moves = batch.plan.references.filter(isKept).flatMap((field) =>
    entries.flatMap((entry) => {
      const before = entry.changed.includes(field.name) ? targetOf(field, entry.before?.[field.name]) : null;
      return before === null ? [] : [{ field: field.id, target: before.id, record: entry.id, version: Number(entry.after['version']) }];
    }),
  );
  await noteMoves(txOf(batch), moves, batch.context.now);
}

/** Whether a change of these values may move a record from one list to another. */
export function mayMove(plan: ObjectPlan, values: Readonly<Record<string, unknown>>): boolean {
  return plan.references.some((field) => isKept(field) && Object.hasOwn(values, field.name));
}
