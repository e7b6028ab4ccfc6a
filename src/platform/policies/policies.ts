import type { PlainDate } from '../clock.ts';
import { AppError, isAppError, type ErrorDetail } from '../errors.ts';
import type { EvalContext, NotePolicy, Row } from '../expression/types.ts';
import { metadataPointer } from '../metadata/kinds.ts';
import type { PolicyFile } from '../metadata/types.ts';
import { approvalOf, firstDay, policyHash, type PolicyApprovals } from '../model/approvals.ts';
import type { Model } from '../model/types.ts';
import { tighten, type FloorUse } from './floors.ts';
import { compileRow, compileRows, decidingRow, type CompiledRow } from './tables.ts';

/** What a policy answers, with the version and row it used: a decision can always be explained. */
export interface PolicyDecision {
  readonly policy: string;
  /** First day in force of the version used, as written in the file (`2016-01` keeps its month precision). */
  readonly version: string;
  readonly effectiveFrom: PlainDate;
  readonly band: string;
  readonly results: Readonly<Record<string, unknown>>;
  readonly cites: string | null;
  /** The floor that was stricter in some results, which are its own then; null when none was. */
  readonly floor: FloorUse | null;
}

/** One line of a policy's revision log. */
export interface PolicyVersionEntry {
  readonly version: string;
  readonly effectiveFrom: PlainDate;
  /** Last day in force; null for the newest version. */
  readonly effectiveThrough: PlainDate | null;
  /** Fingerprint of what it decides by; an approval is of exactly this content. */
  readonly hash: string;
  /** Who approved this content and when, with what shows it. */
  readonly approvedBy: string | null;
  readonly approvedAt: string | null;
  readonly reference: string | null;
  readonly cites: string | null;
  readonly note: string | null;
  readonly bands: readonly string[];
  /** Why this version is not in force at any time, e.g. a missing approval. */
  readonly withheld: string | null;
}

export interface Policies {
  /**
   * The decision for `input` (fields of the policy's object, or its keys) by the version in force on `asOf`.
   * Null when no version was in force yet or no row matches.
   * @throws AppError not_found (no such policy), rule_failed (`unique` and two rows match)
   */
  decide(name: string, input: Row, asOf: PlainDate): PolicyDecision | null;
  /** The version in force on a day, or null. */
  versionOn(name: string, day: PlainDate): PolicyVersionEntry | null;
  /** The revision log, oldest first, versions that wait for approval included. */
  versions(name: string): readonly PolicyVersionEntry[];
  /** Results only, as the expression function `policy(...)` takes them: put it into `EvalContext.policy`. */
  readonly lookup: EvalContext['policy'];
}

interface CompiledVersion {
  readonly entry: PolicyVersionEntry;
  readonly rows: readonly CompiledRow[];
}

interface CompiledPolicy {
  readonly file: PolicyFile;
  /** The day from which no version is in force. */
  readonly retiredOn: PlainDate | null;
  /** Those in force at some time, oldest first. */
  readonly inForce: readonly CompiledVersion[];
  readonly log: readonly PolicyVersionEntry[];
}

const compiled = new WeakMap<Model, Policies>();

/** The policies of a Model as they are approved, compiled once a Model and policy. Pure: nothing is read but the arguments. */
export function makePolicies(model: Model): Policies {
  const known = compiled.get(model);
  if (known !== undefined) return known;
  const policies = policiesBy(model, model.approvals);
  compiled.set(model, policies);
  return policies;
}

/** The policies of a Model as they are written, whether approved or not: for the tests that stand in the metadata. */
export function policiesAsWritten(model: Model): Policies {
  return policiesBy(model, null);
}

