import { isUuid } from '../ids.ts';
import { fieldType, FIELD_TYPES } from '../model/field-types.ts';
import { isPlainDate } from '../model/formats.ts';
import type { FieldModel } from '../model/types.ts';
import { keyword, sql, type Sql } from '../sql.ts';

/** SQL type of a field's values (for a formula, of what it declares). */
export function castOf(field: FieldModel): string {
  return (fieldType(field).column ?? FIELD_TYPES.text.column)?.cast ?? 'text';
}

/** A bound value with its cast. The cast is one of the code's own, never a caller's. */
export function bound(cast: string, value: unknown): Sql {
  return sql`${value}::${keyword(cast)}`;
}

const INSTANT = /^(\d{4}-\d{2}-\d{2})[T ]([01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d{1,6})?(?:Z|[+-](?:0\d|1[0-4])(?::?[0-5]\d)?)$/;

/** True when PostgreSQL will take the text as a value of the type, so that a cast cannot fail. */
export function isValueText(cast: string, text: string): boolean {
  switch (cast) {
    case 'text':
    case 'text[]':
      return !text.includes('\u0000');
    case 'numeric':
    case 'integer':
      return /^-?\d{1,200}(?:\.\d{1,200})?$/.test(text);
    case 'boolean':
      return text === 'true' || text === 'false';
    case 'date':
      return isPlainDate(text);
    case 'timestamptz':
      return INSTANT.test(text) && isPlainDate(text.slice(0, 10));
    case 'uuid':
      return isUuid(text);
    default:
      return false;
  }
}

/** What a caller may write for a value of the type, for messages. */
export function valueHint(cast: string): string {
  switch (cast) {
    case 'text':
    case 'text[]':
      return 'text';
    case 'numeric':
    case 'integer':
      return 'a number such as 12 or 12.50';
    case 'boolean':
      return 'true or false';
    case 'date':
      return 'a day written YYYY-MM-DD';
    case 'timestamptz':
      return 'an instant written YYYY-MM-DDThh:mm:ssZ';
    case 'uuid':
      return 'the id of a record';
    default:
      return 'no value: it cannot be compared';
  }
}
