import type { Knex } from 'knex';
import { rightsFor } from '../access/rights.ts';
import { readRowRights, type RecordDates } from '../access/row-rights.sql.ts';
import type { CallContext } from '../access/types.ts';
import type { Instant, PlainDate } from '../clock.ts';
import { toRfc3339 } from '../db.ts';
import { AppError } from '../errors.ts';
import { compileJs } from '../expression/to-js.ts';
import type { EvalContext, Row } from '../expression/types.ts';
import { dayInZone } from '../expression/zones.ts';
import { isUuid } from '../ids.ts';
import { wholeTable } from '../model/read-table.sql.ts';
import { fieldType } from '../model/field-types.ts';
import { ownFieldsObstacle } from '../model/rollups.ts';
import type { FieldModel, ObjectModel, ToManyModel } from '../model/types.ts';
import { ident, rows, sql, type Sql } from '../sql.ts';
import { displayName, nameFields } from './display-name.ts';
import { isComplete, writtenWithin } from './history-dates.ts';
import { makeNamedShape, valueColumns, type FreshRecord } from './page.ts';
import { DISPLAY_NAME, openSource } from './source.ts';

/** Records as they were known at a moment, made from what they are now by taking back what was written since. */
export interface Past {
  /** By id, those that the caller may see now, that were there then, and that were in force on the day asked for. */
  records(object: string, ids: readonly string[]): Promise<ReadonlyMap<string, FreshRecord>>;
  /** Records whose reference led to `parent` then, in the order of their ids, at most `limit`. */
  pointing(path: ToManyModel, parent: string, limit: number): Promise<readonly FreshRecord[]>;
  /** Puts the names that the records had then into them. */
  addNames(object: string, records: readonly FreshRecord[]): Promise<void>;
}

const AT_ONCE = 200;
/** A name made of references goes this deep, so that a circle of names ends. */
const DEEPEST_NAME = 2;

/** True for a field whose value then can be told from what is kept: stored ones, and formulas over those of the same record. */
export function isKept(field: FieldModel, object: ObjectModel): boolean {
  if (field.rollup !== null) return false;
  if (field.formula === null || field.column !== null) return field.column !== null;
  const readsRollup = field.formula.reads.some(({ steps }) => object.fields.get(steps[0]?.field ?? '')?.rollup !== null);
  return ownFieldsObstacle(field.formula) === null && !readsRollup;
}

/** Opens what was known at `moment`, narrowed to facts in force on `day` when one is given. Rights are those of today. */
export function openPast(db: Knex, ctx: CallContext, moment: Instant, day: PlainDate | null): Past {
  const known = new Map<string, FreshRecord | null>();

  const records = async (objectName: string, ids: readonly string[]): Promise<ReadonlyMap<string, FreshRecord>> => {
    const wanted = [...new Set(ids)].filter((id) => isUuid(id));
    const missing = wanted.filter((id) => !known.has(`${objectName} ${id}`));
    if (missing.length > 0) {
      const found = await rebuild(db, ctx, objectName, missing, moment, day);
      for (const id of missing) known.set(`${objectName} ${id}`, found.get(id) ?? null);
    }
    // Each caller gets a copy of its own, to put names and expansions into.
    return new Map(
      wanted.flatMap((id): readonly (readonly [string, FreshRecord])[] => {
        const record = known.get(`${objectName} ${id}`) ?? null;
        return record === null ? [] : [[id, { ...record }]];
      }),
    );
  };

  const names = async (object: ObjectModel, found: readonly FreshRecord[], depth: number): Promise<ReadonlyMap<string, string>> => {
    const named = new Map<string, string>();
    if (depth >= DEEPEST_NAME) return named;
    for (const name of nameFields(object)) {
      const target = object.fields.get(name)?.ref?.to;
      const [other] = target?.length === 1 ? target : [];
      const otherObject = other === undefined ? undefined : ctx.model.objects.get(other);
      if (otherObject === undefined || !rightsFor(ctx, otherObject.name).canRead) continue;
      const ids = found.flatMap((record) => (typeof record[name] === 'string' ? [record[name]] : []));
      const behind = [...(await records(otherObject.name, ids)).values()];
      const inner = await names(otherObject, behind, depth + 1);
      for (const record of behind) named.set(record.id, displayName(otherObject, record, inner));
    }
    return named;
  };

  return {
    records,
    async pointing(path, parent, limit) {
      const found: FreshRecord[] = [];
      let after: string | null = null;
      while (found.length < limit) {
        const ids: readonly string[] = await candidates(db, ctx, path, parent, moment, after);
        if (ids.length === 0) break;
        const there = await records(path.object, ids);
        for (const id of ids) {
          const record = there.get(id);
          if (record !== undefined && leadsTo(record[path.via], parent) && found.length < limit) found.push(record);
        }
        after = ids.at(-1) ?? null;
      }
      return found;
    },
    async addNames(objectName, found) {
      const object = objectOf(ctx, objectName);
      const inner = await names(object, found, 0);
      for (const record of found) if (!(DISPLAY_NAME in record)) record[DISPLAY_NAME] = displayName(object, record, inner);
    },
  };
}

