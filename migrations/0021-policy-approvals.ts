import type { Knex } from 'knex';

/**
 * Who approved which content of a policy, from when a policy is retired, and its reviews: lines that are only ever added (R003-37). The
 * tables are new and empty, so nobody waits; the release before does not look at them and goes on by what the files say.
 */
export async function up(tx: Knex.Transaction): Promise<void> {
  await tx.raw(`
  create table policy_approval (
    id bigint generated always as identity primary key, policy_id text collate "C" not null,
    kind text not null check (kind in ('package', 'kept', 'approved', 'retired')),
    version text collate "C", content_hash text collate "C", retired_on date,
    actor text collate "C" not null, approver text not null, reference text not null check (reference <> ''), at timestamptz(3) not null,
    check ((kind = 'retired') = (version is null) and (kind = 'retired') = (content_hash is null)));
  create index policy_approval_policy on policy_approval (policy_id, id);
  create table policy_review (
    id bigint generated always as identity primary key, policy_id text collate "C" not null,
    actor text collate "C" not null, reviewer text not null, note text not null check (note <> ''), at timestamptz(3) not null);
  create index policy_review_policy on policy_review (policy_id, id);
  create function refuse_change() returns trigger language plpgsql as $refuse$
  begin
    raise exception 'Lines of % are never changed or taken away.', tg_table_name using errcode = 'integrity_constraint_violation';
  end $refuse$;
  create trigger policy_approval_kept before update or delete or truncate on policy_approval for each statement execute function refuse_change();
  create trigger policy_review_kept before update or delete or truncate on policy_review for each statement execute function refuse_change();
  `);
}

/** Platform migrations only go forward; a restore is the way back. */
export function down(): Promise<void> {
  return Promise.reject(new Error('Platform migrations only go forward.'));
}
