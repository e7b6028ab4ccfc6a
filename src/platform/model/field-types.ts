import { toRfc3339 } from '../db.ts';
import type { ExprType } from '../expression/types.ts';
import type { FieldSchema } from '../metadata/types.ts';
import * as parse from './parse.ts';
import type { FieldKind, FieldModel } from './types.ts';

export type JsonSchema = Readonly<Record<string, unknown>>;
export type FilterOperator = 'equals' | 'notEquals' | 'in' | 'less' | 'greater' | 'between' | 'contains' | 'startsWith' | 'isEmpty';
/** What the table needs to know of a field. */
export type FieldFacts = Pick<FieldModel, 'values' | 'ref' | 'minLength' | 'maxLength' | 'minimum' | 'maximum'>;

/** All that differs between kinds of fields. Nothing else in the product switches on kinds to store, check or show a value. */
export interface FieldType {
  /** Type of the column in DDL and the type to cast bound values to; null when nothing is stored. */
  readonly column: { readonly ddl: string; readonly cast: string } | null;
  readonly expression: ExprType;
  /** Text with an order of its own: has a sort-key column. */
  readonly sortable: boolean;
  readonly operators: readonly FilterOperator[];
  /** Longest value when the field does not say. */
  readonly maxLength: number | null;
  /** JSON Schema of the value as the API shows and takes it. */
  readonly schema: (field: FieldFacts) => JsonSchema;
  /** API, form or CSV input to the stored form; input that cannot be understood stays as it is, for validation to name. */
  readonly parse: (input: unknown, field: FieldFacts) => unknown;
  /** What the database driver answers, to the API's form. Values already in it stay. */
  readonly format: (stored: unknown) => unknown;
  /** The API's form to what is bound in a statement. */
  readonly bind: (value: unknown) => unknown;
  readonly csv: (value: unknown) => string;
  /** Name of the form control. */
  readonly control: string;
}

const TEXT_COLUMN = { ddl: 'text collate "C"', cast: 'text' } as const;
const LIST_COLUMN = { ddl: 'text[] collate "C"', cast: 'text[]' } as const;
const NUMERIC = { ddl: 'numeric', cast: 'numeric' } as const;
const UUID = { ddl: 'uuid', cast: 'uuid' } as const;
const JSONB = { ddl: 'jsonb', cast: 'jsonb' } as const;

const TEXT_OPERATORS = ['equals', 'notEquals', 'in', 'contains', 'startsWith', 'isEmpty'] as const;
const ORDER_OPERATORS = ['equals', 'notEquals', 'in', 'less', 'greater', 'between', 'isEmpty'] as const;
const CHOICE_OPERATORS = ['equals', 'notEquals', 'in', 'isEmpty'] as const;

const same = (value: unknown): unknown => value ?? null;
const nullable = (convert: (value: unknown) => unknown) => (value: unknown) => (value === null || value === undefined ? null : convert(value));
const plain = (value: unknown): string => (value === null || value === undefined ? '' : typeof value === 'object' ? JSON.stringify(value) : String(value));
/** Semicolons between the items; as JSON where an item has some of its own. */
const list = (value: unknown): string => {
  if (!Array.isArray(value)) return plain(value);
  const text = value.map(plain).join(';');
  return value.some((item) => plain(item).includes(';')) || text.startsWith('[') ? JSON.stringify(value) : text;
};

const lengths = (field: FieldFacts, longest: number): JsonSchema => ({
  maxLength: field.maxLength ?? longest,
  ...(field.minLength === null ? {} : { minLength: field.minLength }),
});
const range = (field: FieldFacts): JsonSchema => ({
  ...(field.minimum === null ? {} : { minimum: field.minimum }),
  ...(field.maximum === null ? {} : { maximum: field.maximum }),
});
/** Decimals are strings: their bounds are our own keywords, compared exactly. */
const decimalRange = (field: FieldFacts): JsonSchema => ({
  ...(field.minimum === null ? {} : { 'x-minimum': field.minimum }),
  ...(field.maximum === null ? {} : { 'x-maximum': field.maximum }),
});

function textType(parser: (input: unknown) => unknown, format: string | null, longest: number, control: string, sortable = true): FieldType {
  return {
    column: TEXT_COLUMN,
    expression: { kind: 'text' },
    sortable,
    operators: TEXT_OPERATORS,
    maxLength: longest,
    schema: (field) => ({ type: 'string', ...(format === null ? {} : { format }), ...lengths(field, longest) }),
    parse: nullable(parser),
    format: same,
    bind: same,
    csv: plain,
    control,
  };
}