function objectOf(ctx: CallContext, name: string): ObjectModel {
  const object = ctx.model.objects.get(name);
  if (object === undefined) throw new AppError('internal', `There is no object ${name}.`);
  return object;
}

function leadsTo(value: unknown, parent: string): boolean {
  return value === parent || (typeof value === 'object' && value !== null && 'id' in value && value.id === parent);
}

/** Records whose reference leads to the parent now, or led there until some later moment. */
async function candidates(db: Knex, ctx: CallContext, path: ToManyModel, parent: string, moment: Instant, after: string | null): Promise<readonly string[]> {
  const object = objectOf(ctx, path.object);
  const via = object.fields.get(path.via);
  if (via === undefined || via.column === null) return [];
  const { schema } = ctx.model;
  const from = after === null ? sql`` : sql`where id > ${after}::uuid`;
  const found = await rows(
    db,
    sql`select id from (
          select id from ${ident(schema, object.table)} where ${ident(via.column)} = ${parent}::uuid and created_at <= ${moment}::timestamptz
          union select record_id from ${ident(schema, 'reference_move')} where target = ${parent}::uuid and field_id = ${via.id} and at > ${moment}::timestamptz
        ) as c ${from} order by id limit ${AT_ONCE}::int`,
  );
  return found.map((row) => String(row['id']));
}

async function rebuild(
  db: Knex,
  ctx: CallContext,
  objectName: string,
  ids: readonly string[],
  moment: Instant,
  day: PlainDate | null,
): Promise<ReadonlyMap<string, FreshRecord>> {
  const object = objectOf(ctx, objectName);
  const rights = await readRowRights(db, ctx, objectName, ids);
  const seen = ids.filter((id) => {
    const may = rights.get(id);
    return may?.canRead === true && (!may.isTrashed || may.canDelete);
  });
  const present = await presentRows(db, ctx, object, seen);
  const later = await writtenSince(db, ctx, object, present, moment);
  const answers = new Map<string, FreshRecord>();
  for (const id of seen) {
    const now = present.get(id);
    const then = now === undefined ? null : takeBack(object, now, later.get(id) ?? []);
    const readable = rights.get(id)?.readable ?? new Set<string>();
    if (then === null || then['deletedAt'] !== null || !isInForce(object, then, readable, day)) continue;
    answers.set(id, shown(ctx, object, then, readable, moment));
  }
  return answers;
}

/** Every stored field of the records as they are, whoever asks: the caller's rights are looked at by those who answer. */
async function presentRows(db: Knex, ctx: CallContext, object: ObjectModel, ids: readonly string[]): Promise<ReadonlyMap<string, FreshRecord>> {
  if (ids.length === 0) return new Map();
  const source = openSource(ctx, object.name);
  const fields = [...object.fields.values()].filter((field) => field.column !== null && field.rollup === null);
  const found = await rows(
    db,
    sql`select ${valueColumns(source, fields)} from ${wholeTable(ctx.model.schema, object)} as ${ident(source.alias)} where ${ident(source.alias, 'id')} = any(${ids}::uuid[])`,
  );
  return new Map(found.map(makeNamedShape(fields)).map((record) => [record.id, record]));
}

interface Written {
  readonly version: number;
  readonly at: string;
  readonly actor: string;
  readonly changes: unknown;
  /** Written after the moment; otherwise it is the version of the moment. */
  readonly isLater: boolean;
}

/**
 * For each record the versions to take back, the latest first, and under them the one that was in force at the moment. A
 * version counts as known when it and all before it were written by then, for clocks of several servers differ.
 */
async function writtenSince(
  db: Knex,
  ctx: CallContext,
  object: ObjectModel,
  present: ReadonlyMap<string, FreshRecord>,
  moment: Instant,
): Promise<ReadonlyMap<string, readonly Written[]>> {
  if (present.size === 0) return new Map();
  const dates = new Map([...present].map(([id, record]) => [id, datesOf(record)]));
  const ids = [...dates.keys()];
  const read = async (within: (at: Sql) => Sql): Promise<ReadonlyMap<string, readonly Written[]>> =>
    writtenOf(await rows(db, sinceSql(ctx, object, ids, moment, within)));
  const found = await read((at) => writtenWithin(at, [...dates.values()]));
  const isWhole = [...dates].every(([id, own]) => {
    const versions = (found.get(id) ?? []).map(({ version }) => version);
    const first = (found.get(id) ?? []).reduce((least, entry) => (entry.isLater ? Math.min(least, entry.version) : least), Infinity);
    return first === Infinity ? Date.parse(own.updatedAt) <= Date.parse(moment) : isComplete(new Set(versions), own, Math.max(1, first - 1));
  });
  return isWhole ? found : read(() => sql`true`);
}

