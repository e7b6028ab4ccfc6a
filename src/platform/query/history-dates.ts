import type { RecordDates } from '../access/row-rights.sql.ts';
import { sql, type Sql } from '../sql.ts';

/** Clocks of servers differ, and a record may be changed between being read and its history being read: a year's edge is passed by this. */
const LEEWAY_MS = 86_400_000;

/**
 * That a version was written while these records were, by their own dates: PostgreSQL then looks into the partitions of those years only. Whoever
 * reads by it looks afterwards whether all is there (`isComplete`), and reads all partitions where it is not: a clock that was set wrong by
 * more than a day, or a history whose older partitions were taken away, costs time and hides nothing.
 */
export function writtenWithin(at: Sql, records: readonly RecordDates[]): Sql {
  const from = records.map(({ createdAt }) => Date.parse(createdAt)).reduce((least, ms) => Math.min(least, ms), Infinity);
  const to = records.map(({ updatedAt }) => Date.parse(updatedAt)).reduce((most, ms) => Math.max(most, ms), -Infinity);
  if (from > to + LEEWAY_MS || records.length === 0) return sql`true`;
  return sql`${at} >= ${instantOf(from - LEEWAY_MS)}::timestamptz and ${at} <= ${instantOf(to + LEEWAY_MS)}::timestamptz`;
}

const instantOf = (ms: number): string => new Date(ms).toISOString();

/** True when no version between `from` and the record's own is missing. */
export function isComplete(versions: ReadonlySet<number>, { version }: RecordDates, from = 1): boolean {
  for (let expected = version; expected >= from; expected -= 1) if (!versions.has(expected)) return false;
  return true;
}
