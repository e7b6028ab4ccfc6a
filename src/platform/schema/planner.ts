import type { Knex } from 'knex';
import type { Clock } from '../clock.ts';
import { completeIds } from '../metadata/assign-ids.ts';
import { invalidMetadata, overlay, type MetadataPackage } from '../metadata/load.ts';
import { mergeSets, type MergeConflict } from '../metadata/merge.ts';
import type { MetadataSet } from '../metadata/types.ts';
import { checkInSteps } from '../model/check.ts';
import { compile, compileInSlices, type ModelExtensions } from '../model/compile.ts';
import { planPhysicalNames } from '../model/physical.ts';
import { inSlices } from '../model/slices.ts';
import type { Model } from '../model/types.ts';
import { schemaOf } from '../sql.ts';
import { readApprovals } from './approvals.sql.ts';
import { readCatalogue } from './catalogue.sql.ts';
import { examine } from './examine.sql.ts';
import { findFillers } from './fillers.ts';
import { findMentions } from './mentions.ts';
import { readRemembered, rememberedTables } from './names.sql.ts';
import { approvalSteps, policyRemarks } from './plan-approvals.ts';
import { draftPlan, idsIn, inOrder, knownIds, leftColumns, planHash } from './plan.ts';
import { findRetypes, rewrittenFields, type RetypeInput } from './retypes.ts';
import type { DraftStep } from './step.ts';
import type { Remembered, SchemaPlan, SchemaStep } from './types.ts';
import { currentVersion, readVersion, type Recorded } from './versions.sql.ts';

/** What somebody wants the metadata to be. */
export type Wish =
  /** The files say so; local changes stay over them. */
  | { readonly kind: 'files'; readonly set: MetadataSet; /** `kept`: the one applied last. */ readonly package: MetadataPackage | 'kept' | null }
  /** A local change of what is in force. */
  | { readonly kind: 'change'; readonly set: MetadataSet }
  /** As it was at a version. */
  | { readonly kind: 'return'; readonly version: number };

export interface PlanOptions {
  /** Also drop what has been hidden for long enough. */
  readonly allowDestructive?: boolean;
  /** Run the tests that stand in the metadata (default true). A start does not: what is in force must not keep a process from starting. */
  readonly withTests?: boolean;
}

export interface Planner {
  readonly db: Knex;
  readonly clock: Clock;
  readonly extensions: ModelExtensions;
  /** The Model of a version, when somebody has it already. */
  readonly known: (version: number) => Model | null;
}

/** A plan with what applying it needs to know. */
export interface Planned {
  readonly plan: SchemaPlan;
  readonly recorded: Recorded;
  readonly remembered: Remembered;
  /** What will be recorded as the files, and the package among them. */
  readonly files: MetadataSet;
  readonly package: MetadataPackage | null;
  readonly model: Model;
  /** The recorded Model; made when it is first asked for. */
  readonly before: () => Model;
}

/**
 * Plans a wish against the record and the live catalogue. Reads only.
 * @throws AppError metadata_invalid with every finding, not_found for a version that does not exist
 */
