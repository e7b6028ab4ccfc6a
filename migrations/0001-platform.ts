import type { Knex } from 'knex';

/**
 * The platform's own tables. Object tables follow metadata and are never made here.
 * Runs with `search_path` set to the tenant's schema for this transaction only; product code always qualifies names.
 */
export async function up(tx: Knex.Transaction): Promise<void> {
  await tx.raw(`
  create table setting (key text collate "C" primary key, value jsonb not null);
  create table if not exists lease (name text collate "C" primary key, holder text not null, expires_at timestamptz(3) not null);

  create table metadata_version (
    version integer primary key, hash text not null, content json not null, package text,
    created_at timestamptz(3) not null, created_by text not null);
  create table physical_name (
    id text collate "C" primary key, kind text not null check (kind in ('object', 'field')), object_id text,
    name text not null, physical text not null, sort_physical text, shape text, hidden_at timestamptz(3));
  create table schema_step (
    plan_hash text not null, ordinal integer not null, class text not null, description text not null,
    state text not null, started_at timestamptz(3), finished_at timestamptz(3), error text, primary key (plan_hash, ordinal));
  create table process (id text primary key, model_version integer not null, seen_at timestamptz(3) not null);
  create table calendar_day (
    calendar text collate "C" not null, day date not null, ordinal integer not null, is_open boolean not null,
    primary key (calendar, day));
  create index calendar_day_ordinal on calendar_day (calendar, ordinal);

  create table app_user (
    id uuid primary key, version integer not null default 1,
    created_at timestamptz(3) not null, created_by text collate "C" not null,
    updated_at timestamptz(3) not null, updated_by text collate "C" not null,
    owner_id uuid, record_type text collate "C", deleted_at timestamptz(3),
    email text collate "C" not null, email_s text collate "C" not null,
    name text collate "C" not null, name_s text collate "C" not null,
    status text collate "C" not null default 'active' check (status in ('invited', 'active', 'suspended')),
    password_hash text, permission_sets text[] not null default '{}');
  create unique index app_user_email on app_user (email) where deleted_at is null;
  create table session (
    secret_hash bytea primary key, user_id uuid not null references app_user, csrf text not null,
    created_at timestamptz(3) not null, expires_at timestamptz(3) not null, user_agent text);
  create index session_by_user on session (user_id);
  create table api_token (
    id uuid primary key, user_id uuid not null references app_user, name text not null, secret_hash bytea not null unique,
    created_at timestamptz(3) not null, expires_at timestamptz(3), revoked_at timestamptz(3));
  create index api_token_user on api_token (user_id);
  create table invitation (
    secret_hash bytea primary key, user_id uuid not null references app_user, expires_at timestamptz(3) not null, used_at timestamptz(3));
  create index invitation_user on invitation (user_id);
  create table sign_in_attempt (account text collate "C" not null, at timestamptz(3) not null);
  create index sign_in_attempt_account on sign_in_attempt (account, at);
  create table portal_link (
    id uuid primary key, secret_hash bytea not null unique, object text not null, record_id uuid not null,
    permission_set text not null, purpose text not null, created_at timestamptz(3) not null,
    expires_at timestamptz(3) not null, revoked_at timestamptz(3), last_used_at timestamptz(3));
  create index portal_link_record on portal_link (record_id);
  create table idempotency_key (
    principal text collate "C" not null, key text collate "C" not null, request_hash text not null, state text not null,
    status integer, headers jsonb, body text, created_at timestamptz(3) not null, expires_at timestamptz(3) not null,
    primary key (principal, key));

  create table record_history (
    id bigint generated always as identity, object_id text collate "C" not null, record_id uuid not null,
    version integer not null, kind text not null, at timestamptz(3) not null,
    recorded_at timestamptz(3) not null default clock_timestamp(), actor text not null, cause jsonb not null, reason text,
    changes jsonb not null, primary key (id, recorded_at)) partition by range (recorded_at);
  create table record_history_default partition of record_history default;
  create index record_history_record on record_history (record_id, version desc);
  create table audit_entry (
    id bigint generated always as identity primary key, at timestamptz(3) not null,
    recorded_at timestamptz(3) not null default clock_timestamp(), actor text not null, action text not null,
    object text, record_id uuid, record_version integer, request_id text, detail jsonb not null default '{}');
  create index audit_entry_record on audit_entry (record_id) where record_id is not null;

  create table event (
    id uuid primary key, seq bigint generated always as identity unique, object text collate "C" not null, record_id uuid, record_ids uuid[],
    kind text not null, at timestamptz(3) not null, before jsonb, after jsonb, changed text[] not null default '{}',
    transition text, cause jsonb not null, actor text not null, depth integer not null default 0,
    xid xid8 not null default pg_current_xact_id(), attempts integer not null default 0, lease_until timestamptz(3));
  create index event_record on event (record_id, seq);
  create index event_chunk on event (seq) where record_ids is not null;
  create table event_log (
    id uuid not null, seq bigint not null, object text not null, record_id uuid, record_ids uuid[], kind text not null,
    at timestamptz(3) not null, before jsonb, after jsonb, changed text[] not null, transition text, cause jsonb not null,
    actor text not null, depth integer not null, done_at timestamptz(3) not null,
    recorded_at timestamptz(3) not null default clock_timestamp()) partition by range (recorded_at);
  create table event_log_default partition of event_log default;
  create index event_log_record on event_log (record_id, seq);
  create index event_log_id on event_log (id);

  create table rule_run (
    id uuid primary key, seq bigint generated always as identity, run_key text collate "C" not null unique, rule_id text not null, rule text not null, rule_version integer not null,
    event_id uuid, object text, record_id uuid, anchor text, state text not null, due_at timestamptz(3) not null,
    attempts integer not null default 0, lease_until timestamptz(3), error text, trace jsonb not null default '{}', cause jsonb not null,
    depth integer not null default 0, created_at timestamptz(3) not null, finished_at timestamptz(3));
  create index rule_run_due on rule_run (due_at, seq) where state = 'ready';
  create index rule_run_ready_record on rule_run (record_id, due_at, seq) where state = 'ready';
  create index rule_run_record on rule_run (record_id);
  create index rule_run_event on rule_run (event_id);
  create index rule_run_rule on rule_run (rule_id, created_at);
  create table rule_schedule (
    rule_id text primary key, definition text not null, next_due timestamptz(3) not null, scanned_to timestamptz(3) not null);
  create table step_once (
    key text collate "C" primary key, record_id uuid, at timestamptz(3) not null);

  create table mail_delivery (
    id uuid primary key, key text collate "C" not null unique, message_id text not null, class text not null, template text not null,
    recipient text collate "C" not null, subject text not null, html text not null, plain text not null,
    headers jsonb not null default '{}', attachments jsonb not null default '[]', about_object text, about_id uuid,
    mailbox text, state text not null, attempt integer not null default 0, next_attempt_at timestamptz(3) not null,
    lease_until timestamptz(3), last_error text, unsubscribe_hash bytea unique, created_at timestamptz(3) not null, sent_at timestamptz(3));
  create index mail_delivery_due on mail_delivery (next_attempt_at, id) where state in ('queued', 'sending');
  create index mail_delivery_about on mail_delivery (about_id);
  create index mail_delivery_recipient on mail_delivery (recipient);
  create index mail_delivery_created on mail_delivery (created_at, id);
  create table mail_suppression (
    address text collate "C" not null, reason text collate "C" not null check (reason in ('unsubscribe', 'bounce', 'complaint')),
    at timestamptz(3) not null, delivery_id uuid, primary key (address, reason));
  create table inbound_mail (
    id uuid primary key, mailbox text not null, message_id text collate "C" not null, sender text not null, subject text not null,
    received_at timestamptz(3) not null, raw bytea not null, auto_reply boolean not null default false, object text, record_id uuid,
    thread_object text, thread_id uuid, unique (mailbox, message_id));
  create index inbound_mail_message on inbound_mail (message_id);
  create table mail_thread (token text collate "C" primary key, object text not null, record_id uuid not null unique);

  create table file_blob (sha256 text collate "C" primary key, size bigint not null);
  create table file_chunk (
    sha256 text collate "C" not null references file_blob, ordinal integer not null, bytes bytea not null, primary key (sha256, ordinal));
  create table file (
    id uuid primary key, name text not null, media_type text not null, size bigint not null, sha256 text collate "C" not null references file_blob,
    created_at timestamptz(3) not null, created_by text not null);
  create index file_sha256 on file (sha256);

  create table submission (
    id uuid primary key, form text not null, form_hash text not null, object text not null, record_id uuid not null, link_id uuid,
    state text not null check (state in ('draft', 'submitted')), version integer not null default 1, data jsonb not null default '{}',
    visited jsonb not null default '[]', last_page text, snapshot jsonb, created_at timestamptz(3) not null, updated_at timestamptz(3) not null,
    submitted_at timestamptz(3));
  create unique index submission_draft on submission (form, record_id) where state = 'draft';
  create index submission_record on submission (record_id);

  create table search_entry (
    object text collate "C" not null, record_id uuid not null, class text collate "C" not null default 'open',
    keys text collate "C" not null, document tsvector not null, primary key (object, record_id, class));
  create extension if not exists pg_trgm with schema public;
  create index search_entry_keys on search_entry using gin (keys public.gin_trgm_ops);
  create index search_entry_document on search_entry using gin (document);

  create table sequence_counter (field_id text primary key, value bigint not null);
  create table saved_view (
    id uuid primary key, object text not null, name text not null, owner_id uuid references app_user, shared boolean not null default false,
    definition jsonb not null, created_at timestamptz(3) not null, updated_at timestamptz(3) not null);
  create index saved_view_owner on saved_view (owner_id);
  create table import_job (
    id uuid primary key, object text not null, map text, file_name text not null, state text not null, counts jsonb not null default '{}',
    created_at timestamptz(3) not null, created_by text not null, finished_at timestamptz(3));
  create table import_row (
    job_id uuid not null, line bigint not null, cells jsonb not null, outcome text, record_id uuid, reason text, column_name text,
    primary key (job_id, line));
  create table frozen_report (
    id uuid primary key, report text not null, period text not null, body jsonb not null, sha256 text not null,
    frozen_at timestamptz(3) not null, unique (report, period));
  `);
}

/** Platform migrations only go forward; a restore is the way back. */
export function down(): Promise<void> {
  return Promise.reject(new Error('Platform migrations only go forward.'));
}
