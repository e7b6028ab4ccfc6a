import { createHash } from 'node:crypto';
import type { Knex } from 'knex';
import { sqlState } from '../db.ts';
import { STALE_PLAN } from '../prepared.ts';
import { Recent } from '../recent.ts';
import { isTransaction, mayPrepare, ready, rowArrays, type ReadyStatement } from '../sql.ts';

/** Sent so often, a text is worth a name: it is read and looked up once a connection instead of each time, a quarter of a short list. */
const OFTEN = 4;
/** Texts that are counted. How many names a connection keeps is the matter of `prepared.ts`. */
const MOST_COUNTED = 1_000;
/**
 * PostgreSQL may keep one plan for all values of a named statement, which serves rare values badly where it suits common ones. A
 * run that takes so long is followed by a minute in which the text is planned for its values each time.
 */
const LONG_MS = 250;
const AVOID_MS = 60_000;

interface Recurring {
  count: number;
  named: ReadyStatement | null;
  avoidUntil: number;
}

/** The texts that were sent over the connections of one pool, by the parameters that `db.ts` gives it, which its transactions share. */
const registers = new WeakMap<object, Recent<string, Recurring>>();

function registerOf(db: Knex): Recent<string, Recurring> {
  const known = registers.get(db.userParams);
  if (known !== undefined) return known;
  const made = new Recent<string, Recurring>(MOST_COUNTED);
  registers.set(db.userParams, made);
  return made;
}

/** Runs a statement whose text holds no values; one that recurs is prepared. */
export async function runRecurring(db: Knex, statement: ReadyStatement, values: readonly unknown[]): Promise<readonly (readonly unknown[])[]> {
  if (!mayPrepare(db)) return rowArrays(db, statement, values);
  const known = recall(registerOf(db), statement.text);
  let start = performance.now();
  if (known.named === null || known.avoidUntil > start) return runPrepared(db, statement, values);
  // The wait for a connection says nothing of the plan.
  const answer = await runPrepared(db, known.named, values, () => {
    start = performance.now();
  });
  const end = performance.now();
  if (end - start > LONG_MS) known.avoidUntil = end + AVOID_MS;
  return answer;
}

function recall(texts: Recent<string, Recurring>, text: string): Recurring {
  let known = texts.get(text);
  if (known === undefined) {
    known = { count: 0, named: null, avoidUntil: 0 };
    texts.set(text, known);
  }
  known.count += 1;
  // The name says the text, so that a text which was forgotten and recurs has the name that connections may still have.
  if (known.count > OFTEN) known.named ??= ready(text, `recurring_${createHash('sha1').update(text).digest('base64url')}`);
  return known;
}

/**
 * A plan that a schema change made stale is prepared
 * once more; inside a transaction, which the failure has ended, the caller tries again as a whole.
 */
async function runPrepared(
  db: Knex,
  statement: ReadyStatement,
  values: readonly unknown[],
  onConnected?: () => void,
): Promise<readonly (readonly unknown[])[]> {
  try {
    return await rowArrays(db, statement, values, onConnected);
  } catch (error) {
    const state = sqlState(error);
    if (statement.prepared === null || isTransaction(db) || state === undefined || !STALE_PLAN.includes(state)) throw error;
    return rowArrays(db, { ...statement, prepared: null }, values);
  }
}
