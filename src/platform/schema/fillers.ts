import type { Instant } from '../clock.ts';
import { AppError, isAppError } from '../errors.ts';
import { sortKey } from '../expression/sort-key.ts';
import { compileJs } from '../expression/to-js.ts';
import { childrenOf, treeOf, type Expr } from '../expression/tree.ts';
import type { EvalContext, ExprValue } from '../expression/types.ts';
import { dayInZone } from '../expression/zones.ts';
import type { MetadataSet } from '../metadata/types.ts';
import { fieldType } from '../model/field-types.ts';
import type { FieldModel, Model } from '../model/types.ts';
import type { Filler } from './step.ts';
import type { Remembered } from './types.ts';

/**
 * What the records that exist get in new required fields: their default, where it reads nothing of a record or a caller.
 * Answers SQL literals by column, for each field that has such a default.
 */
export function findFillers(wanted: MetadataSet, remembered: Remembered, model: Model, now: Instant): ReadonlyMap<string, Filler> {
  const fillers = new Map<string, Filler>();
  for (const [name, file] of wanted.objects) {
    for (const fieldName of file.required ?? []) {
      const field = model.objects.get(name)?.fields.get(fieldName);
      if (field === undefined || field.column === null || field.objectColumn !== null || remembered.names.has(field.id)) continue;
      const value = constantOf(field, model, now);
      if (value !== null) fillers.set(field.id, literals(field, value));
    }
  }
  return fillers;
}

function constantOf(field: FieldModel, model: Model, now: Instant): unknown {
  const expression = field.defaultValue;
  if (expression === null || expression.reads.length > 0 || namesVariables(treeOf(expression))) return null;
  const context: EvalContext = {
    now,
    today: dayInZone(now, model.calendarLookup.planZone) ?? now.slice(0, 10),
    user: null,
    subject: null,
    one: () => null,
    many: () => [],
    policy: () => {
      throw new AppError('invalid_expression', 'A policy is not asked for records that exist.');
    },
    calendars: model.calendarLookup,
  };
  let value: ExprValue;
  try {
    value = compileJs(expression, model.expressions)({}, context);
  } catch (error) {
    // A default that asks a policy says nothing about all records at once.
    if (isAppError(error, 'invalid_expression')) return null;
    throw error;
  }
  return fieldType(field).parse(value, field) ?? null;
}

function namesVariables(node: Expr): boolean {
  return node.kind === 'variable' || childrenOf(node).some(namesVariables);
}

function literals(field: FieldModel, value: unknown): Filler {
  const type = fieldType(field);
  const found = new Map([[field.column ?? '', `${literal(type.bind(value))}::${type.column?.cast ?? 'text'}`]]);
  if (field.sortColumn !== null) found.set(field.sortColumn, literal(sortKey(String(value))));
  return found;
}

/** A constant as SQL text. A question mark is written by its code, for it is a place-holder to the driver. */
function literal(value: unknown): string {
  if (Array.isArray(value)) return `array[${value.map(literal).join(', ')}]`;
  const text = typeof value === 'string' ? value : String(value);
  const quoted = text.replaceAll("'", "''");
  return /[\\?]/.test(text) ? `U&'${quoted.replaceAll('\\', '\\\\').replaceAll('?', '\\003F')}'` : `'${quoted}'`;
}