function decimalType(control: string): FieldType {
  return {
    column: NUMERIC,
    expression: { kind: 'number' },
    sortable: false,
    operators: ORDER_OPERATORS,
    maxLength: null,
    schema: (field) => ({ type: 'string', format: 'decimal', ...decimalRange(field) }),
    parse: nullable(parse.parseDecimal),
    format: nullable((value) => (typeof value === 'number' ? parse.parseDecimal(value) : String(value))),
    bind: same,
    csv: plain,
    control,
  };
}

const WHOLE = (value: unknown): unknown => (typeof value === 'string' && /^-?\d+(\.0*)?$/.test(value) ? Number(value) : value);

function scalar(
  column: FieldType['column'],
  expression: ExprType,
  schema: JsonSchema,
  parser: (input: unknown) => unknown,
  control: string,
  operators: readonly FilterOperator[] = ORDER_OPERATORS,
): FieldType {
  return {
    column,
    expression,
    sortable: false,
    operators,
    maxLength: null,
    schema: () => schema,
    parse: nullable(parser),
    format: same,
    bind: same,
    csv: plain,
    control,
  };
}

const ADDRESS_SCHEMA: JsonSchema = {
  type: 'object',
  properties: Object.fromEntries(
    Object.entries({ line1: 120, line2: 120, city: 80, state: 40, postalCode: 20 }).map(([name, maxLength]) => [name, { type: 'string', maxLength }]),
  ),
  additionalProperties: false,
};

const codes = (field: FieldFacts): JsonSchema =>
  field.values === null ? { type: 'string' } : { type: 'string', enum: field.values.values.map((value) => value.code) };

const asJson = nullable((value) => JSON.stringify(value));
const readInstant = nullable((value) => (typeof value === 'string' && !value.endsWith('Z') ? toRfc3339(value) : value));

/** THE table: one entry a kind. */
export const FIELD_TYPES: Readonly<Record<FieldKind, FieldType>> = {
  text: textType(parse.parseText, null, 255, 'text'),
  longText: textType(parse.parseLongText, null, 32_000, 'textarea', false),
  richText: textType(parse.parseLongText, null, 100_000, 'richtext', false),
  email: textType(parse.parseEmail, 'email', 254, 'email'),
  phone: textType(parse.parsePhone, 'phone', 40, 'tel'),
  url: textType(parse.parseText, 'uri', 2000, 'url', false),
  time: textType(parse.parseTime, 'time', 5, 'time'),
  duration: { ...textType(parse.parseText, 'duration', 40, 'text', false), expression: { kind: 'duration' }, operators: CHOICE_OPERATORS },
  sequence: textType(parse.parseText, null, 60, 'readonly'),
  picklist: {
    ...textType(parse.parseText, null, 255, 'select'),
    operators: CHOICE_OPERATORS,
    schema: codes,
    parse: (input, field) => (input === null || input === undefined ? null : parse.parseCode(input, field.values?.values ?? [])),
  },
  integer: {
    ...decimalType('number'),
    schema: (field) => ({ type: 'integer', ...range(field) }),
    parse: nullable(parse.parseInteger),
    format: nullable(WHOLE),
  },
  decimal: decimalType('decimal'),
  money: decimalType('money'),
  percent: decimalType('percent'),
  boolean: scalar({ ddl: 'boolean', cast: 'boolean' }, { kind: 'boolean' }, { type: 'boolean' }, parse.parseBoolean, 'yesno', CHOICE_OPERATORS),
  date: scalar({ ddl: 'date', cast: 'date' }, { kind: 'date' }, { type: 'string', format: 'date' }, parse.parseDate, 'date'),
  instant: {
    ...scalar({ ddl: 'timestamptz(3)', cast: 'timestamptz' }, { kind: 'instant' }, { type: 'string', format: 'date-time' }, parse.parseInstant, 'datetime'),
    format: readInstant,
  },
  multiPicklist: {
    ...scalar(LIST_COLUMN, { kind: 'list', of: { kind: 'text' } }, {}, parse.parseList, 'multiselect', ['contains', 'isEmpty']),
    schema: (field) => ({ type: 'array', items: codes(field), uniqueItems: true }),
    parse: (input, field) => {
      const items = input === null || input === undefined ? null : parse.parseList(input);
      return Array.isArray(items) ? items.map((item) => parse.parseCode(item, field.values?.values ?? [])) : items;
    },
    csv: list,
  },
  textList: {
    ...scalar(LIST_COLUMN, { kind: 'list', of: { kind: 'text' } }, {}, parse.parseList, 'tags', ['contains', 'isEmpty']),
    schema: (field) => ({ type: 'array', items: { type: 'string', maxLength: field.maxLength ?? 255 } }),
    csv: list,
  },
  reference: scalar(UUID, { kind: 'uuid' }, { type: 'string', format: 'uuid' }, parse.parseUuid, 'reference', CHOICE_OPERATORS),
  polymorphic: {
    ...scalar(UUID, { kind: 'uuid' }, {}, parse.parsePolymorphic, 'polymorphic', CHOICE_OPERATORS),
    csv: (value) =>
      typeof value === 'object' && value !== null && 'object' in value && 'id' in value ? `${plain(value.object)}/${plain(value.id)}` : plain(value),
    schema: (field) => ({
      type: 'object',
      // Metadata that name no object there is are refused by a finding; until then no value fits.
      properties: {
        object: field.ref === null || field.ref.to.length === 0 ? { not: {} } : { type: 'string', enum: field.ref.to },
        id: { type: 'string', format: 'uuid' },
      },
      required: ['object', 'id'],
      additionalProperties: false,
    }),
  },
  file: scalar(UUID, { kind: 'uuid' }, { type: 'string', format: 'uuid' }, parse.parseUuid, 'file', ['isEmpty']),
  address: { ...scalar(JSONB, { kind: 'json' }, ADDRESS_SCHEMA, parse.parseAddress, 'address', ['isEmpty']), bind: asJson },
  geo: { ...textType(parse.parseGeo, 'geo', 30, 'text', false), operators: ['equals', 'isEmpty'] },
  json: { ...scalar(JSONB, { kind: 'json' }, {}, nullable(parse.parseJson), 'json', ['isEmpty']), bind: asJson },
  formula: scalar(null, { kind: 'null' }, {}, same, 'readonly'),
  rollup: scalar(null, { kind: 'null' }, {}, same, 'readonly'),
};

