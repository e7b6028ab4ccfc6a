import type { Instant, PlainDate } from '../clock.ts';
import { contentHash } from '../metadata/store-form.ts';
import type { PolicyFile, PolicyVersion } from '../metadata/types.ts';

/** That somebody approved one content of one version of a policy. */
export interface PolicyApproval {
  /** `package`: it came with the product; `kept`: it was in force before approvals were recorded; `approved`: by an account. */
  readonly kind: 'package' | 'kept' | 'approved';
  readonly version: string;
  readonly hash: string;
  readonly approver: string;
  readonly at: Instant;
  readonly reference: string;
}

/** The approvals of a database, by the id of the policy. */
export interface PolicyApprovals {
  /** Oldest first. */
  readonly approved: ReadonlyMap<string, readonly PolicyApproval[]>;
  /** The day from which a policy is no longer in force. */
  readonly retired: ReadonlyMap<string, PlainDate>;
}

/** The fingerprint of what a version decides by; who approved it, and what explains it (`cites`, `note`), do not count. */
export function policyHash(file: PolicyFile, version: PolicyVersion): string {
  const { object, keys, match, results, floor } = file;
  return contentHash({ object, keys, match, results, floor, effective: version.effective, rows: version.rows });
}

/**
 * The approval of exactly this content, or why the version is not in force. Approval is the signature of a policy (R000-37). Without
 * approvals (null: none was ever recorded in the database) the file's own word counts.
 */
export function approvalOf(
  file: PolicyFile,
  version: PolicyVersion,
  approvals: PolicyApprovals | null,
): { readonly approval: PolicyApproval | null; readonly withheld: string | null } {
  if (approvals === null) {
    const isBlank = (version.approvedBy ?? '').trim() === '';
    return { approval: null, withheld: isBlank ? 'It has not been approved: `approvedBy` is empty.' : null };
  }
  const known = (approvals.approved.get(file.id ?? '') ?? []).filter((approval) => approval.version === version.effective);
  const hash = policyHash(file, version);
  const approval = known.findLast((entry) => entry.hash === hash) ?? null;
  if (approval !== null) return { approval, withheld: null };
  const other = known.at(-1);
  const withheld =
    other === undefined
      ? 'It has not been approved.'
      : `It was changed after it was approved: ${other.approver} approved another content on ${other.at.slice(0, 10)}.`;
  return { approval: null, withheld };
}

/** The first day of a version: `2016-01` has month precision and means its first day. */
export function firstDay(effective: string): PlainDate {
  if (/^\d{4}$/.test(effective)) return `${effective}-01-01`;
  return /^\d{4}-\d{2}$/.test(effective) ? `${effective}-01` : effective;
}
