import type { PlainDate } from '../clock.ts';
import { AppError, isAppError, type ErrorDetail } from '../errors.ts';
import { compileJs } from '../expression/to-js.ts';
import type { EvalContext, ExprType, ExprValue, Row, TypedExpression } from '../expression/types.ts';
import { metadataPointer } from '../metadata/kinds.ts';
import type { PolicyFile, PolicyRow } from '../metadata/types.ts';
import { approvalOf, firstDay, policyHash, type PolicyApprovals } from '../model/approvals.ts';
import type { Model } from '../model/types.ts';

/** What a policy answers, with the version and row it used: a decision can always be explained. */
export interface PolicyDecision {
  readonly policy: string;
  /** First day in force of the version used, as written in the file (`2016-01` keeps its month precision). */
  readonly version: string;
  readonly effectiveFrom: PlainDate;
  readonly band: string;
  readonly results: Readonly<Record<string, unknown>>;
  readonly cites: string | null;
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

interface CompiledRow {
  readonly row: PolicyRow;
  readonly expression: TypedExpression;
  readonly matches: (row: Row, context: EvalContext) => ExprValue;
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
  const decide: Policies['decide'] = (name, input, asOf) => decideBy(get(name), input, asOf, model);
  return {
    decide,
    versionOn: (name, day) => versionOn(get(name), day)?.entry ?? null,
    versions: (name) => get(name).log,
    lookup: (name, input, asOf) => decide(name, input, asOf)?.results ?? null,
  };
}

/** The same lookup for a Model that comes with the call: what the record engine takes at wiring. */
export function policyLookup(model: Model, name: string, input: Row, asOf: PlainDate): Row | null {
  return makePolicies(model).lookup(name, input, asOf);
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
    inForce: approved.map((one) => ({ entry: entry(one), rows: one.version.rows.map((row) => compileRow(model, file, row)) })),
    log: judged.map(entry),
  };
}

function compileRow(model: Model, file: PolicyFile, row: PolicyRow): CompiledRow {
  const variables: Record<string, ExprType> = Object.fromEntries(Object.entries(file.keys ?? {}).map(([name, kind]) => [name, { kind }]));
  const expression = model.expression(row.when, file.object ?? null, variables);
  if (expression.type.kind !== 'boolean')
    throw new AppError('metadata_invalid', `Policy "${file.name}", row "${row.band}": \`when\` must be true or false, not ${expression.type.kind}.`);
  const path = expression.reads.find((read) => read.steps.length > 1);
  if (path !== undefined) {
    const dotted = path.steps.map((step) => step.field).join('.');
    throw new AppError(
      'metadata_invalid',
      `Policy "${file.name}", row "${row.band}": rows read the record's own fields or the policy's keys only, not ${dotted}.`,
    );
  }
  return { row, expression, matches: compileJs(expression, model.expressions) };
}

function decideBy(policy: CompiledPolicy, input: Row, asOf: PlainDate, model: Model): PolicyDecision | null {
  const version = versionOn(policy, asOf);
  if (version === null) return null;
  const context: EvalContext = {
    now: model.calendarLookup.startOfDay(asOf, model.calendarLookup.planCalendar) ?? `${asOf}T00:00:00.000Z`,
    today: asOf,
    user: null,
    subject: null,
    variables: input,
    one: () => null,
    many: () => [],
    policy: () => null,
    calendars: model.calendarLookup,
  };
  const matching: CompiledRow[] = [];
  for (const row of version.rows) {
    if (row.matches(input, context) !== true) continue;
    matching.push(row);
    if (policy.file.match === 'first') break;
  }
  const [found, second] = matching;
  if (found !== undefined && second !== undefined) {
    throw new AppError(
      'rule_failed',
      `Policy "${policy.file.name}", version ${version.entry.version}: rows "${found.row.band}" and "${second.row.band}" both match, and only one may. Make their conditions exclude each other.`,
    );
  }
  if (found === undefined) return null;
  return {
    policy: policy.file.name,
    version: version.entry.version,
    effectiveFrom: version.entry.effectiveFrom,
    band: found.row.band,
    results: found.row.then,
    cites: version.entry.cites,
  };
}

function versionOn(policy: CompiledPolicy, day: PlainDate): CompiledVersion | null {
  if (policy.retiredOn !== null && policy.retiredOn <= day) return null;
  return policy.inForce.findLast((version) => version.entry.effectiveFrom <= day) ?? null;
}

function dayBefore(day: PlainDate): PlainDate {
  return new Date(Date.parse(`${day}T00:00:00Z`) - 86_400_000).toISOString().slice(0, 10);
}
