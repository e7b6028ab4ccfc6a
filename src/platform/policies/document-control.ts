import type { Knex } from 'knex';
import type { PlainDate } from '../clock.ts';
import type { PolicyFile, PolicyRow } from '../metadata/types.ts';
import type { Model } from '../model/types.ts';
import { approvalLines, reviewLines, type ApprovalLine, type ReviewLine } from '../schema/approvals.sql.ts';
import { makePolicies, type PolicyVersionEntry } from './policies.ts';

/** A policy as lists of documents show it (R003-36). */
export interface PolicyHead {
  readonly name: string;
  readonly label: string | null;
  readonly number: string | null;
  readonly product: string | null;
  readonly keeper: string | null;
  readonly replaces: string | null;
  /** The version in force on the day asked for; null when none is. */
  readonly version: string | null;
  readonly effectiveFrom: PlainDate | null;
  readonly approvedBy: string | null;
  readonly approvedAt: string | null;
  readonly retiredOn: PlainDate | null;
  /** When it was last looked at as a whole: reviewed, or a version of it approved. */
  readonly reviewedAt: string | null;
  /** Versions that wait for approval. */
  readonly waiting: readonly string[];
}

/** A policy with its whole record. */
export interface PolicyRecord extends PolicyHead {
  readonly description: string | null;
  readonly object: string | null;
  readonly keys: PolicyFile['keys'] | null;
  readonly match: PolicyFile['match'];
  readonly results: PolicyFile['results'];
  readonly versions: readonly (PolicyVersionEntry & { readonly rows: readonly PolicyRow[] })[];
  readonly approvals: readonly ApprovalLine[];
  readonly reviews: readonly ReviewLine[];
}

/** The policies as of a day; retired ones only when asked for. Reads only. */
export async function listPolicies(db: Knex, model: Model, today: PlainDate, withRetired: boolean): Promise<readonly PolicyHead[]> {
  const reviews = await reviewLines(db, null);
  return [...model.policies.values()]
    .map((file) => headOf(model, file, today, reviews.filter((review) => review.policyId === file.id).at(-1)?.at ?? null))
    .filter(({ retiredOn }) => withRetired || retiredOn === null || retiredOn > today);
}

/** One policy with its versions, approvals and reviews. Reads only. @throws AppError not_found */
export async function readPolicy(db: Knex, model: Model, today: PlainDate, name: string): Promise<PolicyRecord> {
  const log = makePolicies(model).versions(name);
  const file = fileOf(model, name);
  const reviews = (await reviewLines(db, file.id ?? '')).map(({ actor, reviewer, note, at }) => ({ actor, reviewer, note, at }));
  return {
    ...headOf(model, file, today, reviews.at(-1)?.at ?? null),
    description: file.description ?? null,
    object: file.object ?? null,
    keys: file.keys ?? null,
    match: file.match,
    results: file.results,
    versions: log.map((entry) => ({ ...entry, rows: file.versions.find((version) => version.effective === entry.version)?.rows ?? [] })),
    approvals: await approvalLines(db, file.id ?? ''),
    reviews,
  };
}

function fileOf(model: Model, name: string): PolicyFile {
  const file = model.policies.get(name);
  if (file === undefined) throw new TypeError(`The policy ${name} was found a moment ago.`);
  return file;
}

function headOf(model: Model, file: PolicyFile, today: PlainDate, reviewedAt: string | null): PolicyHead {
  const policies = makePolicies(model);
  const log = policies.versions(file.name);
  const current = policies.versionOn(file.name, today);
  const approvedAt =
    log
      .flatMap((entry) => entry.approvedAt ?? [])
      .sort()
      .at(-1) ?? null;
  return {
    name: file.name,
    label: file.label ?? null,
    number: file.document?.number ?? null,
    product: file.document?.product ?? null,
    keeper: file.document?.keeper ?? null,
    replaces: file.document?.replaces ?? null,
    version: current?.version ?? null,
    effectiveFrom: current?.effectiveFrom ?? null,
    approvedBy: current?.approvedBy ?? null,
    approvedAt: current?.approvedAt ?? null,
    retiredOn: model.approvals?.retired.get(file.id ?? '') ?? null,
    reviewedAt:
      [reviewedAt, approvedAt]
        .flatMap((at) => at ?? [])
        .sort()
        .at(-1) ?? null,
    waiting: log.flatMap((entry) => (entry.withheld === null ? [] : [entry.version])),
  };
}
