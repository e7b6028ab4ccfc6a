import { AppError, isAppError, type ErrorDetail } from '../errors.ts';
import { checkExpression } from '../expression/check.ts';
import { CORE_FUNCTIONS } from '../expression/functions.ts';
import type { ExprSchema, ExprType, FunctionTable, TypedExpression } from '../expression/types.ts';
import { BUILTIN_OBJECTS, metadataPointer, RESERVED_FIELDS } from '../metadata/kinds.ts';
import { invalidMetadata } from '../metadata/load.ts';
import { contentHash, toStored } from '../metadata/store-form.ts';
import { suggestion } from '../metadata/suggest.ts';
import type { MetadataSet, ObjectFile, PathFile } from '../metadata/types.ts';
import type { PolicyApprovals } from './approvals.ts';
import { calendarsOf } from './calendars.ts';
import { CALLER_VARIABLES, type CheckAt } from './check-at.ts';
import { checkField } from './check-field.ts';
import { compileEffective } from './effective.ts';
import { cachedChecker } from './expression-cache.ts';
import { isAssignable, makeExprSchema, typeWords, valueType } from './expr-schema.ts';
import { fieldPointer, ownFields, userFields, systemFields, USER_OBJECT, wordsOf } from './fields.ts';
import { deepFreeze } from './freeze.ts';
import { compilePath } from './paths.ts';
import { checkDerived, compileRollup } from './rollups.ts';
import type { PhysicalNames } from './physical.ts';
import { atOnce, inSlices, type Steps } from './slices.ts';
import type { CheckModel, FieldModel, Model, ObjectModel, PathModel, ToManyModel } from './types.ts';
import { compileValidate } from './validate.ts';

/** What other parts and domain modules add to the Model. */
export interface ModelExtensions {
  /** Functions for expressions, beside the platform's own. */
  readonly functions?: FunctionTable;
  /** Further checks before metadata is applied, such as those of rules. */
  readonly checks?: readonly ((model: Model) => readonly ErrorDetail[])[];
  /** What is not wrong and should be known when metadata is planned or checked. */
  readonly remarks?: readonly ((
    model: Model,
  ) => readonly { readonly pointer: string; readonly code: 'looser_than_floor'; readonly detail: string; readonly fix: string }[])[];
  /** Tests that stand in the metadata. They are run where somebody checks or changes it, and only when all else is in order. */
  readonly tests?: readonly ((model: Model) => readonly ErrorDetail[])[];
}

export interface CompileInput {
  /** With all ids given (`completeIds`). */
  readonly set: MetadataSet;
  readonly physical: PhysicalNames;
  readonly version: number;
  /** PostgreSQL schema of the tenant. */
  readonly schema: string;
  readonly extensions: ModelExtensions;
  /** The fingerprint of the set, when it is known; else it is made. */
  readonly hash?: string;
  /** Which content of policies was approved; without it the files' own word counts. */
  readonly approvals?: PolicyApprovals | null;
}

interface Draft {
  readonly id: string;
  readonly name: string;
  readonly file: ObjectFile | null;
  readonly table: string;
  readonly fields: Map<string, FieldModel>;
  readonly toMany: Map<string, ToManyModel>;
}

/**
 * Compiles metadata into the frozen Model.
 * @throws AppError metadata_invalid with every finding at once
 */
export function compileModel(input: CompileInput): Model {
  return soundModel(atOnce(compileInSteps(input)));
}

/**
 * Compiles metadata into the frozen Model in slices: a server goes on answering meanwhile.
 * @throws AppError metadata_invalid with every finding at once
 */
export async function compileModelInSlices(input: CompileInput): Promise<Model> {
  return soundModel(await compileInSlices(input));
}

function soundModel({ model, errors }: Compiled): Model {
  if (errors.length > 0) throw invalidMetadata(errors);
  return model;
}

interface Compiled {
  readonly model: Model;
  readonly errors: ErrorDetail[];
  readonly checkAt: CheckAt;
}

/** Compiles as far as it goes: the Model holds what is sound, the findings say what is not. Further findings may be added. */
export function compile(input: CompileInput): Compiled {
  return atOnce(compileInSteps(input));
}

/** The same in slices. */
export function compileInSlices(input: CompileInput): Promise<Compiled> {
  return inSlices(compileInSteps(input));
}

