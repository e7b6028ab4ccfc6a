import { idsOf, requiredId, type KnownIds } from '../metadata/assign-ids.ts';
import { emptySet, KINDS } from '../metadata/kinds.ts';
import { canonicalJson, contentHash, toStored } from '../metadata/store-form.ts';
import type { MetadataSet } from '../metadata/types.ts';
import { planPhysicalNames, type KeptColumn, type PhysicalNames } from '../model/physical.ts';
import { EXCLUDING, exclusionSteps, overlapSteps } from './plan-effective.ts';
import { checkSteps, droppedIndexes, filledKeySteps, indexSteps, keySteps, looseningSteps } from './plan-keys.ts';
import { destructiveSteps, namingSteps } from './plan-retire.ts';
import { fillSteps, leftFills, settleSteps, stuckRetypes, switchSteps } from './plan-retype.ts';
import { searchSteps } from './plan-search.ts';
import { brokenTables, dropFillers, newColumns, newTable } from './plan-tables.ts';
import { metadataStep, type DraftStep, type PlanContext, type PlanInput } from './step.ts';
import { tableSpecs, type TableSpec } from './table-spec.ts';
import type { Catalogue, SchemaStep } from './types.ts';

/**
 * Compares what is wanted with what is recorded and what stands in the database. Pure; some steps still depend on the data.
 * Applying the plan and planning again gives nothing.
 */
export function draftPlan(input: PlanInput): readonly DraftStep[] {
  const specs = tableSpecs(input.wanted, input.physical, input.schema);
  const objectsBefore = new Map([...input.recorded.objects].map(([name, file]) => [requiredId(file['x-object'].id, name), name]));
  const context: PlanContext = { ...input, specs, before: fieldIds(input.recorded), objectsBefore };
  const each = (plan: (spec: TableSpec, context: PlanContext) => readonly SchemaStep[]): readonly DraftStep[] =>
    specs.flatMap((spec) => plan(spec, context)).map((step) => ({ step }));
  const eachDraft = (plan: (spec: TableSpec, context: PlanContext) => readonly DraftStep[]): readonly DraftStep[] =>
    specs.flatMap((spec) => plan(spec, context));
  const all = (steps: readonly SchemaStep[]): readonly DraftStep[] => steps.map((step) => ({ step }));
  return [
    ...each(brokenTables),
    ...all(stuckRetypes(context)),
    ...all(leftFills(context)),
    ...each(newTable),
    ...eachDraft(newColumns),
    ...each(fillSteps),
    ...eachDraft(keySteps),
    ...eachDraft(filledKeySteps),
    ...eachDraft(indexSteps),
    ...eachDraft(checkSteps),
    ...eachDraft(exclusionSteps),
    ...each(looseningSteps),
    ...each(overlapSteps),
    ...each(dropFillers),
    ...each(switchSteps),
    ...each(searchSteps),
    ...all(namingSteps(context)),
    ...all(contentSteps(input.recorded, input.wanted)),
    ...each(settleSteps),
    ...each(droppedIndexes),
    ...all(destructiveSteps(context)),
  ];
}

const EMPTY_CATALOGUE: Catalogue = {
  tables: new Map(),
  indexes: new Map(),
  constraints: new Map(),
  triggers: new Set(),
  filled: new Map(),
  columnsEver: new Map(),
  extensions: new Map([[EXCLUDING, null]]),
};

/** The steps that make a set's tables in a database that has none of them. `wanted` has all its ids. Pure. */
export function planFromNothing(schema: string, wanted: MetadataSet): { readonly steps: readonly SchemaStep[]; readonly physical: PhysicalNames } {
  const physical = planPhysicalNames(wanted, new Map());
  const drafts = draftPlan({
    schema,
    now: '1970-01-01T00:00:00.000Z',
    recorded: emptySet(),
    wanted,
    remembered: { names: new Map(), kept: [], fills: [] },
    physical,
    live: EMPTY_CATALOGUE,
    retypes: [],
    fillers: new Map(),
    mentions: () => [],
    allowDestructive: false,
    isReturn: false,
  });
  return { steps: inOrder(drafts.map((draft) => draft.step)), physical };
}

/** Steps in the order in which they run: before the version, with it, after it. */
export function inOrder(steps: readonly SchemaStep[]): readonly SchemaStep[] {
  const rank = { before: 0, with: 1, after: 2 } as const;
  return [...steps].sort((left, right) => rank[left.time] - rank[right.time]);
}

/**
 * Fingerprint of what a plan would do; the same as long as nothing that matters has changed. Ids and names that this plan
 * gives for the first time are random, so their places stand for them.
 * @param given ids that were there before the plan
 */
