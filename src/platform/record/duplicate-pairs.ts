import type { Knex } from 'knex';
import { readRights, rightsFor, unknownRecord } from '../access/rights.ts';
import { readRowRights } from '../access/row-rights.sql.ts';
import type { CallContext } from '../access/types.ts';
import { inTransaction } from '../db.ts';
import { AppError } from '../errors.ts';
import { isUuid } from '../ids.ts';
import type { Reader } from '../query/reader.ts';
import { actorOf } from './actor.ts';
import { dismissPair, openPairs, pairById, type DuplicatePair } from './match.sql.ts';
import { matchRules } from './match-rules.ts';

/** Two live records that a rule takes for the same, both of which the caller may see. */
export interface ShownPair {
  readonly id: string;
  readonly object: string;
  readonly rule: string;
  readonly label: string;
  /** From 0 to 1. */
  readonly score: number;
  readonly foundAt: string;
  readonly records: readonly { readonly id: string; readonly name: string }[];
}

const MOST_PAIRS = 500;

/**
 * Open pairs of an object, the newest first, or those of one record. A rule that looks at fields which the caller may not
 * read lists nothing: that two records are alike would tell of them.
 * @throws AppError not_found for an object or record that the caller may not see
 */
export async function listDuplicates(reader: Reader, db: Knex, context: CallContext, object: string, record: string | null): Promise<readonly ShownPair[]> {
  readRights(context, object);
  if (record !== null) await reader.get(db, context, object, record, { fields: ['id'] });
  const found: ShownPair[] = [];
  let after: DuplicatePair | null = null;
  // Pairs of hidden records take no place in the answer.
  while (found.length < MOST_PAIRS) {
    const pairs: readonly DuplicatePair[] = await openPairs(db, { object, record, after, limit: MOST_PAIRS });
    found.push(...(await shown(reader, db, context, object, pairs)));
    after = pairs.at(-1) ?? null;
    if (pairs.length < MOST_PAIRS) break;
  }
  return found.slice(0, MOST_PAIRS);
}

async function shown(reader: Reader, db: Knex, context: CallContext, object: string, pairs: readonly DuplicatePair[]): Promise<readonly ShownPair[]> {
  const { readable, conditional, object: model } = rightsFor(context, object);
  const rules = new Map(matchRules(context.model, model).map((entry) => [entry.rule.name, entry]));
  const open = pairs.filter(({ rule }) => [...(rules.get(rule)?.fields ?? [''])].every((field) => readable.has(field) && !conditional.has(field)));
  const ids = [...new Set(open.flatMap(({ first, second }) => [first, second]))];
  const rights = await readRowRights(db, context, object, ids);
  const names = await reader.names(db, context, object, ids);
  const isSeen = (id: string): boolean => rights.get(id)?.canRead === true && rights.get(id)?.isTrashed === false;
  return open
    .filter(({ first, second }) => isSeen(first) && isSeen(second))
    .map(({ id, rule, score, foundAt, first, second }) => ({
      id,
      object,
      rule,
      label: rules.get(rule)?.rule.label ?? rule,
      score,
      foundAt,
      records: [first, second].map((entry) => ({ id: entry, name: names.get(entry) ?? '' })),
    }));
}

/**
 * Says that two records are not the same; the pair is not listed again. Needs the right to change one of them. Writes.
 * @throws AppError not_found, forbidden
 */
export function dismissDuplicate(reader: Reader, db: Knex, context: CallContext, id: string): Promise<void> {
  return inTransaction(db, async (tx) => {
    const pair = isUuid(id) ? await pairById(tx, id) : null;
    const known = pair === null || !rightsFor(context, pair.object).canRead ? [] : await shown(reader, tx, context, pair.object, [pair]);
    if (pair === null || known.length === 0) throw unknownRecord('pair', id);
    const rights = await readRowRights(tx, context, pair.object, [pair.first, pair.second]);
    if (![...rights.values()].some(({ canUpdate }) => canUpdate)) throw new AppError('forbidden', 'You may change neither of these records.');
    await dismissPair(tx, id, context.now, actorOf(context.principal));
  });
}