function datesOf(record: FreshRecord): RecordDates {
  return { version: record.version, createdAt: String(record['createdAt']), updatedAt: String(record['updatedAt']) };
}

/** The versions of records that were written after a moment, and the one before the first of them. */
export function sinceSql(ctx: CallContext, object: ObjectModel, ids: readonly string[], moment: Instant, within: (at: Sql) => Sql): Sql {
  const history = ident(ctx.model.schema, 'record_history');
  return sql`select h.record_id, h.version, h.at, h.actor, h.changes, h.version >= l.first as is_later from ${history} as h
        join (select record_id, min(version) as first from ${history} where record_id = any(${ids}::uuid[]) and object_id = ${object.id}
            and at > ${moment}::timestamptz and ${within(ident('at'))} group by record_id) as l
          on l.record_id = h.record_id and h.version >= l.first - 1
        where h.object_id = ${object.id} and ${within(ident('h', 'at'))} order by h.record_id, h.version desc, h.id desc`;
}

function writtenOf(found: readonly Readonly<Record<string, unknown>>[]): ReadonlyMap<string, readonly Written[]> {
  const byRecord = new Map<string, Written[]>();
  for (const row of found) {
    const list = byRecord.get(String(row['record_id'])) ?? [];
    byRecord.set(String(row['record_id']), list);
    list.push({
      version: Number(row['version']),
      at: toRfc3339(String(row['at'])),
      actor: String(row['actor']),
      changes: row['changes'],
      isLater: row['is_later'] === true,
    });
  }
  return byRecord;
}

/** A record without what was written later; null when it was not there yet. */
function takeBack(object: ObjectModel, now: FreshRecord, later: readonly Written[]): FreshRecord | null {
  const then: FreshRecord = { ...now };
  if (later.length === 0) return then;
  const [taken, base] = [later.filter((entry) => entry.isLater), later.find((entry) => !entry.isLater)];
  // Without a version below all that are taken back the record itself was made later.
  if (base === undefined) return null;
  const fields = new Map([...object.fields.values()].map((field) => [field.id, field]));
  for (const { changes } of taken) {
    for (const [fieldId, pair] of Object.entries(typeof changes === 'object' && changes !== null ? changes : {})) {
      const field = fields.get(fieldId);
      const before: unknown = Array.isArray(pair) ? pair[0] : null;
      if (field !== undefined) then[field.name] = fieldType(field).format(before ?? null);
    }
  }
  return Object.assign(then, { version: base.version, updatedAt: base.at, updatedBy: base.actor });
}

/** A record whose days the caller may not read is in force on none. */
function isInForce(object: ObjectModel, record: FreshRecord, readable: ReadonlySet<string>, day: PlainDate | null): boolean {
  const { effective } = object;
  if (day === null || effective === null) return true;
  if (!readable.has(effective.from.name) || !readable.has(effective.through.name)) return false;
  const [from, through] = [record[effective.from.name], record[effective.through.name]];
  return typeof from === 'string' && from <= day && (typeof through !== 'string' || through >= day);
}

/** The readable part of a rebuilt record, null where the caller may read a field in other records only, with the formulas that its own values tell. */
function shown(ctx: CallContext, object: ObjectModel, record: FreshRecord, readable: ReadonlySet<string>, moment: Instant): FreshRecord {
  const answer: FreshRecord = { id: record.id, version: record.version };
  const known = rightsFor(ctx, object.name).readable;
  let row: Row | null = null;
  for (const field of object.fields.values()) {
    // What is shown was not in the trash.
    if (field.name === 'deletedAt' || !isKept(field, object) || !known.has(field.name)) continue;
    if (!readable.has(field.name)) answer[field.name] = null;
    else if (field.column !== null) answer[field.name] = record[field.name] ?? null;
    else if (field.formula !== null) {
      row ??= rowOf(object, record);
      answer[field.name] = fieldType(field).format(compileJs(field.formula, ctx.model.expressions)(row, evaluationAt(ctx, moment)));
    }
  }
  return answer;
}

/** A record as expressions see it: a reference to one of several objects is its id. */
function rowOf(object: ObjectModel, record: FreshRecord): Row {
  const row: Record<string, unknown> = { ...record };
  for (const field of object.fields.values()) {
    const value = field.objectColumn === null ? null : row[field.name];
    if (typeof value === 'object' && value !== null && 'id' in value) row[field.name] = value.id;
  }
  return row;
}

function evaluationAt(ctx: CallContext, moment: Instant): EvalContext {
  const today = dayInZone(moment, ctx.model.calendarLookup.planZone) ?? ctx.today;
  const nothing = (): null => null;
  return { now: moment, today, user: null, subject: null, one: nothing, many: () => [], policy: nothing, calendars: ctx.model.calendarLookup };
}
