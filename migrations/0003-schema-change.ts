import type { Knex } from 'knex';

/**
 * What changing the schema while people work needs to remember: names and files of each version, columns that were left,
 * values that are being carried over, and who runs on which version.
 */
export async function up(tx: Knex.Transaction): Promise<void> {
  await tx.raw(`
  alter table metadata_version
    add column files json, add column package_files json, add column names json, add column plan_hash text, add column note text;
  update metadata_version set names = (
    select json_agg(json_build_object('id', id, 'kind', kind, 'objectId', object_id, 'name', name, 'physical', physical,
                                      'sortPhysical', sort_physical, 'shape', shape, 'valueKind', null, 'hiddenAt', null, 'next', null))
    from physical_name)
  where version = (select max(version) from metadata_version);
  alter table physical_name add column value_kind text, add column next jsonb;
  create table kept_column (
    object_id text collate "C" not null, field_id text collate "C" not null, name text not null, physical text collate "C" not null,
    sort_physical text, shape text, value_kind text, kept_at timestamptz(3) not null, primary key (object_id, physical));
  create table schema_fill (
    field_id text collate "C" primary key, object_id text not null, source jsonb not null, target jsonb not null, state text not null
      check (state in ('filling', 'settling')),
    cursor uuid, done bigint not null default 0, started_at timestamptz(3) not null);
  create table schema_dirty (
    seq bigint generated always as identity primary key, field_id text collate "C" not null, record_id uuid not null);
  `);
}

/** Platform migrations only go forward; a restore is the way back. */
export function down(): Promise<void> {
  return Promise.reject(new Error('Platform migrations only go forward.'));
}
