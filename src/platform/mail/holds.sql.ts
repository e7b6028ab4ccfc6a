import type { Knex } from 'knex';
import { toRfc3339 } from '../db.ts';
import { AppError } from '../errors.ts';
import { wholeTable } from '../model/read-table.sql.ts';
import type { Model } from '../model/types.ts';
import { EMPTY, holds, ident, platformTable, rows, run, schemaOf, sql, type Sql } from '../sql.ts';
import { SUMMARY, toSummary, type DeliverySummary } from './mail.sql.ts';
import type { MailGroup } from './types.ts';

/** Why mail is held: the state of its record pauses clocks, too much of it came back or was complained about, or a person said so. */
export type HoldKind = 'state' | 'health' | 'person';

export interface MailHold {
  readonly object: string;
  readonly id: string;
  readonly kind: HoldKind;
  readonly reason: string;
  readonly at: string;
  readonly by: string;
  /** Mails that wait. */
  readonly waiting: number;
}

/** When mail that is held is due: not until it is let go. */
const NEVER = sql`'infinity'::timestamptz`;
const KINDS: readonly HoldKind[] = ['state', 'health', 'person'];

/** How the record of a group stands: mail waits while its state pauses clocks, and ends when its path has ended. */
export type Standing = 'open' | 'paused' | 'over';

interface Stops {
  /** The record's state, of those in which no mail leaves; none otherwise. */
  readonly state: Sql;
  readonly paused: readonly string[];
}

function stopsOf(db: Knex, model: Model | null, { object: name, id }: MailGroup): Stops | null {
  const object = model?.objects.get(name);
  const path = object?.path ?? null;
  const column = path === null ? null : (object?.fields.get(path.field)?.column ?? null);
  if (object === undefined || path === null || column === null) return null;
  const paused = path.states.filter(({ clock }) => clock === 'pause').map((state) => state.name);
  const over = path.states.filter(({ kind }) => kind !== 'open').map((state) => state.name);
  const state = sql`select ${ident(column)} as state from ${wholeTable(schemaOf(db), object)} where id = ${id}::uuid and ${ident(column)} = any(${[...paused, ...over]}::text[])`;
  return { state, paused };
}

/** How the record of a group stands now; one that is gone, or of an object that is gone, holds nothing up. */
export async function standingOf(db: Knex, model: Model | null, group: MailGroup): Promise<Standing> {
  const stops = stopsOf(db, model, group);
  if (stops === null) return 'open';
  const [row] = await rows(db, stops.state);
  return row === undefined ? 'open' : stops.paused.includes(String(row['state'])) ? 'paused' : 'over';
}

/** Holds while mail of this group may not leave; asked in the statement that marks a mail as being sent. */
export function isHeld(db: Knex, model: Model | null, group: MailGroup): Sql {
  const stops = stopsOf(db, model, group);
  const hold = platformTable(db, 'mail_hold');
  return sql`(exists (select from ${hold} where object = ${group.object} and record_id = ${group.id}::uuid and released_at is null)${stops === null ? EMPTY : sql` or exists (${stops.state})`})`;
}

/**
 * Whether mail of this group waits now. If so everything of it that is queued is set aside, so that nobody looks at it again
 * until it is let go; mails that others have in hand follow when these come to it.
 */
export async function setAside(tx: Knex.Transaction, standing: Standing, group: MailGroup, now: string, newId: string): Promise<boolean> {
  if (standing === 'paused') await insertHold(tx, { ...group, kind: 'state', reason: 'The record is paused.', at: now, by: 'system:mail' }, newId);
  else if (!(await holds(tx, isHeld(tx, null, group)))) return false;
  await run(
    tx,
    sql`update ${platformTable(tx, 'mail_delivery')} set next_attempt_at = ${NEVER}, lease_until = null
        where group_id = ${group.id}::uuid and group_object = ${group.object} and state = 'queued' and next_attempt_at < ${NEVER}
          and (lease_until is null or lease_until <= ${now}::timestamptz)`,
  );
  return true;
}

/** Groups of the mail that is due. */
export async function dueGroups(db: Knex, now: string): Promise<readonly MailGroup[]> {
  const found = await rows(
    db,
    sql`select distinct group_object as object, group_id::text as id from ${platformTable(db, 'mail_delivery')}
        where state = 'queued' and next_attempt_at <= ${now}::timestamptz and group_id is not null`,
  );
  return found.map((row) => ({ object: String(row['object']), id: String(row['id']) }));
}

/** Why a mail did not go whose record had ended before. */
export const OVER = 'What it belongs to ended before it was sent.';

/** Ends the due mail of a group whose record's path has ended, and answers it. */
export async function endGroup(tx: Knex.Transaction, group: MailGroup, now: string): Promise<readonly DeliverySummary[]> {
  const found = await rows(
    tx,
    sql`update ${platformTable(tx, 'mail_delivery')} set state = 'failed', last_error = ${OVER}, attempt = attempt + 1
        where group_id = ${group.id}::uuid and group_object = ${group.object} and state = 'queued' and next_attempt_at <= ${now}::timestamptz
          and (lease_until is null or lease_until <= ${now}::timestamptz) returning ${SUMMARY}`,
  );
  return found.map(toSummary);
}

