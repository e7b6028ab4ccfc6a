import type { Knex } from 'knex';
import { principalKey, rightsFor, type Rights } from '../access/rights.ts';
import { callerParts } from '../access/row-parts.ts';
import { seenIds } from '../access/secure.sql.ts';
import type { CallContext } from '../access/types.ts';
import type { Model } from '../model/types.ts';
import { rows, sql } from '../sql.ts';

/**
 * Up to so many rows are looked for first, by the indexes of the rules; beyond, walking the order of the list meets visible rows
 * soon. Fetching 5,000 rows by their ids and sorting them takes about as long as meeting 50 of them among 500,000.
 */
const FEW = 5_000;
/** A caller's sight is counted anew after this time. */
const KEPT_MS = 60_000;
const MOST_KEPT = 10_000;

/**
 * Looking first for `seen` rows costs about as much as meeting six times their number in the order of an index (list of 50 of 100,000
 * providers, 1,000 of them seen: 239 against 367 requests/s, `npm run bench -- --only "that is seen"`).
 */
const COST_OF_SEEN = 6;

interface Sight {
  /** How many rows the caller sees; null when they are more than few. */
  readonly seen: number | null;
  /** How many rows there are, as the planner knows it. */
  readonly of: number;
  readonly until: number;
}

const sights = new WeakMap<Model, Map<string, Sight>>();

/**
 * The call, told whether the caller sees few rows of the object only. Reads at most once a minute for a caller and an object,
 * and only where row rules are about the caller; how it answers changes the plan of later statements, never their answer.
 * @param wanted how many rows are wanted in the order of an index, without any condition; null when all are looked at
 */
export async function sighted(db: Knex, ctx: CallContext, object: string, wanted: number | null = null): Promise<CallContext> {
  if (!ctx.model.objects.has(object)) return ctx;
  const rights = rightsFor(ctx, object);
  if (callerParts(rights) === null) return ctx;
  const ofModel = sights.get(ctx.model) ?? new Map<string, Sight>();
  sights.set(ctx.model, ofModel);
  const key = `${object} ${callerOf(ctx)} ${principalKey(ctx.principal)}`;
  const now = Date.parse(ctx.now);
  const found = ofModel.get(key);
  const sight = found !== undefined && found.until > now ? found : { ...(await look(db, ctx, rights)), until: now + KEPT_MS };
  if (sight !== found) {
    if (ofModel.size >= MOST_KEPT) ofModel.clear();
    ofModel.set(key, sight);
  }
  const { seen, of } = sight;
  const isNarrow = seen !== null && (wanted === null || wanted * of > COST_OF_SEEN * seen * seen);
  return isNarrow ? { ...ctx, narrow: new Set([...(ctx.narrow ?? []), object]) } : ctx;
}

function callerOf({ principal }: CallContext): string {
  if (principal.kind === 'user') return principal.userId;
  return principal.kind === 'portal' ? principal.subject.id : principal.kind;
}

async function look(db: Knex, ctx: CallContext, rights: Rights): Promise<Pick<Sight, 'seen' | 'of'>> {
  const ids = seenIds(ctx, rights);
  if (ids === null) return { seen: null, of: 0 };
  const table = `"${ctx.model.schema}"."${rights.object.table}"`;
  const [row] = await rows(
    db,
    sql`select (select count(*)::int from (select 1 from (${ids}) as s limit ${FEW + 1}::int) as c) as seen, (select reltuples from pg_class where oid = ${table}::regclass) as of`,
  );
  const seen = Number(row?.['seen']);
  return { seen: seen > FEW ? null : seen, of: Number(row?.['of']) };
}
