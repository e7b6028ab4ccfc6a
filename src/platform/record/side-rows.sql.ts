import type { Knex } from 'knex';
import type { CallContext, Cause } from '../access/types.ts';
import { keyword, platformTable, rows, sql, type Sql } from '../sql.ts';

/** What is written beside a record, in its transaction. */
export interface SideRow {
  readonly id: string;
  readonly version: number;
  readonly kind: 'created' | 'updated' | 'deleted' | 'restored';
  readonly action: string;
  /** Field id -> [old, new]; empty for a create, whose values stand in the record. */
  readonly changes: Readonly<Record<string, readonly [unknown, unknown]>>;
  /** Where it is not the call's own. */
  readonly cause?: Cause;
}

export interface EventSideRow {
  readonly id: string;
  readonly record_id: string | null;
  readonly record_ids: readonly string[] | null;
  readonly kind: SideRow['kind'];
  readonly before: Readonly<Record<string, unknown>> | null;
  readonly after: Readonly<Record<string, unknown>> | null;
  readonly changed: readonly string[];
  readonly transition: string | null;
  /** Where they are not the call's own. */
  readonly cause?: Cause;
  readonly depth?: number;
}

export interface SearchSideRow {
  readonly record_id: string;
  readonly class: string;
  readonly keys: string;
}

export interface SideRows {
  readonly records: readonly SideRow[];
  readonly events: readonly EventSideRow[];
  /** New search entries; every entry of `unlisted` is taken away first. */
  readonly listed: readonly SearchSideRow[];
  readonly unlisted: readonly string[];
  /** Records whose search entries the worker makes (`search-backlog.sql.ts`). */
  readonly later: readonly string[];
}

/** From this many new records on, their ids alone are sent: everything else in their history and audit rows is the same. */
const MANY = 50;

/** How many rules led here. */
export function depthOf(cause: Cause): number {
  return cause.kind === 'rule' ? cause.chain.length : 0;
}

/** The records of a batch, as rows that history and audit are made from. */
function recordRows(records: readonly SideRow[]): Sql {
  const [first] = records;
  const isAlike = records.length >= MANY && records.every(({ version, action, cause }) => version === 1 && action === 'create' && cause === undefined);
  if (!isAlike || first === undefined)
    return sql`select * from jsonb_to_recordset(${JSON.stringify(records)}::jsonb) as r(id uuid, version int, kind text, action text, changes jsonb, cause jsonb)`;
  return sql`select id, 1 as version, ${first.kind}::text as kind, ${first.action}::text as action, '{}'::jsonb as changes, null::jsonb as cause
    from unnest(${records.map(({ id }) => id)}::uuid[]) as r(id)`;
}

/** History, audit, events and search entries of a batch: one statement, two when search entries go away. */
export async function writeSideRows(
  tx: Knex.Transaction,
  context: CallContext,
  object: { readonly id: string; readonly name: string },
  actor: string,
  side: SideRows,
): Promise<void> {
  const cause = JSON.stringify(context.cause);
  const depth = depthOf(context.cause);
  const requestId = context.cause.kind === 'request' ? context.cause.requestId : null;
  const at = context.now;
  const search = platformTable(tx, 'search_entry');
  if (side.unlisted.length > 0) await rows(tx, sql`delete from ${search} where object = ${object.name} and record_id = any(${[...side.unlisted]}::uuid[])`);
  const listing =
    side.listed.length === 0
      ? keyword('')
      : sql`, s as (insert into ${search} as e (object, record_id, class, keys)
          select ${object.name}, r.record_id, r.class, r.keys from jsonb_to_recordset(${JSON.stringify(side.listed)}::jsonb) as r(record_id uuid, class text, keys text)
          on conflict (object, record_id, class) do update set keys = excluded.keys)`;
  // The event of a block also says of each of its records that it is open (jobs/events.ts).
  const isBlock = side.events.some((event) => event.record_ids !== null);
  const members = isBlock
    ? sql` returning seq, record_ids), m as (insert into ${platformTable(tx, 'event_member')} (record_id, seq)
          select distinct unnest(record_ids), seq from e where record_ids is not null`
    : keyword('');
  const eventing =
    side.events.length === 0
      ? keyword('')
      : sql`, e as (insert into ${platformTable(tx, 'event')} (id, object, record_id, record_ids, kind, at, before, after, changed, transition, cause, actor, depth)
          select r.id, ${object.name}, r.record_id, r.record_ids, r.kind, ${at}::timestamptz, r.before, r.after, r.changed, r.transition, coalesce(r.cause, ${cause}::jsonb), ${actor}, coalesce(r.depth, ${depth}::int)
          from jsonb_to_recordset(${JSON.stringify(side.events)}::jsonb) as r(id uuid, record_id uuid, record_ids uuid[], kind text, before jsonb, after jsonb, changed text[], transition text, cause jsonb, depth int)${members})`;
  const backlog =
    side.later.length === 0
      ? keyword('')
      : sql`, b as (insert into ${platformTable(tx, 'search_backlog')} (object, record_ids) values (${object.name}, ${[...side.later]}::uuid[]))`;
  const isNamed = side.records.length < MANY;
  await rows(
    tx,
    sql`with w as materialized (${recordRows(side.records)}),
        h as (insert into ${platformTable(tx, 'record_history')} (object_id, record_id, version, kind, at, actor, cause, reason, changes)
          select ${object.id}, id, version, kind, ${at}::timestamptz, ${actor}, coalesce(cause, ${cause}::jsonb), ${context.reason ?? null}::text, changes from w),
        a as (insert into ${platformTable(tx, 'audit_entry')} (at, actor, action, object, record_id, record_version, request_id)
          select ${at}::timestamptz, ${actor}, action, ${object.name}, id, version, ${requestId}::text from w)${listing}${eventing}${backlog} select 1`,
    !isNamed ? {} : { name: `side_${side.listed.length > 0 ? 's' : ''}${side.events.length > 0 ? 'e' : ''}${isBlock ? 'b' : ''}` },
  );
}
