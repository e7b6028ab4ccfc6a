import type { CallContext } from '../access/types.ts';
import { compileJs } from '../expression/to-js.ts';
import type { EvalContext, TypedExpression } from '../expression/types.ts';
import { inputsOf } from '../model/rollups.ts';
import type { FieldModel, Model, ObjectModel, RollupModel } from '../model/types.ts';
import type { Entry, Image } from './batch.ts';
import { isSame, rowOf, targetOf } from './images.ts';
import type { Evaluate } from './object-plan.ts';
import { evalContext, makeRelated } from './related.sql.ts';
import type { Delta } from './rollups.sql.ts';

/** A roll-up somewhere that looks at the records of an object. */
export interface Feed {
  readonly parent: ObjectModel;
  readonly field: FieldModel;
  readonly rollup: RollupModel;
  readonly via: FieldModel;
  readonly counts: Evaluate | null;
  readonly value: Evaluate | null;
  /** Names of the fields that a change must concern for the roll-up to change, those under stored formulas among them. */
  readonly inputs: ReadonlySet<string>;
  /** It is made of roll-ups in turn. */
  readonly isOverRollups: boolean;
}

const feeds = new WeakMap<ObjectModel, readonly Feed[]>();

/** The roll-ups that look at the records of an object; none for most objects, whose writes then pay nothing. */
export function feedsOf(model: Model, object: ObjectModel): readonly Feed[] {
  const known = feeds.get(object);
  if (known !== undefined) return known;
  const made = [...model.objects.values()].flatMap((parent) => [...parent.fields.values()].flatMap((field) => feedOf(model, object, parent, field) ?? []));
  feeds.set(object, made);
  return made;
}

function feedOf(model: Model, object: ObjectModel, parent: ObjectModel, field: FieldModel): Feed | null {
  const { rollup } = field;
  const via = rollup?.object === object.name ? object.fields.get(rollup.via) : undefined;
  if (rollup === null || via === undefined) return null;
  const compile = (expression: TypedExpression | null): Evaluate | null => (expression === null ? null : compileJs(expression, model.expressions));
  const read = inputsOf(model.objects, field).map((input) => input.field);
  const under = read.flatMap((input) => input.formula?.reads.flatMap(({ steps }) => steps[0]?.field ?? []) ?? []);
  return {
    parent,
    field,
    rollup,
    via,
    counts: compile(rollup.filter),
    value: compile(rollup.value),
    inputs: new Set([via.name, ...read.map((input) => input.name), ...under]),
    isOverRollups: read.some((input) => input.rollup !== null),
  };
}

/** Written at every change, whatever the caller sends. */
const ALWAYS: readonly string[] = ['version', 'updatedAt', 'updatedBy'];

/** Whether a write may change a roll-up; what it really does is known only when its images are. */
export function mayTouch(feed: Feed, { item, sent }: Pick<Entry, 'item' | 'sent'>): boolean {
  if (item.kind === 'create') return (sent.get(feed.via.name) ?? null) !== null;
  if (item.kind !== 'update') return true;
  return ALWAYS.some((name) => feed.inputs.has(name)) || [...sent.keys()].some((name) => feed.inputs.has(name));
}

/** A record before and after a write; null where it was not there. */
export interface Change {
  readonly before: Image | null;
  readonly after: Image | null;
}

/** What a set of changes does to roll-ups elsewhere. */
export interface Effects {
  /** Records to count anew: by object, the roll-ups that are concerned. */
  readonly recounts: ReadonlyMap<ObjectModel, { readonly fields: Set<FieldModel>; readonly ids: Set<string> }>;
  readonly deltas: readonly Delta[];
}

/** What a record adds to a roll-up; null when it does not count for any. */
interface Share {
  readonly parent: string;
  readonly value: string | null;
  readonly order: unknown;
}

function shareOf(feed: Feed, object: ObjectModel, image: Image | null, evaluation: EvalContext): Share | null {
  if (image === null || image['deletedAt'] !== null) return null;
  const target = targetOf(feed.via, image[feed.via.name]);
  if (target?.object !== feed.parent.name) return null;
  const row = rowOf(object, image);
  if (feed.counts !== null && feed.counts(row, evaluation) !== true) return null;
  const value = feed.value === null ? null : feed.value(row, evaluation);
  return { parent: target.id, value: value === null ? null : String(value), order: feed.rollup.op === 'last' ? image[feed.rollup.orderBy] : null };
}

/** What changes of an object's records do to the roll-ups that look at them. */
export function effectsOf(context: CallContext, object: ObjectModel, changes: readonly Change[]): Effects {
  const recounts = new Map<ObjectModel, { fields: Set<FieldModel>; ids: Set<string> }>();
  const deltas: Delta[] = [];
  const evaluation = evalContext(context, makeRelated(), undefined);
  for (const feed of feedsOf(context.model, object)) {
    for (const { before, after } of changes) {
      const was = shareOf(feed, object, before, evaluation);
      const is = shareOf(feed, object, after, evaluation);
      if (isSame(was, is)) continue;
      if (feed.rollup.deltas === null) {
        const known = recounts.get(feed.parent) ?? { fields: new Set<FieldModel>(), ids: new Set<string>() };
        recounts.set(feed.parent, known);
        known.fields.add(feed.field);
        for (const share of [was, is]) if (share !== null) known.ids.add(share.parent);
      } else {
        const amount = (share: Share): string => (feed.rollup.op === 'count' ? '1' : (share.value ?? '0'));
        if (was !== null) deltas.push({ field: feed.field.id, record: was.parent, plus: '0', minus: amount(was) });
        if (is !== null) deltas.push({ field: feed.field.id, record: is.parent, plus: amount(is), minus: '0' });
      }
    }
  }
  return { recounts, deltas };
}
