import type { Knex } from 'knex';
import { readRights, unknownRecord } from '../access/rights.ts';
import { readRowRights, type RecordDates, type RowRights } from '../access/row-rights.sql.ts';
import { readUses, shownUses } from '../access/policy-uses.ts';
import type { CallContext } from '../access/types.ts';
import type { PolicyUse } from '../expression/types.ts';
import { toRfc3339 } from '../db.ts';
import { isUuid } from '../ids.ts';
import { fieldType } from '../model/field-types.ts';
import type { FieldModel, ObjectModel } from '../model/types.ts';
import { ident, rows, sql, type Sql } from '../sql.ts';
import { isComplete, writtenWithin } from './history-dates.ts';
import { readNames } from './names.ts';

export interface FieldChange {
  readonly field: string;
  readonly label: string;
  readonly from: unknown;
  readonly to: unknown;
}

export interface HistoryEntry {
  /** The record that this is a version of: the one asked for, or one that was merged into it. */
  readonly record: string;
  readonly version: number;
  readonly kind: string;
  readonly at: string;
  readonly actor: { readonly id: string | null; readonly name: string };
  /** What made the change: a request, a rule, an import, mail or a command. */
  readonly cause: { readonly kind: string; readonly rule?: string; readonly decisions?: readonly PolicyUse[] };
  /** Null where none was given, and where the caller may not read all that was changed. */
  readonly reason: string | null;
  readonly changes: readonly FieldChange[];
}

const MOST_ENTRIES = 500;
const ACTOR_KINDS: Readonly<Record<string, string>> = { portal: 'Portal', guest: 'Guest', system: 'System' };

/**
 * Every version of a record and of those that were merged into it, the newest first (at most 500), with the changes of the
 * fields that the caller may read in it now; where a change is left out, so is the reason. The history of a trashed record is for those who may delete it.
 * @throws AppError not_found when there is no such record or the caller may not see it
 */
export async function readHistory(db: Knex, ctx: CallContext, objectName: string, id: string): Promise<readonly HistoryEntry[]> {
  const { object } = readRights(ctx, objectName);
  if (!isUuid(id)) throw unknownRecord(objectName, id);
  const merged = await mergedInto(db, ctx, id);
  const rights = await readRowRights(db, ctx, objectName, [id, ...merged]);
  const own = rights.get(id);
  if (own === undefined || !own.canRead || (own.isTrashed && !own.canDelete)) throw unknownRecord(objectName, id);
  const readable = [...rights].filter(([, may]) => may.canRead);
  const found = await readVersions(db, ctx.model.schema, object.id, new Map(readable.map(([record, may]) => [record, may.dates])));
  const people = await peopleOf(
    db,
    ctx,
    found.map((row) => String(row['actor'])),
  );
  const fields = new Map([...object.fields.values()].map((field) => [field.id, field]));
  return found.flatMap((row) => {
    const may = rights.get(String(row['record_id']));
    return may === undefined ? [] : [entryOf(ctx, row, object, fields, may, people)];
  });
}

/** The versions of these records, the newest first, written when `within` says. */
export function historySql(schema: string, objectId: string, records: readonly string[], within: Sql): Sql {
  return sql`select record_id, version, kind, at, actor, cause, reason, changes from ${ident(schema, 'record_history')}
        where record_id = any(${[...records]}::uuid[]) and object_id = ${objectId} and ${within} order by at desc, version desc, id desc limit ${MOST_ENTRIES}`;
}

type HistoryRow = Readonly<Record<string, unknown>>;

async function readVersions(db: Knex, schema: string, objectId: string, records: ReadonlyMap<string, RecordDates>): Promise<readonly HistoryRow[]> {
  const ids = [...records.keys()];
  const found = await rows(db, historySql(schema, objectId, ids, writtenWithin(ident('at'), [...records.values()])));
  return isWhole(found, records) ? found : rows(db, historySql(schema, objectId, ids, sql`true`));
}

