import { idsOf, type KnownIds } from '../metadata/assign-ids.ts';
import { KINDS } from '../metadata/kinds.ts';
import { canonicalJson, contentHash, toStored } from '../metadata/store-form.ts';
import type { MetadataSet } from '../metadata/types.ts';
import { planPhysicalNames, type PhysicalNames } from '../model/physical.ts';
import { ident } from '../sql.ts';
import { tableSpec, type ForeignKeySpec, type IndexSpec, type TableSpec } from './table-spec.ts';
import type { Catalogue, SchemaPlan, SchemaStep } from './types.ts';

export interface PlanInput {
  readonly schema: string;
  /** The set last applied. */
  readonly recorded: MetadataSet;
  readonly recordedNames: PhysicalNames;
  /** The wanted set, with all ids. */
  readonly wanted: MetadataSet;
  readonly live: Catalogue;
}

const LATER = 'Changing stored data in place is not built yet: only additions are carried out.';

/** Compares what is wanted with what is recorded and what stands in the database. Pure; applying the plan and planning again gives nothing. */
export function planSchema(input: PlanInput): SchemaPlan {
  const physical = planPhysicalNames(input.wanted, input.recordedNames);
  const specs = [...input.wanted.objects].map(([name, file]) => tableSpec(name, file, input.wanted, physical, input.schema));
  const context: Context = { ...input, physical, before: fieldsOf(input.recorded) };
  const steps = [
    ...specs.flatMap((spec) => refusals(spec, context)),
    ...dropped(context),
    ...specs.flatMap((spec) => tableSteps(spec, context)),
    ...specs.flatMap((spec) => keySteps(spec, context)),
    ...specs.flatMap((spec) => indexSteps(spec, context)),
    ...metadataSteps(input.recorded, input.wanted),
  ];
  const hash = contentHash({ set: toStored(input.wanted), steps: steps.map((step) => [step.class, step.description, step.sql]) });
  return { steps, hash, wanted: input.wanted, physical };
}

interface Context extends PlanInput {
  readonly physical: PhysicalNames;
  /** Ids of the fields of the recorded set. */
  readonly before: ReadonlySet<string>;
}

function fieldsOf(set: MetadataSet): ReadonlySet<string> {
  return new Set([...set.objects.values()].flatMap((file) => Object.values(file.properties).flatMap((field) => field['x-id'] ?? [])));
}

function step(stepClass: SchemaStep['class'], description: string, sql: readonly string[], lock: string | null, more: Partial<SchemaStep> = {}): SchemaStep {
  return { class: stepClass, description, sql, lock, isTransactional: true, records: [], ...more };
}

function refused(description: string, fix: string): SchemaStep {
  return step('refused', `${description} ${LATER}`, [], null, { fix });
}

function isNew(spec: TableSpec, context: Context): boolean {
  return !context.live.tables.has(spec.table);
}

/** Changes of what is stored already, and tables or columns that should be there and are not. */
function refusals(spec: TableSpec, context: Context): readonly SchemaStep[] {
  const steps: SchemaStep[] = [];
  const wasApplied = [...context.recorded.objects.values()].some((file) => file['x-object'].id === spec.objectId);
  if (wasApplied && isNew(spec, context))
    steps.push(step('refused', `The table of ${spec.objectName} is gone from the database.`, [], null, { fix: 'Restore the database from a backup.' }));
  for (const name of context.recordedNames.values()) {
    const wanted = context.physical.get(name.id);
    if (name.objectId !== spec.objectId || wanted === undefined) continue;
    if (wanted.shape !== name.shape && name.shape !== null) {
      steps.push(
        refused(
          `${spec.objectName}.${wanted.name} would change from ${name.shape} to ${wanted.shape ?? 'a formula'}.`,
          'Keep the field as it is and add a new one beside it.',
        ),
      );
    } else if (
      name.shape !== null &&
      context.before.has(name.id) &&
      !isNew(spec, context) &&
      context.live.tables.get(spec.table)?.has(name.physical) !== true
    ) {
      steps.push(
        step('refused', `The column of ${spec.objectName}.${wanted.name} is gone from the database.`, [], null, { fix: 'Restore the database from a backup.' }),
      );
    }
  }
  return steps;
}

