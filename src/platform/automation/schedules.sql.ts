import type { Knex } from 'knex';
import type { Instant } from '../clock.ts';
import { toRfc3339 } from '../db.ts';
import { platformTable, rows, run, sql, type Sql } from '../sql.ts';

/** Where a timed rule stands: everything up to `scannedTo` has been turned into runs. */
export interface RuleSchedule {
  readonly ruleId: string;
  readonly definition: string;
  readonly nextDue: Instant;
  readonly scannedTo: Instant;
}

/** Takes the timed rule that is due first and holds its row, so that one process at a time makes its runs. */
export async function claimSchedule(tx: Knex.Transaction, now: Instant): Promise<RuleSchedule | null> {
  const [found] = await rows(
    tx,
    sql`select * from ${platformTable(tx, 'rule_schedule')} where next_due <= ${now}::timestamptz order by next_due, rule_id limit 1 for update skip locked`,
  );
  return found === undefined ? null : readSchedule(found);
}

/** Holds when some timed rule is due. */
export function isScheduleDue(db: Knex, now: Instant): Sql {
  return sql`exists (select from ${platformTable(db, 'rule_schedule')} where next_due <= ${now}::timestamptz)`;
}

/** Every timed rule's place. Reads only. */
export async function listSchedules(db: Knex): Promise<readonly RuleSchedule[]> {
  return (await rows(db, sql`select * from ${platformTable(db, 'rule_schedule')} order by rule_id`)).map(readSchedule);
}

/** Moves a timed rule on. */
export async function moveSchedule(tx: Knex.Transaction, ruleId: string, nextDue: Instant, scannedTo: Instant): Promise<void> {
  await run(
    tx,
    sql`update ${platformTable(tx, 'rule_schedule')} set next_due = ${nextDue}::timestamptz, scanned_to = ${scannedTo}::timestamptz where rule_id = ${ruleId}`,
  );
}

/** Says when a timed rule is due in the place of what was read of it, unless it was moved on meanwhile. */
export async function correctSchedule(tx: Knex.Transaction, known: RuleSchedule, nextDue: Instant): Promise<void> {
  await run(
    tx,
    sql`update ${platformTable(tx, 'rule_schedule')} set next_due = ${nextDue}::timestamptz
        where rule_id = ${known.ruleId} and next_due = ${known.nextDue}::timestamptz and scanned_to = ${known.scannedTo}::timestamptz`,
  );
}

/** Enters a timed rule, or gives it a changed definition; nothing before `now` is made up for. */
export async function putSchedule(tx: Knex.Transaction, entry: RuleSchedule): Promise<void> {
  await run(
    tx,
    sql`insert into ${platformTable(tx, 'rule_schedule')} as held (rule_id, definition, next_due, scanned_to)
        values (${entry.ruleId}, ${entry.definition}, ${entry.nextDue}::timestamptz, ${entry.scannedTo}::timestamptz)
        on conflict (rule_id) do update set definition = excluded.definition, next_due = excluded.next_due, scanned_to = excluded.scanned_to
        where held.definition <> excluded.definition`,
  );
}

/** Forgets timed rules that are no longer there. */
export async function removeSchedules(tx: Knex.Transaction, ruleIds: readonly string[]): Promise<void> {
  if (ruleIds.length > 0) await run(tx, sql`delete from ${platformTable(tx, 'rule_schedule')} where rule_id = any(${[...ruleIds]}::text[])`);
}

function readSchedule(row: Record<string, unknown>): RuleSchedule {
  return {
    ruleId: String(row['rule_id']),
    definition: String(row['definition']),
    nextDue: toRfc3339(String(row['next_due'])),
    scannedTo: toRfc3339(String(row['scanned_to'])),
  };
}
