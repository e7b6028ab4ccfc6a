import type { Knex } from 'knex';
import { platformTable, rows, sql } from '../sql.ts';

/** A reference that led elsewhere until now. */
export interface Move {
  readonly field: string;
  readonly target: string;
  readonly record: string;
  readonly version: number;
}

/** Notes where references led before they changed, so that the lists of an earlier moment can be found from the record they led to. */
export async function noteMoves(tx: Knex.Transaction, moves: readonly Move[], at: string): Promise<void> {
  if (moves.length === 0) return;
  await rows(
    tx,
    sql`insert into ${platformTable(tx, 'reference_move')} (field_id, target, record_id, version, at)
        select field, target, record, version, ${at}::timestamptz from jsonb_to_recordset(${JSON.stringify(moves)}::jsonb) as r(field text, target uuid, record uuid, version int)`,
    { name: 'reference_moves' },
  );
}
