import { readRowRights } from '../access/row-rights.sql.ts';
import { AppError } from '../errors.ts';
import type { EvalContext } from '../expression/types.ts';
import { fail, pending, txOf, type Batch, type Entry, type Image } from './batch.ts';
import { readRecords } from './load.sql.ts';
import { keepPairs, lockKeys, recordsWithKeys, writeKeys, type FoundPair, type MatchKey } from './match.sql.ts';
import { matchKey, matchRules, scoreOf, type MatchRule } from './match-rules.ts';
import { evalContext, makeRelated } from './related.sql.ts';
import type { ObjectPlan } from './object-plan.ts';
import type { WriteItem } from './types.ts';

interface Found {
  readonly keys: readonly MatchKey[];
  readonly pairs: readonly FoundPair[];
  /** Records whose keys are written anew. */
  readonly ids: ReadonlySet<string>;
}

const found = new WeakMap<Batch, Found>();

/** True when a write cannot meet a duplicate rule: it needs no key held. */
export function isUnmatched({ model, object }: ObjectPlan, item: Extract<WriteItem, { kind: 'create' | 'update' }>): boolean {
  const rules = matchRules(model, object);
  return rules.length === 0 || (item.kind === 'update' && rules.every(({ fields }) => Object.keys(item.values).every((name) => !fields.has(name))));
}

/**
 * Looks for records that a duplicate rule takes for the ones about to be written. The keys are held first, in their order,
 * so that of two simultaneous saves the second sees the first. Ends entries that a rule refuses; pairs that are only to be
 * reported are written with the records. Merging and parting let duplicates pass: they are what these are about.
 */
export async function lookForDuplicates(batch: Batch): Promise<void> {
  const { plan, context } = batch;
  const rules = matchRules(context.model, plan.object);
  if (rules.length === 0) return;
  const asked = pending(batch).filter((entry) => entry.item.kind !== 'delete' && isAsked(entry, rules));
  const going = pending(batch).filter((entry) => entry.item.kind === 'delete');
  const ids = new Set([...asked, ...going].map((entry) => entry.id));
  if (ids.size === 0) return;
  const tx = txOf(batch);
  const evaluation = evalContext(context, makeRelated(), undefined);
  const keys = asked.flatMap((entry) => keysOf(batch, entry, rules, evaluation));
  await lockKeys(
    tx,
    keys.map(({ key }) => key),
  );
  const pairs = context.allowDuplicates === true ? [] : await judge(batch, asked, rules, keys, ids);
  const alive = new Set(asked.filter((entry) => entry.failure === null).map((entry) => entry.id));
  found.set(batch, { keys: keys.filter(({ id }) => alive.has(id)), pairs: pairs.filter(({ first, second }) => alive.has(first) || alive.has(second)), ids });
}

function isAsked(entry: Entry, rules: readonly MatchRule[]): boolean {
  if (entry.item.kind === 'create' || entry.item.kind === 'restore') return true;
  return rules.some(({ fields }) => entry.changed.some((name) => fields.has(name)));
}

function keysOf(batch: Batch, entry: Entry, rules: readonly MatchRule[], evaluation: EvalContext): readonly MatchKey[] {
  return rules.flatMap((rule) => {
    const key = matchKey(rule, batch.plan.object, entry.after, evaluation);
    return key === null ? [] : [{ rule: rule.id, key, id: entry.id }];
  });
}

interface Match {
  readonly id: string;
  readonly rule: MatchRule;
  readonly score: number;
}

async function judge(
  batch: Batch,
  asked: readonly Entry[],
  rules: readonly MatchRule[],
  keys: readonly MatchKey[],
  ids: ReadonlySet<string>,
): Promise<readonly FoundPair[]> {
  const { plan, context } = batch;
  const others = await recordsWithKeys(txOf(batch), keys, [...ids]);
  const images = await readRecords(txOf(batch), plan.object, [...new Set(others.map(({ id }) => id))], context.model.version);
  const known = new Map<string, { readonly id: string; readonly image: Image }[]>();
  for (const { key, id } of others) {
    const image = images.get(id);
    if (image !== undefined && image['deletedAt'] === null) known.set(key, [...(known.get(key) ?? []), { id, image }]);
  }
  const byEntry = new Map<string, MatchKey[]>();
  for (const key of keys) byEntry.set(key.id, [...(byEntry.get(key.id) ?? []), key]);
  const pairs: FoundPair[] = [];
  for (const entry of asked) {
    const own = byEntry.get(entry.id) ?? [];
    const matches = own.flatMap(({ rule: id, key }) => {
      const rule = rules.find((each) => each.id === id);
      return rule === undefined ? [] : (known.get(key) ?? []).flatMap((other): Match[] => scored(rule, entry, other));
    });
    const refusing = matches.filter(({ rule }) => rule.rule.action === 'refuse');
    if (refusing.length > 0) {
      fail(batch, entry, await refusal(batch, refusing));
      continue;
    }
    for (const { id, rule, score } of matches) {
      const [first = '', second = ''] = [entry.id, id].sort();
      pairs.push({ id: context.newId(), object: plan.object.name, rule: rule.rule.name, first, second, score });
    }
    // What stands later in the batch is held against what stands before it.
    for (const { key } of own) known.set(key, [...(known.get(key) ?? []), { id: entry.id, image: entry.after }]);
  }
  return pairs;
}

function scored(rule: MatchRule, entry: Entry, other: { readonly id: string; readonly image: Image }): Match[] {
  const score = scoreOf(rule, entry.after, other.image);
  return score === null ? [] : [{ id: other.id, rule, score }];
}

async function refusal(batch: Batch, matches: readonly Match[]): Promise<AppError> {
  const { plan, context } = batch;
  const { object } = plan;
  const rights = batch.rights === null ? null : await readRowRights(txOf(batch), context, object.name, [...new Set(matches.map(({ id }) => id))]);
  const seen = matches.filter(({ id }) => rights === null || rights.get(id)?.canRead === true);
  const duplicates = seen.map(({ id, rule, score }) => ({ object: object.name, id, rule: rule.rule.name, score }));
  // What may be seen is spoken of first: the answer is then the same with and without a hidden one.
  const rule = (seen[0] ?? matches[0])?.rule.rule;
  const detail = `There is a ${object.label} already that this one repeats: ${rule?.label ?? ''}.`;
  const errors = [{ pointer: '', code: 'duplicate', detail, rule: rule?.name ?? '', fix: 'Work on the record that is there, or correct the values.' }];
  return new AppError('conflict_unique', detail, { errors, extra: { duplicates } });
}

/** Writes the keys and pairs of what was written. */
export async function keepMatches(batch: Batch): Promise<void> {
  const kept = found.get(batch);
  if (kept === undefined) return;
  const tx = txOf(batch);
  await writeKeys(tx, [...kept.ids], kept.keys);
  await keepPairs(tx, kept.pairs, batch.context.now);
}
