import type { Knex } from 'knex';
import type { CallContext } from '../access/types.ts';
import type { Instant } from '../clock.ts';
import { fieldType } from '../model/field-types.ts';
import { hotValue, isHot } from '../model/read-table.sql.ts';
import { ROLLUP_DELTAS } from '../model/rollups.ts';
import type { FieldModel, ObjectModel } from '../model/types.ts';
import { toRfc3339 } from '../db.ts';
import { ident, joinSql, platformTable, rows, run, schemaOf, sql } from '../sql.ts';
import type { Image } from './batch.ts';
import type { DerivedField } from './derived-fields.ts';
import { imageOf, physicalColumns, physicalRow } from './images.ts';
import { rowsOf } from './related.sql.ts';
import { countedSql } from './rollups.sql.ts';

/** How far a derived field is filled and checked. */
export interface DerivedState {
  readonly fieldId: string;
  readonly state: 'filling' | 'filled';
  readonly afterId: string | null;
  readonly records: number;
  readonly drifted: number;
  readonly nextCheck: Instant;
  readonly checkedAt: Instant | null;
  readonly checkedRecords: number | null;
  readonly checkedDrift: number | null;
}

const COLUMNS = sql`field_id, state, after_id, records, drifted, next_check, checked_at, checked_records, checked_drift`;

/** The boundary from a row of `derived_field`. */
function stateOf(row: Readonly<Record<string, unknown>>): DerivedState {
  const whole = (value: unknown): number | null => (value === null ? null : Number(value));
  return {
    fieldId: String(row['field_id']),
    state: row['state'] === 'filling' ? 'filling' : 'filled',
    afterId: typeof row['after_id'] === 'string' ? row['after_id'] : null,
    records: Number(row['records']),
    drifted: Number(row['drifted']),
    nextCheck: toRfc3339(String(row['next_check'])),
    checkedAt: typeof row['checked_at'] === 'string' ? toRfc3339(row['checked_at']) : null,
    checkedRecords: whole(row['checked_records']),
    checkedDrift: whole(row['checked_drift']),
  };
}

/** Brings the list of derived fields in line with the Model: what is new or made otherwise is to be filled, what is gone goes. */
export async function syncDerived(tx: Knex.Transaction, fields: readonly DerivedField[], now: Instant): Promise<void> {
  const table = platformTable(tx, 'derived_field');
  const wanted = fields.map(({ field, definition }) => ({ id: field.id, definition }));
  const hot = fields.filter(({ field }) => isHot(field)).map(({ field }) => field.id);
  await run(
    tx,
    sql`insert into ${table} as d (field_id, definition, state, next_check)
        select id, definition, 'filling', ${now}::timestamptz from jsonb_to_recordset(${JSON.stringify(wanted)}::jsonb) as r(id text, definition text) order by id
        on conflict (field_id) do update set definition = excluded.definition, state = 'filling', after_id = null, records = 0, drifted = 0
        where d.definition <> excluded.definition`,
  );
  await run(tx, sql`delete from ${table} where field_id <> all(${wanted.map((entry) => entry.id)}::text[])`);
  await run(tx, sql`delete from ${platformTable(tx, ROLLUP_DELTAS)} where field_id <> all(${hot}::text[])`);
}

/** The state of every derived field. */
export async function readDerived(db: Knex): Promise<ReadonlyMap<string, DerivedState>> {
  const found = await rows(db, sql`select ${COLUMNS} from ${platformTable(db, 'derived_field')}`);
  return new Map(found.map(stateOf).map((state) => [state.fieldId, state]));
}

/** Holds the state of a field until the transaction ends; null while another process does. */
export async function claimDerived(tx: Knex.Transaction, fieldId: string): Promise<DerivedState | null> {
  const [row] = await rows(tx, sql`select ${COLUMNS} from ${platformTable(tx, 'derived_field')} where field_id = ${fieldId} for update skip locked`);
  return row === undefined ? null : stateOf(row);
}

/** Notes how far the work on a field has come. */
export async function moveDerived(tx: Knex.Transaction, fieldId: string, to: Pick<DerivedState, 'afterId' | 'records' | 'drifted'>): Promise<void> {
  await run(
    tx,
    sql`update ${platformTable(tx, 'derived_field')} set after_id = ${to.afterId}::uuid, records = ${to.records}::bigint, drifted = ${to.drifted}::bigint where field_id = ${fieldId}`,
  );
}