/** The same, part by part. */
function* compileInSteps(input: CompileInput): Steps<Compiled> {
  const errors: ErrorDetail[] = [];
  const { set } = input;
  const paths = pathsByObject(set, errors);
  const drafts = yield* draftObjects(input, paths, errors);
  linkToMany(drafts, errors);
  yield;
  const functions: FunctionTable = new Map([...CORE_FUNCTIONS, ...(input.extensions.functions ?? [])]);

  const formulas = new Map<string, TypedExpression>();
  const running: string[] = [];
  const formula = (object: string, field: string): TypedExpression => {
    const key = `${object}.${field}`;
    const known = formulas.get(key);
    if (known !== undefined) return known;
    if (running.includes(key))
      throw new AppError('invalid_expression', `The formulas ${[...running.slice(running.indexOf(key)), key].join(' -> ')} need each other in a circle.`);
    const text = set.objects.get(object)?.properties[field]?.['x-formula'];
    if (text === undefined) throw new AppError('internal', `${key} is no formula.`);
    running.push(key);
    try {
      const checked = checkExpression(text, expressions, { object });
      // Looking at every formula that this one reads finds circles, whatever the checker itself looks at.
      for (const read of checked.reads) for (const step of read.steps) if (step.kind === 'formula') formula(step.object, step.field);
      formulas.set(key, checked);
      return checked;
    } finally {
      running.pop();
    }
  };
  const expressions: ExprSchema = makeExprSchema({
    schema: input.schema,
    objects: drafts,
    policies: set.policies,
    calendars: set.calendars,
    functions,
    formula,
  });

  const noted = (pointer: string, work: () => TypedExpression): TypedExpression | null => {
    try {
      return work();
    } catch (error) {
      if (!isAppError(error, 'invalid_expression')) throw error;
      const fix = error.errors[0]?.fix;
      errors.push({ pointer, code: 'invalid_expression', detail: error.message, ...(fix === undefined ? {} : { fix }) });
      return null;
    }
  };
  const typed = (pointer: string, wanted: ExprType | null | undefined, work: () => TypedExpression): TypedExpression | null => {
    const found = noted(pointer, work);
    if (found === null || wanted === null || wanted === undefined || isAssignable(found.type, wanted)) return found;
    errors.push({ pointer, code: 'wrong_type', detail: `"${found.text}" is ${typeWords(found.type)} where ${typeWords(wanted)} is needed.` });
    return null;
  };
  const checkAt: CheckAt = (text, object, pointer, wanted, variables) =>
    typed(pointer, wanted, () => checkExpression(text, expressions, { object, ...(variables === undefined ? {} : { variables }) }));

  const objects = new Map<string, ObjectModel>();
  for (const draft of drafts.values()) {
    const pointer = (rest: string): string => metadataPointer('objects', draft.name, rest);
    for (const field of draft.fields.values()) {
      const schema = draft.file?.properties[field.name];
      if (schema === undefined || field.system) continue;
      const formulaModel =
        field.kind === 'formula' ? typed(pointer(fieldPointer(field.name, '/x-formula')), valueType(field), () => formula(draft.name, field.name)) : null;
      const fallback = schema['x-default'];
      const defaultValue =
        fallback === undefined ? null : checkAt(fallback, draft.name, pointer(fieldPointer(field.name, '/x-default')), valueType(field), CALLER_VARIABLES);
      const annotation = schema['x-rollup'];
      const rollup =
        annotation === undefined
          ? null
          : compileRollup({
              annotation,
              field,
              owner: draft,
              objects: drafts,
              schema: input.schema,
              checkAt,
              errors,
              pointer: (rest) => pointer(fieldPointer(field.name, `/x-rollup${rest}`)),
            });
      draft.fields.set(field.name, { ...field, formula: formulaModel, rollup, defaultValue });
      if (formulaModel !== null || rollup !== null || defaultValue !== null) yield;
    }
    const path = paths.get(draft.name);
    const pathModel = path === undefined ? null : compilePath(path, draft.fields, checkAt, errors);
    yield;
    const validate = compileValidate(draft.fields);
    yield;
    objects.set(draft.name, finishObject(draft, pathModel, checkAt, errors, validate, set.valueSets));
  }
  yield;
  errors.push(...checkDerived(objects, (object, field, rest) => metadataPointer('objects', object, fieldPointer(field, rest))));
  yield;
  const calendarLookup = calendarsOf(set, errors);
  yield;
  const model: Model = {
    version: input.version,
    hash: input.hash ?? contentHash(toStored(set)),
    schema: input.schema,
    objects,
    forms: new Map(set.forms),
    views: new Map(set.views),
    layouts: new Map(set.layouts),
    rules: new Map(set.rules),
    policies: new Map(set.policies),
    approvals: input.approvals ?? null,
    calendars: new Map(set.calendars),
    permissions: new Map(set.permissions),
    mailboxes: new Map(set.mailboxes),
    imports: new Map(set.imports),
    reports: new Map(set.reports),
    matching: new Map(set.matching),
    valueSets: new Map(set.valueSets),
    templates: new Map(set.templates),
    source: set,
    expressions,
    functions,
    calendarLookup,
    expression: cachedChecker(expressions),
  };
  return { model: yield* freezeModel(model), errors, checkAt };
}