export function planHash(wanted: MetadataSet, physical: PhysicalNames, given: ReadonlySet<string>, steps: readonly SchemaStep[]): string {
  const content = {
    set: toStored(wanted),
    steps: steps.map((step) => [step.class, step.sql, step.fill?.phase ?? null, step.fill?.task.target.physical ?? null]),
  };
  const places = new Map<string, string>();
  for (const [id, place] of idsIn(wanted)) if (!given.has(id)) places.set(id, place);
  for (const name of physical.values()) if (!given.has(name.id)) places.set(name.physical, places.get(name.id) ?? name.name);
  // Keys over several fields are named after their columns.
  const text = canonicalJson(content).replaceAll(/_[0-9a-f]{10}_(u|e)\b/g, '_$1');
  if (places.size === 0) return contentHash(text);
  const words = [...places.keys()].sort((left, right) => right.length - left.length);
  return contentHash(text.replaceAll(new RegExp(words.map((word) => word.replaceAll('$', String.raw`\$`)).join('|'), 'g'), (word) => places.get(word) ?? word));
}

/** Every id of a set, with the place that has it. */
export function idsIn(set: MetadataSet): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  for (const [name, file] of set.objects) {
    found.set(file['x-object'].id ?? '', `objects/${name}`);
    for (const [field, schema] of Object.entries(file.properties)) found.set(schema['x-id'] ?? '', `objects/${name}/${field}`);
  }
  for (const { kind } of KINDS) if (kind !== 'objects') for (const [name, file] of set[kind]) found.set(file.id ?? '', `${kind}/${name}`);
  found.delete('');
  return found;
}

/** Columns that the plan leaves: the old ones of fields that change their type, and of fields that are computed from now on. */
export function leftColumns(input: PlanInput): readonly KeptColumn[] {
  return [...input.remembered.names.values()].flatMap((known): readonly KeptColumn[] => {
    const next = input.physical.get(known.id);
    if (known.kind !== 'field' || next === undefined || known.shape === null || known.objectId === null) return [];
    if (next.shape !== null && next.physical === known.physical) return [];
    const { objectId, id, name, physical, sortPhysical, shape, valueKind } = known;
    return [{ objectId, fieldId: id, name, physical, sortPhysical, shape, valueKind, keptAt: input.now }];
  });
}

function fieldIds(set: MetadataSet): ReadonlySet<string> {
  return new Set([...set.objects.values()].flatMap((file) => Object.values(file.properties).flatMap((field) => field['x-id'] ?? [])));
}

/** One step for everything in the files that is new, changed or gone. */
function contentSteps(recorded: MetadataSet, wanted: MetadataSet): readonly SchemaStep[] {
  const steps: SchemaStep[] = [];
  const compare = (noun: string, before: ReadonlyMap<string, unknown>, after: ReadonlyMap<string, unknown>): void => {
    for (const [name, file] of after) {
      const known = before.get(name);
      if (known === undefined) steps.push(metadataStep(`Add the ${noun} ${name}`));
      else if (fingerprint(known) !== fingerprint(file)) steps.push(metadataStep(`Change the ${noun} ${name}`));
    }
    for (const name of before.keys()) if (!after.has(name)) steps.push(metadataStep(`Remove the ${noun} ${name}`));
  };
  for (const entry of KINDS) compare(entry.noun, recorded[entry.kind], wanted[entry.kind]);
  compare('template', recorded.templates, wanted.templates);
  return steps;
}

/** Content without regard to the order of keys, but for fields, whose order people see. */
export function fingerprint(file: unknown): string {
  const properties: unknown = typeof file === 'object' && file !== null && 'properties' in file ? file.properties : null;
  return canonicalJson([file, typeof properties === 'object' && properties !== null ? Object.keys(properties) : null]);
}

/**
 * Ids known by name: those of the recorded set, then those of tables and columns made by an apply that did not finish or
 * hidden since, the latest hidden first.
 */
export function knownIds(recorded: MetadataSet, names: PhysicalNames): KnownIds {
  const ids = idsOf(recorded);
  const all = [...names.values()].sort((left, right) => rankOf(right.hiddenAt) - rankOf(left.hiddenAt));
  const object = (name: string): string | undefined => ids.object(name) ?? all.find((entry) => entry.kind === 'object' && entry.name === name)?.id;
  const known = (id: string | undefined): string | undefined => (id === undefined || recordedIds.has(id) ? undefined : id);
  const recordedIds = fieldIds(recorded);
  return {
    object: (name) => object(name),
    field: (objectName, name) =>
      ids.field(objectName, name) ?? known(all.find((entry) => entry.kind === 'field' && entry.name === name && entry.objectId === object(objectName))?.id),
    file: ids.file,
  };
}

function rankOf(hiddenAt: string | null): number {
  return hiddenAt === null ? Number.MAX_SAFE_INTEGER : Date.parse(hiddenAt);
}
