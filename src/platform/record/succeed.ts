import type { Knex } from 'knex';
import type { CallContext } from '../access/types.ts';
import { readRights, unknownRecord } from '../access/rights.ts';
import { readRowRights } from '../access/row-rights.sql.ts';
import type { PlainDate } from '../clock.ts';
import { inTransaction } from '../db.ts';
import { AppError } from '../errors.ts';
import { isUuid } from '../ids.ts';
import { isPlainDate } from '../model/formats.ts';
import type { EffectiveModel, ObjectModel } from '../model/types.ts';
import type { RecordData } from '../query/types.ts';
import type { Image } from './batch.ts';
import { parseValue } from './images.ts';
import { lockRecords } from './load.sql.ts';
import { planOf } from './object-plan.ts';
import type { RecordEngine } from './types.ts';

export interface SucceedItem {
  /** The fact that ends. */
  readonly id: string;
  readonly version?: number;
  /** What is different from then on; the first day in force among it. */
  readonly values: Readonly<Record<string, unknown>>;
}

export interface Succession {
  /** The new fact, as the caller may read it. */
  readonly record: RecordData | null;
  readonly id: string;
  readonly version: number;
  /** The fact before it, as it is now. */
  readonly closed: { readonly id: string; readonly version: number };
}

/**
 * Close, then open: ends a fact on the day before the new one begins, and opens the new one with everything that is not
 * sent taken over from it, its end too. One transaction; both records keep their history, and both writes need their rights.
 * @throws AppError bad_request for an object that is not effective-dated, validation_failed for a day that cannot be
 */
export async function succeedRecord(
  engine: Pick<RecordEngine, 'write' | 'writeOne'>,
  db: Knex,
  context: CallContext,
  objectName: string,
  item: SucceedItem,
): Promise<Succession> {
  readRights(context, objectName);
  const { object } = planOf(context.model, objectName);
  const { effective } = object;
  if (effective === null)
    throw new AppError('bad_request', `${object.plural} are not effective-dated: change the record itself, or add "x-effective" to the object.`);
  return inTransaction(db, async (tx) => {
    const before = isUuid(item.id) ? (await lockRecords(tx, object, [item.id], context.model.version)).get(item.id) : undefined;
    const may = await readableIn(tx, context, objectName, item.id);
    if (may === null || before === undefined || before['deletedAt'] !== null) throw unknownRecord(objectName, item.id);
    if (!may.has(effective.from.name) || !may.has(effective.through.name))
      throw new AppError('forbidden', `You may not read on which days this ${object.label} is in force, so nothing can follow it.`);
    const day = firstDay(effective, before, item.values);
    const closed = await close(engine, tx, context, objectName, item, effective, before, day);
    const carries = carriedOver(object, effective, before, day);
    const { record, id, version } = await engine.writeOne(tx, context, objectName, { kind: 'create', values: item.values, carries });
    const shows = await readableIn(tx, context, objectName, id);
    const told = Object.keys(carries).find(
      (name) => carries[name] !== null && !Object.hasOwn(item.values, name) && shows?.has(name) === true && !may.has(name),
    );
    if (told !== undefined) throw new AppError('forbidden', `The new ${object.label} would show you values of the one before it that you may not read.`);
    return { record, id, version, closed };
  });
}

/** Fields that the caller may read in a record; null when the record itself is out of sight. */
async function readableIn(tx: Knex.Transaction, context: CallContext, objectName: string, id: string): Promise<ReadonlySet<string> | null> {
  const may = isUuid(id) ? (await readRowRights(tx, context, objectName, [id])).get(id) : undefined;
  return may?.canRead === true ? may.readable : null;
}

function firstDay({ from }: EffectiveModel, before: Image, values: Readonly<Record<string, unknown>>): PlainDate {
  const wrong = (code: string, detail: string, fix: string): AppError =>
    new AppError('validation_failed', detail, { errors: [{ pointer: `/${from.name}`, code, detail, fix }] });
  const day = parseValue(from, values[from.name] ?? null);
  if (day === null) throw wrong('required', `${from.label} is required: the day from which the new fact holds.`, 'Send it.');
  if (typeof day !== 'string' || !isPlainDate(day))
    throw wrong('not_a_date', `${from.label} is not a valid date.`, 'Write it as YYYY-MM-DD, such as 2027-03-01.');
  if (String(before[from.name]) >= day)
    throw wrong(
      'order',
      `${from.label} must be after the first day of the fact that it follows.`,
      'To change the fact from its first day on, change the record itself.',
    );
  return day;
}

async function close(
  engine: Pick<RecordEngine, 'write'>,
  tx: Knex.Transaction,
  context: CallContext,
  objectName: string,
  item: SucceedItem,
  { through }: EffectiveModel,
  before: Image,
  day: PlainDate,
): Promise<Succession['closed']> {
  const last = new Date(Date.parse(`${day}T00:00:00Z`) - 86_400_000).toISOString().slice(0, 10);
  const end = before[through.name];
  // What has ended earlier stays as it is; the write below still asks for the version and the right to change it.
  const value = typeof end === 'string' && end < last ? end : last;
  const version = item.version === undefined ? {} : { version: item.version };
  const [outcome] = await engine.write(tx, context, objectName, [{ kind: 'update', id: item.id, ...version, values: { [through.name]: value } }]);
  if (outcome?.ok !== true) throw new AppError('internal', 'The record engine lost an item.');
  return { id: outcome.id, version: outcome.version };
}

/** Everything that people set, but what no other record may have too; the path goes on where it stands, an end still to come stays. */
function carriedOver(object: ObjectModel, { from, through }: EffectiveModel, before: Image, day: PlainDate): Image {
  const names = [...object.fields.values()].filter((field) => {
    const isState = object.path?.field === field.name;
    return field.column !== null && field !== from && !field.unique && (!field.readOnly || isState) && (!field.system || field.name === 'ownerId');
  });
  const end = before[through.name];
  const values = Object.fromEntries(names.map((field) => [field.name, before[field.name] ?? null]));
  return { ...values, [through.name]: typeof end === 'string' && end >= day ? end : null };
}