function dropped(context: Context): readonly SchemaStep[] {
  const steps: SchemaStep[] = [];
  for (const [name, file] of context.recorded.objects) {
    const id = file['x-object'].id;
    if (id === undefined || !context.physical.has(id)) {
      steps.push(refused(`The object ${name} would be dropped.`, `Put metadata/objects/${name}.json back, with the id ${id ?? 'it had'}.`));
      continue;
    }
    for (const [fieldName, field] of Object.entries(file.properties)) {
      const fieldId = field['x-id'];
      if (fieldId === undefined || context.physical.has(fieldId) || (context.recordedNames.get(fieldId)?.shape ?? null) === null) continue;
      steps.push(
        refused(
          `The field ${name}.${fieldName} would be dropped.`,
          `Put it back with "x-id": "${fieldId}"; take it out of layouts and permission sets to hide it.`,
        ),
      );
    }
  }
  return steps;
}

/** New tables with all that belongs to them but the foreign keys, which may point at tables made after; new columns. */
function tableSteps(spec: TableSpec, context: Context): readonly SchemaStep[] {
  const on = ident(context.schema, spec.table).text;
  const ids = [spec.objectId, ...[...context.physical.values()].filter((name) => name.objectId === spec.objectId).map((name) => name.id)];
  if (isNew(spec, context)) {
    const list = spec.columns.map((column) => `${ident(column.name).text} ${column.ddl}`).join(', ');
    const statements = [`create table ${on} (${list}) with (fillfactor = 90)`, ...spec.indexes.map((index) => createIndex(index, false))];
    return [step('instant', `Create the table of ${spec.objectName}`, statements, null, { records: ids })];
  }
  const live = context.live.tables.get(spec.table) ?? new Set<string>();
  const missing = spec.columns.filter((column) => column.fieldId !== null && !live.has(column.name) && !context.before.has(column.fieldId));
  const gained = spec.columns.filter(
    (column) =>
      column.fieldId !== null && !live.has(column.name) && context.before.has(column.fieldId) && context.recordedNames.get(column.fieldId)?.shape === null,
  );
  return [...new Set([...missing, ...gained].map((column) => column.fieldId))].flatMap((fieldId) => {
    if (fieldId === null) return [];
    const columns = [...missing, ...gained].filter((column) => column.fieldId === fieldId);
    const statement = `alter table ${on} ${columns.map((column) => `add column ${ident(column.name).text} ${column.ddl}`).join(', ')}`;
    return [
      step('instant', `Add the field ${spec.objectName}.${context.physical.get(fieldId)?.name ?? fieldId}`, [statement], 'ACCESS EXCLUSIVE', {
        records: [fieldId],
      }),
    ];
  });
}

function keySteps(spec: TableSpec, context: Context): readonly SchemaStep[] {
  const on = ident(context.schema, spec.table).text;
  const missing = spec.foreignKeys.filter((key) => !context.live.foreignKeys.has(key.name));
  const unchecked = spec.foreignKeys.filter((key) => context.live.foreignKeys.get(key.name)?.isValid === false);
  const validate = (key: ForeignKeySpec): SchemaStep =>
    step(
      'instant',
      `Check the reference ${spec.objectName}.${key.fieldName}`,
      [`alter table ${on} validate constraint ${ident(key.name).text}`],
      'SHARE UPDATE EXCLUSIVE',
    );
  const add = (key: ForeignKeySpec): string =>
    `alter table ${on} add constraint ${ident(key.name).text} foreign key (${ident(key.column).text}) references ${key.target} (id)`;
  if (isNew(spec, context) || !context.live.filled.has(spec.table)) {
    const statements = missing.map(add);
    return statements.length === 0
      ? unchecked.map(validate)
      : [step('instant', `Tie the references of ${spec.objectName}`, statements, 'SHARE ROW EXCLUSIVE'), ...unchecked.map(validate)];
  }
  return [
    ...missing.flatMap((key) =>
      key.fieldId !== null && isFresh([key.fieldId], context)
        ? [step('instant', `Tie the reference ${spec.objectName}.${key.fieldName}`, [`${add(key)} not valid`], 'SHARE ROW EXCLUSIVE'), validate(key)]
        : [refused(`The reference ${spec.objectName}.${key.fieldName} would be tied to records that exist.`, 'Restore the foreign key, or add a new field.')],
    ),
    ...unchecked.map(validate),
  ];
}

