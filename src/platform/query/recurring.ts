import { createHash } from 'node:crypto';
import type { Knex } from 'knex';
import { isTransaction, sqlState } from '../db.ts';
import { ready, rowArrays, type ReadyStatement } from '../sql.ts';

/** Sent so often, a text is worth a name: it is read and looked up once a connection instead of each time, a quarter of a short list. */
const OFTEN = 4;
/** Names live on in every connection. */
const MOST_NAMED = 400;
const MOST_COUNTED = 2_000;
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

/** What is known of the texts that were sent over the connections of one pool. */
interface Register {
  readonly texts: Map<string, Recurring>;
  named: number;
}

/** By the parameters that `db.ts` gives a pool, which its transactions share. */
const registers = new WeakMap<object, Register>();

function registerOf(db: Knex): Register {
  const known = registers.get(db.userParams) ?? { texts: new Map<string, Recurring>(), named: 0 };
  registers.set(db.userParams, known);
  return known;
}

/** Runs a statement whose text holds no values; one that recurs is prepared. */
export async function runRecurring(db: Knex, statement: ReadyStatement, values: readonly unknown[]): Promise<readonly (readonly unknown[])[]> {
  const known = recall(registerOf(db), statement);
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

function recall(register: Register, statement: ReadyStatement): Recurring {
  const { texts } = register;
  const { text } = statement;
  let known = texts.get(text);
  if (known === undefined) {
    if (texts.size >= MOST_COUNTED) forgetUnnamed(texts);
    known = { count: 0, named: null, avoidUntil: 0 };
    texts.set(text, known);
  }
  known.count += 1;
  if (known.named === null && known.count > OFTEN && register.named < MOST_NAMED) {
    known.named = ready(text, `recurring_${createHash('sha1').update(text).digest('base64url')}`);
    register.named += 1;
  }
  return known;
}

function forgetUnnamed(texts: Map<string, Recurring>): void {
  for (const [text, known] of texts) if (known.named === null) texts.delete(text);
}

const STALE_PLAN: readonly string[] = ['0A000', '26000', '42P05'];

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