/** Notes that all records were filled (or checked, when `checkedAt` says so), and when to look again. */
export async function endDerived(
  tx: Knex.Transaction,
  fieldId: string,
  end: { readonly nextCheck: Instant; readonly checkedAt: Instant | null; readonly records: number; readonly drifted: number },
): Promise<void> {
  const checked =
    end.checkedAt === null ? sql`` : sql`, checked_at = ${end.checkedAt}::timestamptz, checked_records = ${end.records}, checked_drift = ${end.drifted}`;
  await run(
    tx,
    sql`update ${platformTable(tx, 'derived_field')} set state = 'filled', after_id = null, records = 0, drifted = 0, next_check = ${end.nextCheck}::timestamptz${checked}
        where field_id = ${fieldId}`,
  );
}

/** A value that was not what it should have been. */
export interface Drift {
  readonly id: string;
  readonly stored: unknown;
  readonly computed: unknown;
}

/** Keeps what was found wrong, for those who look for the cause. */
export async function keepDrift(tx: Knex.Transaction, fieldId: string, found: readonly Drift[], now: Instant): Promise<void> {
  if (found.length === 0) return;
  const text = (value: unknown): string | null => (value === null ? null : typeof value === 'string' ? value : JSON.stringify(value));
  const content = found.map((drift) => ({ id: drift.id, stored: text(drift.stored), computed: text(drift.computed) }));
  await run(
    tx,
    sql`insert into ${platformTable(tx, 'derived_drift')} (field_id, record_id, stored, computed, found_at)
        select ${fieldId}, id, stored, computed, ${now}::timestamptz from jsonb_to_recordset(${JSON.stringify(content)}::jsonb) as r(id uuid, stored text, computed text)`,
  );
}

/** Ids of an object's records, those in the trash too, in order. */
export async function idsAfter(db: Knex, object: ObjectModel, after: string | null, limit: number): Promise<readonly string[]> {
  const from = after === null ? sql`` : sql`where id > ${after}::uuid`;
  const found = await rows(db, sql`select id from ${ident(schemaOf(db), object.table)} ${from} order by id limit ${limit}::int`);
  return found.map((row) => String(row['id']));
}

/** Records whose roll-up is not what a recount gives, both as of one moment; reads only. */
export async function driftedRollups(
  db: Knex,
  context: CallContext,
  object: ObjectModel,
  field: FieldModel,
  ids: readonly string[],
): Promise<readonly Drift[]> {
  const stored = isHot(field) ? hotValue(field, ident('t')) : ident('t', field.column ?? '');
  const found = await rows(
    db,
    sql`select t.id, ${stored} as stored, n.v0 as computed from ${ident(schemaOf(db), object.table)} as t join (${countedSql(context, object, [field], ids)}) as n on n.id = t.id
        where ${stored} is distinct from n.v0 order by t.id`,
  );
  const { format } = fieldType(field);
  return found.map((row) => ({ id: String(row['id']), stored: format(row['stored'] ?? null), computed: format(row['computed'] ?? null) }));
}

/** Sets hot roll-ups so that what is folded and what waits give a recount. The records are locked by an earlier statement. */
export async function resetHot(tx: Knex.Transaction, context: CallContext, object: ObjectModel, field: FieldModel, ids: readonly string[]): Promise<void> {
  const column = ident(field.column ?? '');
  await run(
    tx,
    sql`update ${ident(schemaOf(tx), object.table)} as t set ${column} = trim_scale(n.v0 - coalesce(w.amount, 0))
        from (${countedSql(context, object, [field], ids)}) as n
        left join lateral (select sum(d.amount) as amount from ${platformTable(tx, ROLLUP_DELTAS)} as d where d.field_id = ${field.id} and d.record_id = n.id) as w on true
        where t.id = n.id and t.${column} is distinct from n.v0 - coalesce(w.amount, 0)`,
  );
}

/** Records as they stand, those in the trash too, in the order of their ids; locked when they are to be written. */
export async function readForFormula(db: Knex, object: ObjectModel, ids: readonly string[], lock: boolean): Promise<readonly Image[]> {
  const found = await rowsOf(db, object, ids, lock ? 'for no key update' : null);
  return found.map((row) => imageOf(object, row));
}

/** Writes values of one stored formula beside the pipeline: version, time of change and history stay as they are. */
export async function writeFormula(tx: Knex.Transaction, object: ObjectModel, field: FieldModel, images: readonly Image[]): Promise<void> {
  if (images.length === 0) return;
  const table = ident(schemaOf(tx), object.table);
  const set = joinSql(physicalColumns([field]).map((column) => sql`${ident(column)} = ${ident('r', column)}`));
  const content = images.map((image) => ({ ...physicalRow(image, [field]), id: image['id'] }));
  await run(tx, sql`update ${table} as t set ${set} from jsonb_populate_recordset(null::${table}, ${JSON.stringify(content)}::jsonb) as r where t.id = r.id`);
}
