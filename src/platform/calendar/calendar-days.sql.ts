import type { Knex } from 'knex';
import { platformTable, run, sql } from '../sql.ts';
import { calendarDays, type Calendars } from './calendars.ts';

/**
 * Writes the days of all calendars into `calendar_day`, where SQL counts business days; days that are right already are
 * not touched. Answers how many rows it changed.
 */
export async function fillCalendarDays(tx: Knex.Transaction, calendars: Calendars): Promise<number> {
  const table = platformTable(tx, 'calendar_day');
  let changed = await run(tx, sql`delete from ${table} where not calendar = any(${[...calendars.all.keys()]}::text[])`);
  for (const calendar of calendars.all.values()) {
    const days = [...calendarDays(calendar)];
    changed += await run(
      tx,
      sql`insert into ${table} as old (calendar, day, ordinal, is_open)
        select ${calendar.name}::text, new.day, new.ordinal, new.is_open
        from unnest(${days.map((day) => day.day)}::date[], ${days.map((day) => day.ordinal)}::integer[], ${days.map((day) => day.isOpen)}::boolean[]) as new (day, ordinal, is_open)
        on conflict (calendar, day) do update set ordinal = excluded.ordinal, is_open = excluded.is_open
        where (old.ordinal, old.is_open) is distinct from (excluded.ordinal, excluded.is_open)`,
    );
  }
  return changed;
}
