import type { Knex } from 'knex';
import { readRights, unknownRecord } from '../access/rights.ts';
import { readRowRights } from '../access/row-rights.sql.ts';
import type { CallContext } from '../access/types.ts';
import { isUuid } from '../ids.ts';
import { wholeTable } from '../model/read-table.sql.ts';
import { rows, schemaOf, sql } from '../sql.ts';
import { imageOf, rowOf } from './images.ts';
import { planOf } from './object-plan.ts';
import { columnsOf, evalContext, makeRelated, preload, type PolicyLookup } from './related.sql.ts';

/** A transition as it stands for one record and one caller. */
export interface TransitionState {
  readonly name: string;
  readonly label: string;
  readonly to: string;
  readonly allowed: boolean;
  /** Fields that may come with it, and those that must be filled by then. */
  readonly accepts: readonly string[];
  readonly required: readonly string[];
  /** Why not, all reasons at once. */
  readonly reasons: readonly { readonly name: string; readonly message: string; readonly fix: string | null }[];
}

export type TransitionStates = (db: Knex, context: CallContext, object: string, id: string) => Promise<readonly TransitionState[]>;

/**
 * Which transitions lead on from where a record stands, and what holds the refused ones back. Only transitions that the
 * caller's permission sets name are listed. Reads, without a lock: the transition itself looks again.
 */
export function makeTransitionStates(policies: PolicyLookup | undefined): TransitionStates {
  return async (db, context, name, id) => {
    const rights = readRights(context, name);
    const { object } = rights;
    if (!isUuid(id)) throw unknownRecord(name, id);
    const may = (await readRowRights(db, context, name, [id])).get(id);
    const [row] = await rows(db, sql`select ${columnsOf(object)} from ${wholeTable(schemaOf(db), object)} where id = ${id}::uuid and deleted_at is null`);
    if (row === undefined || may?.canRead !== true) throw unknownRecord(name, id);
    if (object.path === null) return [];
    const image = rowOf(object, imageOf(object, row));
    const state = image[object.path.field];
    const plan = planOf(context.model, name);
    const open = [...object.path.transitions.values()].filter(
      (entry) => typeof state === 'string' && entry.from.includes(state) && rights.transitions.has(entry.name),
    );
    const related = makeRelated();
    const reads = open.flatMap((entry) => plan.transitions.get(entry.name)?.guardReads ?? []);
    await preload(db, context.model, object, [image], reads, related);
    const evaluation = evalContext(context, related, policies);
    return open.map((transition) => {
      const guards = plan.transitions.get(transition.name)?.guards ?? [];
      const failing = guards
        .filter(({ evaluate }) => evaluate(image, evaluation) !== true)
        .map(({ guard }) => ({ name: guard.name, message: guard.message, fix: guard.fix }));
      const closed = may.transitions.has(transition.name) ? [] : [{ name: 'permission', message: `You may not do this with this ${object.label}.`, fix: null }];
      const reasons = [...closed, ...failing];
      const { label, to, accepts, required } = transition;
      return { name: transition.name, label, to, allowed: reasons.length === 0, accepts, required, reasons };
    });
  };
}