/** Sets one mail aside that this attempt had in hand. */
export async function setAsideOne(tx: Knex.Transaction, id: string, attempt: number): Promise<void> {
  await run(
    tx,
    sql`update ${platformTable(tx, 'mail_delivery')} set next_attempt_at = ${NEVER}, lease_until = null
        where id = ${id}::uuid and attempt = ${attempt}::integer and state = 'queued'`,
  );
}

/** Begins a hold; false when there is one of this kind already. */
export async function insertHold(tx: Knex.Transaction, hold: Omit<MailHold, 'waiting'>, newId: string): Promise<boolean> {
  const inserted = await run(
    tx,
    sql`insert into ${platformTable(tx, 'mail_hold')} (id, object, record_id, kind, reason, at, actor)
        values (${newId}::uuid, ${hold.object}, ${hold.id}::uuid, ${hold.kind}, ${hold.reason}, ${hold.at}::timestamptz, ${hold.by})
        on conflict (object, record_id, kind) where released_at is null do nothing`,
  );
  return inserted === 1;
}

/** Ends the holds of some kinds and, where none is left, lets the mail go that waited. @returns how many holds ended */
export async function releaseHolds(tx: Knex.Transaction, group: MailGroup, kinds: readonly HoldKind[], now: string, by: string): Promise<number> {
  const ended = await run(
    tx,
    sql`update ${platformTable(tx, 'mail_hold')} set released_at = ${now}::timestamptz, released_by = ${by}
        where object = ${group.object} and record_id = ${group.id}::uuid and kind = any(${[...kinds]}::text[]) and released_at is null`,
  );
  if (ended > 0 && !(await holds(tx, isHeld(tx, null, group))))
    await run(
      tx,
      sql`update ${platformTable(tx, 'mail_delivery')} set next_attempt_at = ${now}::timestamptz
          where group_id = ${group.id}::uuid and group_object = ${group.object} and state = 'queued' and next_attempt_at = ${NEVER}`,
    );
  return ended;
}

/** Groups that are held for their state alone: looked at again each time mail is sent. */
export async function pausedGroups(db: Knex): Promise<readonly MailGroup[]> {
  const found = await rows(
    db,
    sql`select object, record_id::text as id from ${platformTable(db, 'mail_hold')} where kind = 'state' and released_at is null order by at`,
  );
  return found.map((row) => ({ object: String(row['object']), id: String(row['id']) }));
}

/** Holds that stand, oldest first, at most 200. */
export async function openHolds(db: Knex): Promise<readonly MailHold[]> {
  const found = await rows(
    db,
    sql`select object, record_id::text as id, kind, reason, at, actor,
          (select count(*)::integer from ${platformTable(db, 'mail_delivery')} d where d.group_id = h.record_id and d.group_object = h.object and d.state = 'queued') as waiting
        from ${platformTable(db, 'mail_hold')} h where released_at is null order by h.at, h.id limit 200`,
  );
  return found.map((row) => {
    const kind = KINDS.find((entry) => entry === row['kind']);
    if (kind === undefined) throw new AppError('internal', `A hold is of the unknown kind ${String(row['kind'])}.`);
    const { object, id, reason, at, actor, waiting } = row;
    return { object: String(object), id: String(id), kind, reason: String(reason), at: toRfc3339(String(at)), by: String(actor), waiting: Number(waiting) };
  });
}

/** What became of the mails of a group since its last hold for health ended. */
export async function groupFigures(db: Knex, group: MailGroup): Promise<{ readonly sent: number; readonly bounced: number; readonly complained: number }> {
  const [row] = await rows(
    db,
    sql`select count(*) filter (where state in ('sent', 'captured', 'unknown') or (state = 'bounced' and attempt > 0))::integer as sent,
          count(*) filter (where state = 'bounced' and attempt > 0)::integer as bounced, count(complained_at)::integer as complained
        from ${platformTable(db, 'mail_delivery')} where group_id = ${group.id}::uuid and group_object = ${group.object}
          and coalesce(sent_at, next_attempt_at) > coalesce((select max(released_at) from ${platformTable(db, 'mail_hold')}
            where object = ${group.object} and record_id = ${group.id}::uuid and kind = 'health'), '-infinity'::timestamptz)`,
  );
  return { sent: Number(row?.['sent'] ?? 0), bounced: Number(row?.['bounced'] ?? 0), complained: Number(row?.['complained'] ?? 0) };
}

/** Marks a mail as complained about; false when it was before. */
export async function markComplained(tx: Knex.Transaction, id: string, at: string): Promise<boolean> {
  const touched = await run(
    tx,
    sql`update ${platformTable(tx, 'mail_delivery')} set complained_at = ${at}::timestamptz where id = ${id}::uuid and complained_at is null and state <> 'queued'`,
  );
  return touched === 1;
}