/** Freezes all data of the Model; what computes (the schema of expressions, functions, calendars) is left to itself. */
function* freezeModel(model: Model): Steps<Model> {
  const computing: readonly unknown[] = [model.expressions, model.functions, model.calendarLookup];
  const seen = new WeakSet<object>();
  for (const object of model.objects.values()) {
    deepFreeze(object, seen);
    yield;
  }
  for (const member of Object.values(model)) {
    if (computing.includes(member)) continue;
    deepFreeze(member, seen);
    yield;
  }
  return Object.freeze(model);
}

function pathsByObject(set: MetadataSet, errors: ErrorDetail[]): ReadonlyMap<string, PathFile> {
  const paths = new Map<string, PathFile>();
  for (const path of set.paths.values()) {
    const other = paths.get(path.object);
    if (other !== undefined)
      errors.push({
        pointer: metadataPointer('paths', path.name, '/object'),
        code: 'duplicate_path',
        detail: `${path.object} already has the path ${other.name}.`,
      });
    else if (set.objects.has(path.object)) paths.set(path.object, path);
    else
      errors.push({
        pointer: metadataPointer('paths', path.name, '/object'),
        code: 'unknown_object',
        detail: `There is no object "${path.object}".`,
        ...suggestion(path.object, set.objects.keys()),
      });
  }
  return paths;
}

function* draftObjects(input: CompileInput, paths: ReadonlyMap<string, PathFile>, errors: ErrorDetail[]): Steps<ReadonlyMap<string, Draft>> {
  const { set, physical } = input;
  const drafts = new Map<string, Draft>();
  drafts.set(USER_OBJECT, { id: USER_OBJECT, name: USER_OBJECT, file: null, table: 'app_user', fields: byName(userFields()), toMany: new Map() });
  for (const [name, file] of set.objects) {
    if (BUILTIN_OBJECTS.has(name)) {
      errors.push({
        pointer: metadataPointer('objects', name),
        code: 'reserved_name',
        detail: `${name} is provided by the platform.`,
        fix: 'Choose another name.',
      });
      continue;
    }
    const id = file['x-object'].id ?? '';
    for (const fieldName of Object.keys(file.properties)) {
      if (RESERVED_FIELDS.has(fieldName)) {
        errors.push({
          pointer: metadataPointer('objects', name, fieldPointer(fieldName)),
          code: 'reserved_name',
          detail: `The API uses "${fieldName}" itself.`,
          fix: 'Choose another field name.',
        });
      }
    }
    const fields = byName([...systemFields(), ...ownFields(name, file, set, paths.get(name), physical).filter((field) => !RESERVED_FIELDS.has(field.name))]);
    const table = physical.get(id)?.physical;
    if (table === undefined) throw new AppError('internal', `${name} has no physical name: plan the names before compiling.`);
    drafts.set(name, { id, name, file, table, fields, toMany: new Map() });
    yield;
  }
  return drafts;
}

function byName(fields: readonly FieldModel[]): Map<string, FieldModel> {
  return new Map(fields.map((field) => [field.name, field]));
}

