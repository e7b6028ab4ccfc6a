import type { Knex } from 'knex';
import { rightsFor, type Rights } from '../access/rights.ts';
import type { CallContext } from '../access/types.ts';
import { compileJs } from '../expression/to-js.ts';
import type { ReadPath } from '../expression/types.ts';
import { fieldType } from '../model/field-types.ts';
import type { FieldModel } from '../model/types.ts';
import type { RecordData } from '../query/types.ts';
import type { Image } from './batch.ts';
import { rowOf } from './images.ts';
import { expandReads, type Evaluate } from './object-plan.ts';
import { evalContext, makeRelated, preload, type PolicyLookup } from './related.sql.ts';

/** How a record that was just written is answered without reading it back. */
interface AnswerPlan {
  readonly stored: readonly string[];
  readonly computed: readonly { readonly field: FieldModel; readonly evaluate: Evaluate }[];
  readonly reads: readonly ReadPath[];
}

const plans = new WeakMap<Rights, AnswerPlan | null>();

/**
 * The record as the caller may read it, made from what was written; formulas are computed by their JavaScript form, which
 * agrees with the database's. Answers null when only the database can say it: a row rule or a mask depends on the row.
 */
export async function answerOf(
  db: Knex,
  context: CallContext,
  object: string,
  image: Image | null,
  policies: PolicyLookup | undefined,
): Promise<RecordData | null> {
  const id = image?.['id'];
  const rights = rightsFor(context, object);
  const plan = planFor(context, rights);
  if (plan === null || image === null || typeof id !== 'string') return null;
  const record: Record<string, unknown> & { id: string; version: number } = { id, version: Number(image['version']) };
  for (const name of plan.stored) record[name] = image[name] ?? null;
  if (plan.computed.length === 0) return record;
  const row = rowOf(rights.object, image);
  const related = makeRelated();
  await preload(db, context.model, rights.object, [row], plan.reads, related);
  const evaluation = evalContext(context, related, policies);
  for (const { field, evaluate } of plan.computed) record[field.name] = fieldType(field).format(evaluate(row, evaluation));
  return record;
}

/** True when `answerOf` will have an answer for this caller. */
export function isAnswerable(context: CallContext, object: string): boolean {
  return planFor(context, rightsFor(context, object)) !== null;
}

function planFor(context: CallContext, rights: Rights): AnswerPlan | null {
  const known = plans.get(rights);
  if (known !== undefined) return known;
  const made = isOpen(rights) ? makePlan(context, rights) : null;
  plans.set(rights, made);
  return made;
}

/** True when the caller may read every row, and the same fields in each. */
function isOpen(rights: Rights): boolean {
  return rights.readGrants.some((grant) => grant.read.kind === 'all') && rights.conditional.size === 0;
}

function makePlan(context: CallContext, rights: Rights): AnswerPlan | null {
  const { model } = context;
  const fields = [...rights.object.fields.values()].filter((field) => rights.readable.has(field.name) && field.name !== 'deletedAt');
  const computed = fields.flatMap((field) => (field.formula === null ? [] : [{ field, formula: field.formula }]));
  if (fields.some((field) => field.column === null && field.formula === null)) return null;
  const reads = computed.flatMap(({ formula }) => formula.reads);
  // What a formula sees of other records depends on the caller's rights on them.
  const others = new Set(expandReads(model, reads).flatMap((read) => read.steps.slice(1).map((step) => step.object)));
  if (![...others].every((name) => isOpen(rightsFor(context, name)))) return null;
  return {
    stored: fields.filter((field) => field.formula === null).map((field) => field.name),
    computed: computed.map(({ field, formula }) => ({ field, evaluate: compileJs(formula, model.expressions) })),
    reads,
  };
}
