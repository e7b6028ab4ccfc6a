import type { Knex } from 'knex';
import type { CallContext } from '../access/types.ts';
import { mayRunAction } from '../access/rights.ts';
import type { Instant, PlainDate } from '../clock.ts';
import { AppError } from '../errors.ts';
import type { MetadataSet, PolicyFile, PolicyVersion } from '../metadata/types.ts';
import { approvalOf, policyHash, type PolicyApprovals } from '../model/approvals.ts';
import { actorOf } from '../record/actor.ts';
import { addApproval, addReview, policyThroughVersions, readApprovals, type ApprovalLine } from '../schema/approvals.sql.ts';
import { withLease } from '../schema/lease.sql.ts';
import type { ModelStore } from '../schema/store.ts';
import { currentVersion, readVersion } from '../schema/versions.sql.ts';

/** The action of a permission set whose accounts approve, review and retire policies. */
export const POLICY_ACTION = 'policies';

/** What somebody approves: a version with the content that they saw. */
export interface ApprovalWish {
  readonly version: string;
  /** Fingerprint of the content, or its beginning; without it, the content as it is now. */
  readonly hash?: string;
  /** Where the signature is kept: a number, an address (R003-38). */
  readonly reference: string;
}

/**
 * Approves one content of one version of a policy; from its first day on it is in force in every process within a second. Writes.
 * @returns the version of the metadata that has it
 * @throws AppError forbidden (no right, or the caller is who changed it), not_found, conflict_state (other content, approved already),
 * validation_failed (no reference)
 */
export function approvePolicy(store: ModelStore, ctx: CallContext, name: string, wish: ApprovalWish): Promise<number> {
  const { actor, approver } = signer(ctx);
  const reference = requireText(wish.reference, '/reference', 'Say where the approval is kept: a number or an address.');
  return store.reissue(actor, `approval of ${name} ${wish.version}`, async (tx, { set }) => {
    const { file, id } = policyOf(set, name);
    const version = file.versions.find((entry) => entry.effective === wish.version);
    if (version === undefined) throw new AppError('not_found', `The policy ${name} has no version "${wish.version}".`);
    const hash = policyHash(file, version);
    if (wish.hash !== undefined && !hash.startsWith(wish.hash))
      throw new AppError('conflict_state', `Version ${wish.version} of ${name} has another content by now. Read it again, then approve what it says.`);
    const approvals = (await readApprovals(tx)) ?? (await keepWhatIsInForce(tx, set, ctx.now, { policyId: id, hash }));
    if (approvalOf(file, version, approvals).approval !== null)
      throw new AppError('conflict_state', `Version ${wish.version} of ${name} is approved with this content already.`);
    if ((await authorsOf(tx, id, wish.version, hash)).has(actor))
      throw new AppError('forbidden', 'Somebody else must approve this: you made the change yourself.');
    await addApproval(tx, id, { kind: 'approved', version: wish.version, hash, retiredOn: null, actor, approver, reference, at: ctx.now });
  });
}

/**
 * Takes a policy out of force from a day on, or takes that back without a day. Writes.
 * @returns the version of the metadata that has it
 * @throws AppError forbidden, not_found, validation_failed (no reference, or a day before today)
 */
export function retirePolicy(store: ModelStore, ctx: CallContext, name: string, on: PlainDate | null, reference: string): Promise<number> {
  const { actor, approver } = signer(ctx);
  const given = requireText(reference, '/reference', 'Say where the decision is kept: a number or an address.');
  if (on !== null && on < ctx.today) {
    const detail = `A policy is retired from today (${ctx.today}) at the earliest: what it decided before stays as it was.`;
    throw new AppError('validation_failed', detail, { errors: [{ pointer: '/on', code: 'too_early', detail }] });
  }
  return store.reissue(actor, on === null ? `${name} is no longer retired` : `${name} is retired from ${on}`, async (tx, { set }) => {
    const { id } = policyOf(set, name);
    if ((await readApprovals(tx)) === null) await keepWhatIsInForce(tx, set, ctx.now, null);
    await addApproval(tx, id, { kind: 'retired', version: null, hash: null, retiredOn: on, actor, approver, reference: given, at: ctx.now });
  });
}

/**
 * Notes that a policy was reviewed, also when nothing is changed (R000-38): a line of its log, no new version. Writes.
 * @throws AppError forbidden, not_found, validation_failed (no note)
 */