export async function planWish({ db, clock, extensions, known }: Planner, wish: Wish, options: PlanOptions): Promise<Planned> {
  const schema = schemaOf(db);
  const recorded = await readVersion(db, await currentVersion(db));
  const remembered = await readRemembered(db);
  const { set, files, package: laid, conflicts } = await wanted(db, wish, recorded, remembered);
  const live = await readCatalogue(db, rememberedTables(remembered));
  const approvals = await readApprovals(db);
  const input: RetypeInput = { recorded: recorded.set, wanted: set, remembered, live };
  const modelOf = (rewritten: ReadonlySet<string>): ReturnType<typeof compileInSlices> => {
    const physical = planPhysicalNames(set, remembered.names, remembered.kept, rewritten);
    return compileInSlices({ set, physical, version: recorded.version + 1, schema, extensions, approvals });
  };
  const first = await modelOf(new Set());
  const errors = await inSlices(checkInSteps(first, extensions, { withTests: options.withTests !== false && wish.kind !== 'return' }));
  if (errors.length > 0) throw invalidMetadata(errors);
  const names = planPhysicalNames(set, remembered.names, remembered.kept);
  const rewritten = await rewrittenFields(db, input, names, first.model);
  const physical = rewritten.size === 0 ? names : planPhysicalNames(set, remembered.names, remembered.kept, rewritten);
  const model = rewritten.size === 0 ? first.model : (await modelOf(rewritten)).model;
  const namesBefore = recorded.names ?? remembered.names;
  let made = known(recorded.version);
  const before = (): Model => (made ??= compile({ set: recorded.set, physical: namesBefore, version: recorded.version, schema, extensions, approvals }).model);
  const mentions = (object: string, field: string | null) => findMentions(before(), object, field);
  const planInput = {
    schema,
    now: clock.now(),
    recorded: recorded.set,
    wanted: set,
    remembered,
    physical,
    live,
    retypes: await findRetypes(db, input, physical, model, before, mentions),
    fillers: findFillers(set, remembered, model, clock.now()),
    mentions,
    allowDestructive: options.allowDestructive === true,
    isReturn: wish.kind === 'return',
  };
  const steps = inOrder([
    ...(await settled(db, draftPlan(planInput))),
    ...approvalSteps(recorded.set, set, approvals),
    ...policyRemarks(recorded.set, set, model, extensions),
  ]);
  const given = new Set([...givenIds(wish), ...idsIn(recorded.set).keys(), ...idsIn(recorded.files).keys(), ...remembered.names.keys()]);
  const plan = { steps, hash: planHash(set, physical, given, steps), wanted: set, physical, leaves: leftColumns(planInput), conflicts };
  return { plan, recorded, remembered, files, package: laid, model, before };
}

interface Wanted {
  readonly set: MetadataSet;
  readonly files: MetadataSet;
  readonly package: MetadataPackage | null;
  readonly conflicts: readonly MergeConflict[];
}

async function wanted(db: Knex, wish: Wish, recorded: Recorded, remembered: Remembered): Promise<Wanted> {
  const ids = knownIds(recorded.set, remembered.names);
  switch (wish.kind) {
    case 'files': {
      const laid = wish.package === 'kept' ? recorded.package : wish.package;
      const files = completeIds(laid === null ? wish.set : overlay(wish.set, laid), knownIds(recorded.files, remembered.names));
      const merged = recorded.files === recorded.set ? { set: files, conflicts: [] } : mergeSets(recorded.files, recorded.set, files);
      return { ...merged, files, package: laid };
    }
    case 'change':
      return { set: completeIds(wish.set, ids), files: recorded.files, package: recorded.package, conflicts: [] };
    case 'return': {
      const then = await readVersion(db, wish.version);
      return { set: then.set, files: then.files, package: then.package, conflicts: [] };
    }
  }
}

/** Ids that the wish itself gives. */
function givenIds(wish: Wish): readonly string[] {
  if (wish.kind === 'return') return [];
  const laid = wish.kind === 'files' && wish.package !== null && wish.package !== 'kept' ? [...idsIn(wish.package.set).keys()] : [];
  return [...idsIn(wish.set).keys(), ...laid];
}

/** Asks the data about the steps that depend on it. */
async function settled(db: Knex, drafts: readonly DraftStep[]): Promise<readonly SchemaStep[]> {
  const steps: SchemaStep[] = [];
  for (const { step, asks } of drafts) {
    if (asks === undefined) {
      steps.push(step);
      continue;
    }
    const { count, records } = await examine(db, asks.question);
    const instead = count === 0 ? step : asks.otherwise(count, { code: asks.question.kind, detail: step.description, count, records });
    if (instead !== null) steps.push(instead);
  }
  return steps;
}
