import { SQLSTATE, sqlState } from '../db.ts';
import { AppError } from '../errors.ts';
import type { EffectiveModel, FieldModel, ObjectModel } from '../model/types.ts';

interface DriverDetail {
  readonly detail: string;
  readonly constraint: string;
  readonly message: string;
}

/** The one boundary to the driver's error objects. */
function driverDetail(error: unknown): DriverDetail {
  const text = (key: string): string => {
    if (typeof error !== 'object' || error === null) return '';
    const value: unknown = Reflect.get(error, key);
    return typeof value === 'string' ? value : '';
  };
  return { detail: text('detail'), constraint: text('constraint'), message: text('message') };
}

/** Fields named in `Key (a, b)=(...) already exists.`; the values in it are never passed on. */
function keyFields(object: ObjectModel, detail: string): readonly FieldModel[] {
  const columns =
    /^Key \((.*?)\)=\(/
      .exec(detail)?.[1]
      ?.split(', ')
      .map((name) => name.replaceAll('"', '')) ?? [];
  return [...object.fields.values()].filter(
    (field) => (field.column !== null && columns.includes(field.column)) || (field.sortColumn !== null && columns.includes(field.sortColumn)),
  );
}

/** 409 for a value that must be unique: names the fields, never the other record. */
export function uniqueConflict(object: ObjectModel, fields: readonly FieldModel[], cause?: unknown): AppError {
  const names = fields.map((field) => field.label).join(' and ');
  const message = names === '' ? `Another ${object.label} already has this value.` : `Another ${object.label} already has this ${names}.`;
  const errors = fields.map((field) => ({
    pointer: `/${field.name}`,
    code: 'unique',
    detail: message,
    fix: 'Change the value, or work on the record that has it.',
  }));
  return new AppError('conflict_unique', message, { errors, ...(cause === undefined ? {} : { cause }) });
}

/** 409 for a fact that would be in force on days of another one with the same key; says nothing of that one. */
function overlapConflict(object: ObjectModel, { from, through, key }: EffectiveModel, cause: unknown): AppError {
  const same = key.map((field) => field.label).join(' and ');
  const message = `Another ${object.label} with the same ${same} is in force on some of these days.`;
  const errors = [from, through].map((field) => ({
    pointer: `/${field.name}`,
    code: 'overlap',
    detail: message,
    fix: 'End the other one first, or choose days on which none is in force.',
  }));
  return new AppError('conflict_unique', message, { errors, cause });
}

/**
 * PostgreSQL's refusal of a write, in the product's words. Serialisation failures and deadlocks pass through untouched,
 * for `inTransaction` tries them again; what is not known here passes through too.
 */
export function translateWriteError(object: ObjectModel, error: unknown): unknown {
  const state = sqlState(error);
  const { detail, constraint, message } = driverDetail(error);
  switch (state) {
    case SQLSTATE.exclusionViolation:
      return object.effective === null ? uniqueConflict(object, keyFields(object, detail), error) : overlapConflict(object, object.effective, error);
    case SQLSTATE.uniqueViolation:
      return uniqueConflict(object, keyFields(object, detail), error);
    case SQLSTATE.foreignKeyViolation: {
      const fields = keyFields(object, detail);
      const errors = fields.map((field) => ({ pointer: `/${field.name}`, code: 'reference', detail: `${field.label} points to a record that is gone.` }));
      return new AppError('conflict_reference', `A reference of this ${object.label} is not possible.`, { errors, cause: error });
    }
    case SQLSTATE.checkViolation:
    case SQLSTATE.notNullViolation:
      return new AppError('validation_failed', `The database refuses this ${object.label}${constraint === '' ? '' : ` (${constraint})`}.`, { cause: error });
    case SQLSTATE.programLimitExceeded:
      return tooLarge(object, message, error);
    default:
      return error;
  }
}

/** PostgreSQL keeps about 8,000 bytes of a row and 2,700 of an index entry together; longer values of a row it puts elsewhere, short ones it does not. */
function tooLarge(object: ObjectModel, message: string, cause: unknown): AppError {
  const fields = [...object.fields.values()].filter((field) => field.column !== null && message.includes(`${object.table}_${field.column}_`));
  const errors = fields.map((field) => ({
    pointer: `/${field.name}`,
    code: 'too_long',
    detail: `${field.label} is too long for its index.`,
    fix: 'Shorten it, or have the field no longer indexed or unique.',
  }));
  const what = fields.length === 0 ? `This ${object.label} has more values than one record can hold.` : errors.map(({ detail }) => detail).join(' ');
  return new AppError('validation_failed', what, { errors, cause });
}
