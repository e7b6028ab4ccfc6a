import { Ajv2020, type ErrorObject, type ValidateFunction } from 'ajv/dist/2020.js';
import Big from 'big.js';
import { pointerToken } from '../metadata/kinds.ts';
import { suggestion } from '../metadata/suggest.ts';
import { fieldType, type JsonSchema } from './field-types.ts';
import { FORMATS } from './formats.ts';
import type { FieldKind, FieldModel, ObjectModel } from './types.ts';

export type ValidateRecord = ObjectModel['validate'];
type Finding = ReturnType<ValidateRecord>[number];

/** What a value of each kind should look like, in words; `fix` shows how to write it. */
const EXPECTED: Readonly<Partial<Record<FieldKind, { readonly code: string; readonly what: string; readonly fix: string }>>> = {
  integer: { code: 'not_a_whole_number', what: 'a whole number', fix: 'Write digits only, such as 12.' },
  decimal: { code: 'not_a_number', what: 'a number', fix: 'Write it as 12.5.' },
  money: { code: 'not_a_number', what: 'an amount of money', fix: 'Write it as 1250.00.' },
  percent: { code: 'not_a_number', what: 'a percentage', fix: 'Write it as 12.5.' },
  boolean: { code: 'not_a_boolean', what: 'yes or no', fix: 'Send true or false.' },
  date: { code: 'not_a_date', what: 'a valid date', fix: 'Write it as YYYY-MM-DD, such as 2027-03-01.' },
  instant: { code: 'not_an_instant', what: 'a valid date and time', fix: 'Write it with its zone, such as 2027-03-01T14:00:00Z.' },
  time: { code: 'not_a_time', what: 'a valid time of day', fix: 'Write it as HH:MM, such as 08:30.' },
  duration: { code: 'not_a_duration', what: 'a valid duration', fix: 'Write it as P3M, P10D or P2BD.' },
  email: { code: 'not_an_email', what: 'a valid e-mail address', fix: 'Write it as name@example.org.' },
  phone: { code: 'not_a_phone', what: 'a valid phone number', fix: 'Write ten digits, or + and the country code.' },
  url: { code: 'not_a_url', what: 'a valid web address', fix: 'Begin with https://.' },
  reference: { code: 'not_a_reference', what: 'the id of a record', fix: 'Send the id as the API gives it.' },
  polymorphic: { code: 'not_a_reference', what: 'a reference to a record', fix: 'Send {"object": ..., "id": ...}.' },
  file: { code: 'not_a_file', what: 'the id of an uploaded file', fix: 'Upload the file first.' },
  address: { code: 'not_an_address', what: 'an address', fix: 'Its parts are line1, line2, city, state and postalCode.' },
  geo: { code: 'not_a_place', what: 'a place on the map', fix: 'Write latitude and longitude in degrees, such as 42.1015,-72.5898.' },
  multiPicklist: { code: 'wrong_type', what: 'a list of values', fix: 'Send a list of codes.' },
  textList: { code: 'wrong_type', what: 'a list of texts', fix: 'Send a list of texts.' },
};

function makeAjv(): Ajv2020 {
  const ajv = new Ajv2020({ strict: true, strictRequired: false, allErrors: true, verbose: true, formats: FORMATS });
  ajv.addKeyword({
    keyword: 'x-minimum',
    type: 'string',
    metaSchema: { type: 'number' },
    validate: (bound: number, data: string) => !isDecimal(data) || new Big(data).gte(bound),
  });
  ajv.addKeyword({
    keyword: 'x-maximum',
    type: 'string',
    metaSchema: { type: 'number' },
    validate: (bound: number, data: string) => !isDecimal(data) || new Big(data).lte(bound),
  });
  return ajv;
}

function isDecimal(text: string): boolean {
  return FORMATS['decimal']?.(text) === true;
}

/** The JSON Schema of a stored record, nulls left out: system fields are allowed, formulas are not looked at. */
export function storedSchema(fields: ReadonlyMap<string, FieldModel>): JsonSchema {
  const properties = Object.fromEntries([...fields.values()].map((field) => [field.name, field.kind === 'formula' ? {} : fieldType(field).schema(field)]));
  return { type: 'object', properties, additionalProperties: false };
}

const ajv = makeAjv();
const KEPT_CHECKS = 500;
const checks = new Map<string, ValidateFunction>();

/**
 * The compiled check of a JSON Schema. Compiling was two thirds of what a new Model takes, while nothing else runs; of two Models that
 * follow each other most objects are alike, so the most recent checks are kept.
 */
