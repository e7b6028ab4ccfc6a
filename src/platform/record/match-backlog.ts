import type { Knex } from 'knex';
import type { CallContext } from '../access/types.ts';
import { inTransaction } from '../db.ts';
import type { ObjectModel } from '../model/types.ts';
import { matchingIds } from '../query/matching.ts';
import { readRecords } from './load.sql.ts';
import { forgetOtherRules, keepPairs, lockKeys, noteProgress, recordsWithKeys, takeProgress, writeKeys, type FoundPair, type MatchKey } from './match.sql.ts';
import { matchKey, matchRules, scoreOf, type MatchRule } from './match-rules.ts';
import { evalContext, makeRelated } from './related.sql.ts';

const BLOCK = 1_000;

export interface MatchBacklog {
  readonly name: string;
  readonly everySeconds: number;
  /** Looks at one block of records that a rule has not seen; answers how many there were. */
  readonly run: (db: Knex) => Promise<number>;
}

/**
 * Gives the records that were there before a duplicate rule their keys, block by block, and lists the pairs among them. What
 * was looked at is remembered, so that a stopped worker goes on; every record is seen once, also by several workers.
 */
export function makeMatchBacklog(options: { readonly context: () => Promise<CallContext> }): MatchBacklog {
  let settled = -1;
  return {
    name: 'matching',
    everySeconds: 5,
    run: async (db) => {
      const context = await options.context();
      if (settled === context.model.version) return 0;
      const rules = [...context.model.objects.values()].flatMap((object) => matchRules(context.model, object).map((rule) => ({ object, rule })));
      for (const { object, rule } of rules) {
        const seen = await inTransaction(db, (tx) => lookAtBlock(tx, context, object, rule));
        if (seen > 0) return seen;
      }
      await inTransaction(db, (tx) =>
        forgetOtherRules(
          tx,
          rules.map(({ rule }) => rule.id),
        ),
      );
      settled = context.model.version;
      return 0;
    },
  };
}

async function lookAtBlock(tx: Knex.Transaction, context: CallContext, object: ObjectModel, rule: MatchRule): Promise<number> {
  const progress = await takeProgress(tx, rule.id);
  if (progress === null || progress.isDone) return 0;
  const ids = await matchingIds(tx, context, object.name, null, { after: progress.after, limit: BLOCK });
  const evaluation = evalContext(context, makeRelated(), undefined);
  const read = await readRecords(tx, object, ids, context.model.version);
  const first = [...read].flatMap(([id, image]): MatchKey[] => keyOf(rule, object, id, image, evaluation));
  // Whoever writes one of these records holds its key, or waits for it here; so they are read again under the keys.
  await lockKeys(
    tx,
    first.map(({ key }) => key),
  );
  const images = await readRecords(tx, object, ids, context.model.version);
  const keys = [...images].flatMap(([id, image]): MatchKey[] => (image['deletedAt'] === null ? keyOf(rule, object, id, image, evaluation) : []));
  await writeKeys(tx, [], keys);
  if (rule.rule.action === 'report') await keepPairs(tx, await pairsOf(tx, context, object, rule, keys, images), context.now);
  await noteProgress(tx, rule.id, ids.at(-1) ?? null, ids.length < BLOCK);
  return ids.length;
}

function keyOf(
  rule: MatchRule,
  object: ObjectModel,
  id: string,
  image: Readonly<Record<string, unknown>>,
  evaluation: ReturnType<typeof evalContext>,
): MatchKey[] {
  const key = matchKey(rule, object, image, evaluation);
  return key === null ? [] : [{ rule: rule.id, key, id }];
}

async function pairsOf(
  tx: Knex.Transaction,
  context: CallContext,
  object: ObjectModel,
  rule: MatchRule,
  keys: readonly MatchKey[],
  images: ReadonlyMap<string, Readonly<Record<string, unknown>>>,
): Promise<readonly FoundPair[]> {
  const others = await recordsWithKeys(tx, keys, []);
  const missing = [...new Set(others.map(({ id }) => id))].filter((id) => !images.has(id));
  const all = new Map([...images, ...(await readRecords(tx, object, missing, context.model.version))]);
  const byKey = new Map<string, string[]>();
  for (const { key, id } of others) byKey.set(key, [...(byKey.get(key) ?? []), id]);
  const pairs = new Map<string, FoundPair>();
  for (const { key, id } of keys) {
    for (const other of byKey.get(key) ?? []) {
      const [left, right] = [all.get(id), all.get(other)];
      if (other === id || left === undefined || right === undefined || right['deletedAt'] !== null) continue;
      const score = scoreOf(rule, left, right);
      const [first = '', second = ''] = [id, other].sort();
      if (score !== null) pairs.set(`${first} ${second}`, { id: context.newId(), object: object.name, rule: rule.rule.name, first, second, score });
    }
  }
  return [...pairs.values()];
}