/** True when nothing is missing of what each record has, or, where there is more than is read, between what was found of it and its present version. */
function isWhole(found: readonly HistoryRow[], records: ReadonlyMap<string, RecordDates>): boolean {
  const versions = new Map([...records.keys()].map((id) => [id, new Set<number>()]));
  for (const row of found) versions.get(String(row['record_id']))?.add(Number(row['version']));
  return [...records].every(([id, dates]) => {
    const own = versions.get(id) ?? new Set<number>();
    const from = found.length < MOST_ENTRIES ? 1 : [...own].reduce((least, version) => Math.min(least, version), dates.version + 1);
    return isComplete(own, dates, from);
  });
}

/** Ids of the records that were merged into one, directly or through another, and were not parted since. */
export async function mergedInto(db: Knex, ctx: CallContext, id: string): Promise<readonly string[]> {
  const [merge, source] = [ident(ctx.model.schema, 'record_merge'), ident(ctx.model.schema, 'record_merge_source')];
  const found = await rows(
    db,
    sql`with recursive s as (
          select x.source_id from ${merge} m join ${source} x on x.merge_id = m.id where m.survivor_id = ${id}::uuid and m.undone_at is null
          union select x.source_id from s join ${merge} m on m.survivor_id = s.source_id and m.undone_at is null join ${source} x on x.merge_id = m.id)
        select source_id from s order by 1`,
  );
  return found.map((row) => String(row['source_id']));
}

async function peopleOf(db: Knex, ctx: CallContext, actors: readonly string[]): Promise<ReadonlyMap<string, string>> {
  const [people] = [...ctx.model.objects.values()].filter((object) => object.builtin);
  return people === undefined ? new Map() : readNames(db, ctx, people.name, actors);
}

/** The boundary from a row of `record_history` to what callers see. */
function entryOf(
  ctx: CallContext,
  row: Readonly<Record<string, unknown>>,
  object: ObjectModel,
  fields: ReadonlyMap<string, FieldModel>,
  rights: RowRights,
  people: ReadonlyMap<string, string>,
): HistoryEntry {
  const changes: FieldChange[] = [];
  let isWhole = true;
  for (const [fieldId, pair] of Object.entries(asRecord(row['changes']))) {
    const field = fields.get(fieldId);
    if (field !== undefined && !rights.readable.has(field.name)) isWhole = false;
    if (field === undefined || !rights.readable.has(field.name) || !Array.isArray(pair)) continue;
    const { format } = fieldType(field);
    changes.push({ field: field.name, label: field.label, from: format(pair[0]), to: format(pair[1]) });
  }
  const order = [...object.fields.keys()];
  const cause = asRecord(row['cause']);
  const kind = typeof cause['kind'] === 'string' ? cause['kind'] : 'unknown';
  const decisions = shownUses(ctx, readUses(cause['decisions']), object.name, String(row['record_id']), rights.readable);
  return {
    record: String(row['record_id']),
    version: Number(row['version']),
    kind: String(row['kind']),
    at: toRfc3339(String(row['at'])),
    actor: actorOf(String(row['actor']), people),
    cause: { kind, ...(typeof cause['rule'] === 'string' ? { rule: cause['rule'] } : {}), ...(decisions.length === 0 ? {} : { decisions }) },
    // The words of whoever wrote may tell of a value that is left out.
    reason: isWhole && typeof row['reason'] === 'string' ? row['reason'] : null,
    changes: changes.sort((a, b) => order.indexOf(a.field) - order.indexOf(b.field)),
  };
}

function actorOf(actor: string, people: ReadonlyMap<string, string>): HistoryEntry['actor'] {
  const [kind = '', own] = actor.split(':', 2);
  if (isUuid(actor)) return { id: actor, name: people.get(actor) ?? 'A user' };
  const label = ACTOR_KINDS[kind] ?? kind;
  return { id: null, name: kind === 'system' && own !== undefined ? `${label} (${own})` : label };
}

function asRecord(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? Object.fromEntries(Object.entries(value)) : {};
}
