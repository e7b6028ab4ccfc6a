import type { Knex } from 'knex';

/** Where references led before they changed: what history says already, found from the record that they led to. */
export async function up(tx: Knex.Transaction): Promise<void> {
  await tx.raw(`
  create table reference_move (
    field_id text collate "C" not null, target uuid not null, record_id uuid not null, version integer not null, at timestamptz(3) not null,
    primary key (target, field_id, record_id, version));
  insert into reference_move (field_id, target, record_id, version, at)
    select e.key, coalesce(e.value -> 0 ->> 'id', e.value ->> 0)::uuid, h.record_id, h.version, h.at
    from record_history h cross join lateral jsonb_each(h.changes) e
    where coalesce(e.value -> 0 ->> 'id', e.value ->> 0) ~ '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$'
    on conflict do nothing;
  `);
}