function checkOf(schema: JsonSchema): ValidateFunction {
  const key = JSON.stringify(schema);
  const known = checks.get(key);
  checks.delete(key);
  const check = known ?? ajv.compile(schema);
  // ajv keeps what it compiled for ever; here it is kept no longer than it is used.
  if (known === undefined) ajv.removeSchema(schema);
  checks.set(key, check);
  const oldest = checks.size > KEPT_CHECKS ? checks.keys().next() : undefined;
  if (oldest?.done === false) checks.delete(oldest.value);
  return check;
}

/** Compiles the check of one object's records. Its words are ours; the values are never repeated in them. */
export function compileValidate(fields: ReadonlyMap<string, FieldModel>): ValidateRecord {
  const check = checkOf(storedSchema(fields));
  const required = [...fields.values()].filter((field) => field.required && !field.system);
  const names = [...fields.keys()];
  return (values) => {
    const findings: Finding[] = [];
    for (const field of required) {
      if (isEmpty(values[field.name]))
        findings.push({ pointer: pointerToken(field.name), code: 'required', detail: `${field.label} is required.`, fix: `Fill in ${field.label}.` });
    }
    if (!check(values)) {
      const reported = new Set<string>();
      for (const error of check.errors ?? []) {
        const finding = findingOf(error, fields, names);
        const place = finding.pointer;
        if (reported.has(place) || isEmpty(valueAt(values, error))) continue;
        reported.add(place);
        findings.push(finding);
      }
    }
    return findings;
  };
}

function isEmpty(value: unknown): boolean {
  return value === null || value === undefined || value === '' || (Array.isArray(value) && value.length === 0);
}

function valueAt(values: Readonly<Record<string, unknown>>, error: ErrorObject): unknown {
  const name = fieldName(error);
  return name === undefined ? values : values[name];
}

function fieldName(error: ErrorObject): string | undefined {
  return error.instancePath === '' ? undefined : error.instancePath.split('/')[1]?.replaceAll('~1', '/').replaceAll('~0', '~');
}

function findingOf(error: ErrorObject, fields: ReadonlyMap<string, FieldModel>, names: readonly string[]): Finding {
  const name = fieldName(error);
  if (name === undefined) {
    const unknown: unknown = error.keyword === 'additionalProperties' && 'additionalProperty' in error.params ? error.params['additionalProperty'] : '';
    return {
      pointer: pointerToken(String(unknown)),
      code: 'unknown_field',
      detail: `There is no field "${String(unknown)}".`,
      ...suggestion(String(unknown), names),
    };
  }
  const field = fields.get(name);
  const pointer = error.instancePath;
  const label = field?.label ?? name;
  switch (error.keyword) {
    case 'maxLength':
      return { pointer, code: 'too_long', detail: `${label} is too long.`, fix: `Use at most ${String(error.schema)} characters.` };
    case 'minLength':
      return { pointer, code: 'too_short', detail: `${label} is too short.`, fix: `Use at least ${String(error.schema)} characters.` };
    case 'minimum':
    case 'maximum':
    case 'x-minimum':
    case 'x-maximum':
      return { pointer, code: 'out_of_range', detail: `${label} is out of range.`, fix: rangeWords(field) };
    case 'uniqueItems':
      return { pointer, code: 'duplicate_value', detail: `${label} has a value twice.` };
    case 'enum':
      return choiceFinding(pointer, label, field, error.data);
    default: {
      const expected = field === undefined ? undefined : EXPECTED[field.valueKind];
      if (expected === undefined) return { pointer, code: 'wrong_type', detail: `${label} must be text.` };
      return { pointer, code: expected.code, detail: `${label} is not ${expected.what}.`, fix: expected.fix };
    }
  }
}

function choiceFinding(pointer: string, label: string, field: FieldModel | undefined, data: unknown): Finding {
  const choices = field?.values?.values.filter((value) => value.active !== false).map((value) => value.code) ?? field?.ref?.to ?? [];
  return { pointer, code: 'not_a_value', detail: `${label} is not one of the values.`, ...suggestion(typeof data === 'string' ? data : '', choices) };
}

function rangeWords(field: FieldModel | undefined): string {
  const minimum = field?.minimum ?? null;
  const maximum = field?.maximum ?? null;
  if (minimum !== null && maximum !== null) return `It must be from ${String(minimum)} to ${String(maximum)}.`;
  return minimum !== null ? `It must be at least ${String(minimum)}.` : `It must be at most ${String(maximum)}.`;
}
