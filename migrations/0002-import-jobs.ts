import type { Knex } from 'knex';

/**
 * Imports as jobs: what was uploaded, blocks of rows that wait, what became of them block by block (so that a killed job goes
 * on where it stood), what was found wrong, and the mappings that were used. Records of large batches that search does not
 * know yet stand in `search_backlog`.
 */
export async function up(tx: Knex.Transaction): Promise<void> {
  await tx.raw(`
  drop table import_row;
  update import_job set state = 'failed' where state = 'running';
  alter table import_job
    add column format text not null default 'csv', add column settings jsonb not null default '{}', add column header jsonb not null default '[]',
    add column fingerprint text collate "C", add column sha256 text collate "C", add column size bigint not null default 0,
    add column staged integer not null default 0, add column is_upload boolean not null default false, add column principal jsonb not null default '{}',
    add column holder text, add column lease_until timestamptz(3), add column cancel_requested boolean not null default false,
    add column error text, add column checked jsonb, add column undone jsonb, add column request_id text;
  create index import_job_open on import_job (created_at) where state in ('uploading', 'reading', 'checking', 'running', 'undoing');
  create index import_job_by on import_job (created_by, created_at desc);
  create table import_upload (job_id uuid not null, ordinal integer not null, bytes bytea not null, primary key (job_id, ordinal));
  alter table import_upload alter column bytes set storage external;
  create table import_block (
    job_id uuid not null, ordinal integer not null, first_line bigint not null, row_count integer not null, body text not null,
    primary key (job_id, ordinal));
  create table import_chunk (
    job_id uuid not null, phase text collate "C" not null check (phase in ('check', 'run')), ordinal integer not null, row_count integer not null,
    created integer not null default 0, updated integer not null default 0, unchanged integer not null default 0,
    skipped integer not null default 0, rejected integer not null default 0, created_ids uuid[] not null default '{}',
    updated_ids uuid[] not null default '{}', updated_versions integer[] not null default '{}',
    removed integer, restored integer, kept integer, primary key (job_id, phase, ordinal));
  create table import_finding (
    job_id uuid not null, phase text collate "C" not null check (phase in ('check', 'run', 'undo')), line bigint not null,
    column_name text, reason text not null, cells text, record_id uuid);
  create index import_finding_place on import_finding (job_id, phase, line);
  create table import_mapping (
    owner text collate "C" not null, object text collate "C" not null, fingerprint text collate "C" not null, settings jsonb not null,
    used_at timestamptz(3) not null, primary key (owner, object, fingerprint));
  create table search_backlog (
    id bigint generated always as identity primary key, object text collate "C" not null, record_ids uuid[] not null);
  `);
}