function policiesBy(model: Model, approvals: PolicyApprovals | null): Policies {
  const cache = new Map<string, CompiledPolicy>();
  const get = (name: string): CompiledPolicy => {
    let policy = cache.get(name);
    if (policy === undefined) {
      const file = model.policies.get(name);
      if (file === undefined) throw new AppError('not_found', `There is no policy "${name}". Known: ${[...model.policies.keys()].join(', ') || 'none'}.`);
      policy = compilePolicy(model, file, approvals);
      cache.set(name, policy);
    }
    return policy;
  };
  const decide: Policies['decide'] = (name, input, asOf) => {
    const policy = get(name);
    const own = decideBy(policy, input, asOf, model);
    const { floor } = policy.file;
    return floor === undefined ? own : tighten(model, policy.file, own, decide(floor.policy, input, asOf), asOf);
  };
  return {
    decide,
    versionOn: (name, day) => versionOn(get(name), day)?.entry ?? null,
    versions: (name) => get(name).log,
    lookup: (name, input, asOf, note) => {
      const decision = decide(name, input, asOf);
      if (note !== undefined) {
        const policy = get(name);
        const version = decision?.version ?? versionOn(policy, asOf)?.entry.version ?? null;
        const record = policy.file.object !== undefined && typeof input['id'] === 'string' ? input['id'] : null;
        note({ policy: name, version, band: decision?.band ?? null, record });
        if (decision !== null && decision.floor !== null)
          note({ policy: decision.floor.policy, version: decision.floor.version, band: decision.floor.band, record });
      }
      return decision?.results ?? null;
    },
  };
}

/** The same lookup for a Model that comes with the call: what the record engine takes at wiring. */
export function policyLookup(model: Model, name: string, input: Row, asOf: PlainDate, note?: NotePolicy): Row | null {
  return makePolicies(model).lookup(name, input, asOf, note);
}

/** Rows that read more than a policy may: an extension check of the Model, which has checked the rest of the file. */
export function checkPolicies(model: Model): readonly ErrorDetail[] {
  const errors: ErrorDetail[] = [];
  for (const file of model.policies.values()) {
    file.versions.forEach((version, index) => {
      version.rows.forEach((row, position) => {
        const pointer = metadataPointer('policies', file.name, `/versions/${String(index)}/rows/${String(position)}/when`);
        try {
          compileRow(model, file, row);
        } catch (error) {
          if (!isAppError(error, 'metadata_invalid')) throw error;
          errors.push({ pointer, code: error.code, detail: error.message });
        }
      });
    });
  }
  return errors;
}

function compilePolicy(model: Model, file: PolicyFile, approvals: PolicyApprovals | null): CompiledPolicy {
  const ordered = [...file.versions].sort((a, b) => (firstDay(a.effective) < firstDay(b.effective) ? -1 : 1));
  const judged = ordered.map((version) => ({ version, ...approvalOf(file, version, approvals) }));
  const approved = judged.filter(({ withheld }) => withheld === null);
  const retiredOn = approvals?.retired.get(file.id ?? '') ?? null;
  const entry = (one: (typeof judged)[number]): PolicyVersionEntry => {
    const { version, approval, withheld } = one;
    const next = approved[approved.indexOf(one) + 1];
    const ends = [...(next === undefined ? [] : [firstDay(next.version.effective)]), ...(retiredOn === null ? [] : [retiredOn])].sort();
    return {
      version: version.effective,
      effectiveFrom: firstDay(version.effective),
      effectiveThrough: withheld === null && ends[0] !== undefined ? dayBefore(ends[0]) : null,
      hash: policyHash(file, version),
      approvedBy: approval?.approver ?? (withheld === null ? (version.approvedBy ?? null) : null),
      approvedAt: approval?.at ?? (withheld === null ? (version.approvedAt ?? null) : null),
      reference: approval?.reference ?? null,
      cites: version.cites ?? null,
      note: version.note ?? null,
      bands: version.rows.map((row) => row.band),
      withheld,
    };
  };
  return {
    file,
    retiredOn,
    inForce: approved.map((one) => ({ entry: entry(one), rows: compileRows(model, file, one.version) })),
    log: judged.map(entry),
  };
}

function decideBy(policy: CompiledPolicy, input: Row, asOf: PlainDate, model: Model): PolicyDecision | null {
  const version = versionOn(policy, asOf);
  if (version === null) return null;
  const found = decidingRow(model, policy.file, { name: version.entry.version, rows: version.rows }, input, asOf);
  if (found === null) return null;
  return {
    policy: policy.file.name,
    version: version.entry.version,
    effectiveFrom: version.entry.effectiveFrom,
    band: found.band,
    results: found.then,
    cites: version.entry.cites,
    floor: null,
  };
}

function versionOn(policy: CompiledPolicy, day: PlainDate): CompiledVersion | null {
  if (policy.retiredOn !== null && policy.retiredOn <= day) return null;
  return policy.inForce.findLast((version) => version.entry.effectiveFrom <= day) ?? null;
}

function dayBefore(day: PlainDate): PlainDate {
  return new Date(Date.parse(`${day}T00:00:00Z`) - 86_400_000).toISOString().slice(0, 10);
}
