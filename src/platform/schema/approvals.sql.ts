import type { Knex } from 'knex';
import type { Instant, PlainDate } from '../clock.ts';
import { toRfc3339 } from '../db.ts';
import type { PolicyFile } from '../metadata/types.ts';
import type { PolicyApproval, PolicyApprovals } from '../model/approvals.ts';
import { platformTable, rows, run, sql } from '../sql.ts';

/** One line of a policy's record of approvals; `actor` is the account or part of the product that added it. */
export interface ApprovalLine {
  readonly kind: PolicyApproval['kind'] | 'retired';
  /** The version and the fingerprint of its content; null for a retirement. */
  readonly version: string | null;
  readonly hash: string | null;
  /** The day from which the policy is retired; null when a retirement is taken back. */
  readonly retiredOn: PlainDate | null;
  readonly actor: string;
  readonly approver: string;
  readonly reference: string;
  readonly at: Instant;
}

/** One review of a policy. */
export interface ReviewLine {
  readonly actor: string;
  readonly reviewer: string;
  readonly note: string;
  readonly at: Instant;
}

/** The approvals that count, or null while none was ever recorded. Reads only. */
export async function readApprovals(db: Knex): Promise<PolicyApprovals | null> {
  const lines = await approvalRows(db, null);
  if (lines.length === 0) return null;
  const approved = new Map<string, PolicyApproval[]>();
  const retired = new Map<string, PlainDate>();
  for (const { policyId, line } of lines) {
    const { kind, version, hash, approver, at, reference, retiredOn } = line;
    if (kind === 'retired') {
      if (retiredOn === null) retired.delete(policyId);
      else retired.set(policyId, retiredOn);
    } else if (version !== null && hash !== null) approved.set(policyId, [...(approved.get(policyId) ?? []), { kind, version, hash, approver, at, reference }]);
  }
  return { approved, retired };
}

/** The record of approvals of one policy, oldest first. Reads only. */
export async function approvalLines(db: Knex, policyId: string): Promise<readonly ApprovalLine[]> {
  return (await approvalRows(db, policyId)).map(({ line }) => line);
}

async function approvalRows(db: Knex, policyId: string | null): Promise<readonly { readonly policyId: string; readonly line: ApprovalLine }[]> {
  const found = await rows(
    db,
    sql`select policy_id, kind, version, content_hash, retired_on::text as retired_on, actor, approver, reference, at
        from ${platformTable(db, 'policy_approval')} where ${policyId}::text is null or policy_id = ${policyId}::text order by id`,
  );
  return found.map((row) => ({
    policyId: String(row['policy_id']),
    line: {
      kind: kindOf(row['kind']),
      version: textOf(row['version']),
      hash: textOf(row['content_hash']),
      retiredOn: textOf(row['retired_on']),
      actor: String(row['actor']),
      approver: String(row['approver']),
      reference: String(row['reference']),
      at: toRfc3339(String(row['at'])),
    },
  }));
}

function kindOf(value: unknown): ApprovalLine['kind'] {
  return value === 'package' || value === 'kept' || value === 'retired' ? value : 'approved';
}

function textOf(value: unknown): string | null {
  return typeof value === 'string' ? value : null;
}

/** Adds a line to a policy's record of approvals. Writes. */
export async function addApproval(tx: Knex.Transaction, policyId: string, line: ApprovalLine): Promise<void> {
  await run(
    tx,
    sql`insert into ${platformTable(tx, 'policy_approval')} (policy_id, kind, version, content_hash, retired_on, actor, approver, reference, at)
        values (${policyId}, ${line.kind}, ${line.version}, ${line.hash}, ${line.retiredOn}::date, ${line.actor}, ${line.approver}, ${line.reference}, ${line.at}::timestamptz)`,
  );
}

/** Adds a line to a policy's reviews. Writes. */
export async function addReview(db: Knex, policyId: string, line: ReviewLine): Promise<void> {
  await run(
    db,
    sql`insert into ${platformTable(db, 'policy_review')} (policy_id, actor, reviewer, note, at)
        values (${policyId}, ${line.actor}, ${line.reviewer}, ${line.note}, ${line.at}::timestamptz)`,
  );
}

/** The reviews of policies, oldest first: of one, or of all without an id. Reads only. */
export async function reviewLines(db: Knex, policyId: string | null): Promise<readonly (ReviewLine & { readonly policyId: string })[]> {
  const found = await rows(
    db,
    sql`select policy_id, actor, reviewer, note, at from ${platformTable(db, 'policy_review')}
        where ${policyId}::text is null or policy_id = ${policyId}::text order by id`,
  );
  return found.map((row) => ({
    policyId: String(row['policy_id']),
    actor: String(row['actor']),
    reviewer: String(row['reviewer']),
    note: String(row['note']),
    at: toRfc3339(String(row['at'])),
  }));
}

/** A policy as each version of the metadata had it, oldest first, with who put that version in force. Reads only. */
export async function policyThroughVersions(db: Knex, policyId: string): Promise<readonly { readonly by: string; readonly file: PolicyFile | null }[]> {
  const found = await rows(
    db,
    sql`select created_by, (select policy.value from json_each(content -> 'policies') as policy where policy.value ->> 'id' = ${policyId}) as file
        from ${platformTable(db, 'metadata_version')} order by version`,
  );
  return found.map((row) => ({ by: String(row['created_by']), file: fileOf(row['file']) }));
}

/** Boundary: a policy as it was applied; it passed the JSON Schema before it was stored. */
function fileOf(value: unknown): PolicyFile | null {
  return typeof value === 'object' && value !== null ? (value as PolicyFile) : null;
}
