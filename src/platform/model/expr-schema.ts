import { AppError } from '../errors.ts';
import type { ExprField, ExprObject, ExprSchema, ExprType, FunctionTable, TypedExpression } from '../expression/types.ts';
import type { CalendarFile, PolicyFile } from '../metadata/types.ts';
import { fieldType } from './field-types.ts';
import { readTable } from './read-table.sql.ts';
import type { FieldModel, ToManyModel } from './types.ts';

/** An object as far as expressions need it. */
export interface SchemaObject {
  readonly name: string;
  readonly table: string;
  readonly fields: ReadonlyMap<string, FieldModel>;
  readonly toMany: ReadonlyMap<string, ToManyModel>;
}

export interface SchemaInput {
  readonly schema: string;
  readonly objects: ReadonlyMap<string, SchemaObject>;
  readonly policies: ReadonlyMap<string, PolicyFile>;
  readonly calendars: ReadonlyMap<string, CalendarFile>;
  readonly functions: FunctionTable;
  /** Compiles a formula when it is first looked at, so that formulas of formulas come in the order of their need. */
  readonly formula: (object: string, field: string) => TypedExpression;
}

/** What expressions are checked against, made from the fields of all objects. */
export function makeExprSchema(input: SchemaInput): ExprSchema {
  const objects = new Map<string, ExprObject>();
  for (const object of input.objects.values()) objects.set(object.name, exprObject(object, input));
  const policies = new Map([...input.policies].map(([name, file]) => [name, policyTypes(file)]));
  return {
    object: (name) => objects.get(name),
    table: (name) => {
      const object = input.objects.get(name);
      if (object === undefined) throw new AppError('internal', `There is no object ${name} to name a table of.`);
      return readTable(input.schema, object);
    },
    policy: (name) => policies.get(name),
    hasCalendar: (name) => input.calendars.has(name),
    policyNames: [...policies.keys()],
    calendarNames: [...input.calendars.keys()],
    functions: input.functions,
  };
}

function exprObject(object: SchemaObject, input: SchemaInput): ExprObject {
  const fields = new Map<string, ExprField>();
  for (const field of object.fields.values()) fields.set(field.name, exprField(object.name, field, input));
  for (const relation of object.toMany.values()) fields.set(relation.name, { kind: 'many', name: relation.name, object: relation.object, via: relation.via });
  return { name: object.name, fields };
}

function exprField(object: string, field: FieldModel, input: SchemaInput): ExprField {
  const { name, column } = field;
  if (column === null) {
    return {
      kind: 'formula',
      name,
      type: valueType(field),
      get tree() {
        return input.formula(object, name);
      },
    };
  }
  const target = field.ref?.to[0];
  if (field.kind === 'reference' && target !== undefined) return { kind: 'one', name, object: target, column };
  return {
    kind: 'value',
    name,
    type: valueType(field),
    column,
    ...(field.sortColumn === null ? {} : { sortColumn: field.sortColumn, ordered: field.ordered }),
  };
}

/** Type of a field's value in expressions. */
export function valueType(field: FieldModel): ExprType {
  return fieldType(field).expression;
}

const RESULT_TYPES: Readonly<Record<string, ExprType>> = {
  duration: { kind: 'duration' },
  number: { kind: 'number' },
  text: { kind: 'text' },
  boolean: { kind: 'boolean' },
  date: { kind: 'date' },
  instant: { kind: 'instant' },
  list: { kind: 'list', of: { kind: 'text' } },
};

/** The expression type of a policy's key or result (`duration?` may be null, as every value may). */
export function policyType(name: string): ExprType {
  return RESULT_TYPES[name.replace(/\?$/, '')] ?? { kind: 'json' };
}

function policyTypes(file: PolicyFile): {
  readonly keys: Readonly<Record<string, ExprType>> | undefined;
  readonly object: string | undefined;
  readonly results: Readonly<Record<string, ExprType>>;
} {
  const typed = (entries: Readonly<Record<string, string>>): Readonly<Record<string, ExprType>> =>
    Object.fromEntries(Object.entries(entries).map(([name, type]) => [name, policyType(type)]));
  return { keys: file.keys === undefined ? undefined : typed(file.keys), object: file.object, results: typed(file.results) };
}

/** Whether a value of one type may be stored where the other is wanted. */
export function isAssignable(from: ExprType, to: ExprType): boolean {
  if (from.kind === 'null' || to.kind === 'json') return true;
  if (from.kind === 'list' && to.kind === 'list') return isAssignable(from.of, to.of);
  if (to.kind === 'uuid') return from.kind === 'uuid' || from.kind === 'record' || from.kind === 'text';
  if (to.kind === 'text') return from.kind === 'text' || from.kind === 'uuid';
  if (to.kind === 'duration') return from.kind === 'duration' || from.kind === 'text';
  return from.kind === to.kind;
}

/** A type in words, for messages. */
export function typeWords(type: ExprType): string {
  if (type.kind === 'list') return `list of ${typeWords(type.of)}`;
  return type.kind === 'record' ? `reference to ${type.object}` : type.kind;
}