/** Puts the to-many path of each reference on the object that it points at. References to nowhere lose their target. */
function linkToMany(drafts: ReadonlyMap<string, Draft>, errors: ErrorDetail[]): void {
  for (const draft of drafts.values()) {
    for (const field of [...draft.fields.values()]) {
      if (field.ref === null) continue;
      const pointer = metadataPointer('objects', draft.name, fieldPointer(field.name, '/x-ref'));
      const known = field.ref.to.filter((target) => {
        if (drafts.has(target)) return true;
        errors.push({ pointer: `${pointer}/to`, code: 'unknown_object', detail: `There is no object "${target}".`, ...suggestion(target, drafts.keys()) });
        return false;
      });
      if (known.length < field.ref.to.length) draft.fields.set(field.name, { ...field, ref: { ...field.ref, to: known } });
      const as = field.ref.as;
      if (as === null) continue;
      for (const target of known.flatMap((name) => drafts.get(name) ?? [])) {
        if (target.fields.has(as) || target.toMany.has(as))
          errors.push({
            pointer: `${pointer}/as`,
            code: 'duplicate_name',
            detail: `${target.name} already has a field or path "${as}".`,
            fix: 'Choose another name for the path.',
          });
        else target.toMany.set(as, { name: as, object: draft.name, via: field.name });
      }
    }
  }
}

function finishObject(
  draft: Draft,
  path: PathModel | null,
  checkAt: CheckAt,
  errors: ErrorDetail[],
  validate: ObjectModel['validate'],
  valueSets: MetadataSet['valueSets'],
): ObjectModel {
  const { file, fields, name } = draft;
  const known = (field: string, pointer: string): boolean => {
    if (fields.has(field)) return true;
    errors.push({
      pointer: metadataPointer('objects', name, pointer),
      code: 'unknown_field',
      detail: `${name} has no field "${field}".`,
      ...suggestion(field, fields.keys()),
    });
    return false;
  };
  const checks = (file?.['x-checks'] ?? []).flatMap((check, index): readonly CheckModel[] => {
    if (check.field !== undefined) known(check.field, `/x-checks/${String(index)}/field`);
    const expression = checkAt(check.assert, name, metadataPointer('objects', name, `/x-checks/${String(index)}/assert`), { kind: 'boolean' });
    return expression === null ? [] : [{ ...check, expression }];
  });
  (file?.required ?? []).forEach((field, index) => known(field, `/required/${String(index)}`));
  const dated = compileEffective({
    object: name,
    file,
    fields,
    checkAt,
    errors,
    pointer: (rest) => metadataPointer('objects', name, `/x-effective${rest}`),
  });
  const unique = (file?.['x-unique'] ?? []).filter((list, row) => list.every((field, index) => known(field, `/x-unique/${String(row)}/${String(index)}`)));
  const search = (file?.['x-object'].search ?? []).filter((field, index) => known(field, `/x-object/search/${String(index)}`));
  const searched = [...fields.values()].filter((field) => field.searchable && !search.includes(field.name)).map((field) => field.name);
  const parts = nameParts(file?.['x-object'].name ?? '{name}');
  for (const part of parts) if ('field' in part) known(part.field, '/x-object/name');
  for (const field of fields.values()) checkField(draft, field, valueSets, errors);
  return {
    id: draft.id,
    name,
    label: file?.title ?? wordsOf(name),
    plural: file?.['x-object'].plural ?? 'Users',
    description: file?.description ?? null,
    icon: file?.['x-object'].icon ?? null,
    builtin: file === null,
    sharing: file?.['x-object'].sharing ?? (file === null ? 'public' : 'private'),
    table: draft.table,
    fields,
    toMany: draft.toMany,
    nameParts: parts.filter((part) => 'text' in part || fields.has(part.field)),
    checks: [...checks, ...dated.checks],
    unique,
    effective: dated.effective,
    path,
    search: [...search, ...searched],
    validate,
  };
}

/** `"{number} ({state})"` as its parts. */
export function nameParts(template: string): ObjectModel['nameParts'] {
  return template
    .split(/(\{[A-Za-z][A-Za-z0-9]*\})/)
    .filter((part) => part !== '')
    .map((part) => (part.startsWith('{') && part.endsWith('}') ? { field: part.slice(1, -1) } : { text: part }));
}