export async function reviewPolicy(db: Knex, ctx: CallContext, name: string, note: string): Promise<void> {
  const { actor, approver } = signer(ctx);
  const said = requireText(note, '/note', 'Say what came of the review, such as "No revisions".');
  await addReview(db, policyOf(ctx.model.source, name).id, { actor, reviewer: approver, note: said, at: ctx.now });
}

/**
 * Records the approvals that the product's own policies come with, each once; the first time also those of policies that are in force
 * already, so that nothing changes on a database of an earlier release. A retirement and later approvals stay as they are. Writes.
 */
export async function installApprovals(db: Knex, now: Instant, shipped: MetadataSet): Promise<void> {
  const known = await readApprovals(db);
  if (known !== null && missing(shipped, known).length === 0) return;
  await withLease(db, 'metadata', async () => {
    const { set } = await readVersion(db, await currentVersion(db));
    await db.transaction(async (tx) => {
      const approvals = await readApprovals(tx);
      const shippedLines = missing(shipped, approvals);
      await addLines(tx, shippedLines, 'package', 'Shipped with the product', now);
      if (approvals === null) await keepWhatIsInForce(tx, set, now, null);
    });
  });
}

interface Signed {
  readonly policyId: string;
  readonly file: PolicyFile;
  readonly version: PolicyVersion;
  readonly hash: string;
}

/** Versions that a file says are approved, of which no approval with this content is recorded. */
function missing(set: MetadataSet, approvals: PolicyApprovals | null): readonly Signed[] {
  return [...set.policies.values()].flatMap((file) =>
    file.versions.flatMap((version): readonly Signed[] => {
      if (file.id === undefined || (version.approvedBy ?? '').trim() === '') return [];
      if (approvals !== null && approvalOf(file, version, approvals).approval !== null) return [];
      return [{ policyId: file.id, file, version, hash: policyHash(file, version) }];
    }),
  );
}

/** Before the first approval is recorded, what is in force by its files' own word is; but not what is being approved. */
async function keepWhatIsInForce(
  tx: Knex.Transaction,
  set: MetadataSet,
  now: Instant,
  except: { readonly policyId: string; readonly hash: string } | null,
): Promise<PolicyApprovals | null> {
  const recorded = await readApprovals(tx);
  const lines = missing(set, recorded).filter((line) => line.policyId !== except?.policyId || line.hash !== except.hash);
  await addLines(tx, lines, 'kept', 'In force before approvals were recorded', now);
  return readApprovals(tx);
}

async function addLines(tx: Knex.Transaction, lines: readonly Signed[], kind: ApprovalLine['kind'], why: string, at: Instant): Promise<void> {
  for (const { policyId, version, hash } of lines) {
    const reference = version.cites === undefined ? why : `${why}; ${version.cites}`;
    const approver = version.approvedBy ?? '';
    await addApproval(tx, policyId, { kind, version: version.effective, hash, retiredOn: null, actor: 'system:start', approver, reference, at });
  }
}

/** Who put this content in force at any time: whoever made a version of the metadata that has it after one that had not. */
async function authorsOf(tx: Knex.Transaction, policyId: string, effective: string, hash: string): Promise<ReadonlySet<string>> {
  const authors = new Set<string>();
  let had = false;
  for (const { by, file } of await policyThroughVersions(tx, policyId)) {
    const version = file?.versions.find((entry) => entry.effective === effective);
    const has = file !== null && version !== undefined && policyHash(file, version) === hash;
    if (has && !had) authors.add(by);
    had = has;
  }
  return authors;
}

/** The account that signs. Approval counts as its signature, so nobody but an account can give one. @throws AppError forbidden */
export function signer({ principal, ...rest }: CallContext): { readonly actor: string; readonly approver: string } {
  if (principal.kind !== 'user') throw new AppError('forbidden', 'Only an account approves, reviews or retires a policy: its approval is a signature.');
  if (!mayRunAction({ principal, ...rest }, POLICY_ACTION)) throw new AppError('forbidden', 'Only those who approve policies may do this.');
  return { actor: actorOf(principal), approver: `${principal.name} <${principal.email}>` };
}

function policyOf(set: MetadataSet, name: string): { readonly file: PolicyFile; readonly id: string } {
  const file = set.policies.get(name);
  if (file?.id === undefined) throw new AppError('not_found', `There is no policy "${name}". Known: ${[...set.policies.keys()].join(', ') || 'none'}.`);
  return { file, id: file.id };
}

function requireText(text: string, pointer: string, detail: string): string {
  const trimmed = text.trim();
  if (trimmed === '') throw new AppError('validation_failed', detail, { errors: [{ pointer, code: 'required', detail }] });
  return trimmed;
}