/** True when all rows are still null there: the fields come with this plan. */
function isFresh(fieldIds: readonly string[], context: Context): boolean {
  return fieldIds.length > 0 && fieldIds.some((id) => !context.before.has(id) || context.recordedNames.get(id)?.shape === null);
}

function indexSteps(spec: TableSpec, context: Context): readonly SchemaStep[] {
  if (isNew(spec, context)) return [];
  const wanted = new Set(spec.indexes.map((index) => index.name));
  const steps: SchemaStep[] = [];
  for (const index of spec.indexes) {
    const live = context.live.indexes.get(index.name);
    if (live?.isValid === true) continue;
    const cleanup = live === undefined ? [] : [`drop index ${ident(context.schema, index.name).text}`];
    const what = `${index.isUnique ? 'unique key' : 'index'} on ${spec.objectName}.${index.what}`;
    if (!context.live.filled.has(spec.table)) {
      steps.push(step('instant', `Create the ${what}`, [...cleanup, createIndex(index, false)], 'SHARE'));
    } else if (isFresh(index.fieldIds, context)) {
      const concurrent = [...cleanup.map((text) => text.replace('drop index', 'drop index concurrently')), createIndex(index, true)];
      steps.push(step('online', `Create the ${what}`, concurrent, 'SHARE UPDATE EXCLUSIVE', { isTransactional: false }));
    } else {
      steps.push(refused(`The ${what} would be made over records that exist.`, 'Add it before the object has records, or to a new field.'));
    }
  }
  for (const [name, live] of context.live.indexes) {
    if (live.table !== spec.table || wanted.has(name) || !/_(u|x|o)$/.test(name)) continue;
    steps.push(step('instant', `Drop the index ${name} of ${spec.objectName}`, [`drop index ${ident(context.schema, name).text}`], 'ACCESS EXCLUSIVE'));
  }
  return steps;
}

function createIndex(index: IndexSpec, isConcurrent: boolean): string {
  return `create ${index.isUnique ? 'unique ' : ''}index ${isConcurrent ? 'concurrently ' : ''}${ident(index.name).text} ${index.ddl}`;
}

/** One step for everything in the files that is new, changed or gone. */
function metadataSteps(recorded: MetadataSet, wanted: MetadataSet): readonly SchemaStep[] {
  const steps: SchemaStep[] = [];
  const compare = (noun: string, before: ReadonlyMap<string, unknown>, after: ReadonlyMap<string, unknown>): void => {
    for (const [name, file] of after) {
      const known = before.get(name);
      if (known === undefined) steps.push(step('metadata', `Add the ${noun} ${name}`, [], null));
      else if (fingerprint(known) !== fingerprint(file)) steps.push(step('metadata', `Change the ${noun} ${name}`, [], null));
    }
    for (const name of before.keys()) if (!after.has(name)) steps.push(step('metadata', `Remove the ${noun} ${name}`, [], null));
  };
  for (const entry of KINDS) compare(entry.noun, recorded[entry.kind], wanted[entry.kind]);
  compare('template', recorded.templates, wanted.templates);
  return steps;
}

/** Content without regard to the order of keys, but for fields, whose order people see. */
function fingerprint(file: unknown): string {
  const properties: unknown = typeof file === 'object' && file !== null && 'properties' in file ? file.properties : null;
  return canonicalJson([file, typeof properties === 'object' && properties !== null ? Object.keys(properties) : null]);
}

/** Ids known by name: those of the recorded set, then those of tables and columns made by an apply that did not finish. */
export function knownIds(recorded: MetadataSet, names: PhysicalNames): KnownIds {
  const ids = idsOf(recorded);
  const all = [...names.values()];
  const object = (name: string): string | undefined => ids.object(name) ?? all.find((entry) => entry.kind === 'object' && entry.name === name)?.id;
  return {
    object,
    field: (objectName, name) =>
      ids.field(objectName, name) ?? all.find((entry) => entry.kind === 'field' && entry.name === name && entry.objectId === object(objectName))?.id,
    file: ids.file,
  };
}