/** The entry for a field's values: a formula and a roll-up behave as the kind that they declare. */
export function fieldType(field: Pick<FieldModel, 'valueKind'>): FieldType {
  return FIELD_TYPES[field.valueKind];
}

/** True for a formula whose value is kept: one that is indexed or unique. The others are computed when they are read. */
export function isStoredFormula(field: FieldSchema): boolean {
  return field['x-formula'] !== undefined && (field['x-index'] === true || field['x-unique'] === true);
}

/** The entry for what a field keeps in its table; null when it keeps nothing. */
export function storedType(field: FieldSchema): FieldType | null {
  const kind = fieldKind(field);
  if (kind === 'formula' && !isStoredFormula(field)) return null;
  return kind === 'formula' || kind === 'rollup' ? FIELD_TYPES[valueKind(field)] : FIELD_TYPES[kind];
}

/** True for the name of a kind. */
export function isFieldKind(name: string): name is FieldKind {
  return Object.hasOwn(FIELD_TYPES, name);
}

/** Name of the companion column with the object that a polymorphic reference points at. */
export function objectColumnOf(column: string): string {
  return `${column}_object`;
}

/** Kind of a field, from its schema. */
export function fieldKind(field: FieldSchema): FieldKind {
  if (field['x-formula'] !== undefined) return 'formula';
  if (field['x-rollup'] !== undefined) return 'rollup';
  if (field['x-sequence'] !== undefined) return 'sequence';
  return valueKind(field);
}

/** Kind of a field's values, from its schema. */
export function valueKind(field: FieldSchema): FieldKind {
  if (field['x-ref'] !== undefined) return typeof field['x-ref'].to === 'string' ? 'reference' : 'polymorphic';
  if (field['x-values'] !== undefined) return field.type === 'array' ? 'multiPicklist' : 'picklist';
  if (field.format !== undefined && field.format !== 'uuid') return FORMAT_KINDS[field.format];
  switch (field.type) {
    case 'string':
      return 'text';
    case 'integer':
      return 'integer';
    case 'number':
      return 'decimal';
    case 'boolean':
      return 'boolean';
    case 'array':
      return 'textList';
    case 'object':
      return 'json';
  }
}

const FORMAT_KINDS: Readonly<Record<Exclude<NonNullable<FieldSchema['format']>, 'uuid'>, FieldKind>> = {
  date: 'date',
  'date-time': 'instant',
  time: 'time',
  duration: 'duration',
  email: 'email',
  uri: 'url',
  phone: 'phone',
  markdown: 'richText',
  decimal: 'decimal',
  money: 'money',
  percent: 'percent',
  address: 'address',
  geo: 'geo',
  file: 'file',
  json: 'json',
  multiline: 'longText',
};
