import type { Knex } from 'knex';
import { platformTable, rows, sql } from '../sql.ts';

/**
 * Takes `count` numbers of each field's sequence, in one statement; answers the first number of each by field id.
 * The counter stays locked until the transaction ends, so that a rolled back record leaves no gap.
 */
export async function takeNumbers(tx: Knex.Transaction, fieldIds: readonly string[], count: number): Promise<ReadonlyMap<string, bigint>> {
  if (fieldIds.length === 0 || count === 0) return new Map();
  const found = await rows(
    tx,
    sql`insert into ${platformTable(tx, 'sequence_counter')} as c (field_id, value) select f, ${count}::bigint from unnest(${[...fieldIds].sort()}::text[]) as f
        on conflict (field_id) do update set value = c.value + excluded.value returning c.field_id, c.value - ${count}::bigint + 1 as first`,
  );
  return new Map(found.map((row) => [String(row['field_id']), BigInt(String(row['first']))]));
}

/** `CASE-{000000}` and 42 make `CASE-000042`; a number longer than the zeros keeps all its digits. */
export function formatNumber(template: string, value: bigint): string {
  return template.replace(/\{(0+)\}/, (_, zeros: string) => value.toString().padStart(zeros.length, '0'));
}
