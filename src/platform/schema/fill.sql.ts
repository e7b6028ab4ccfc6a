import type { Knex } from 'knex';
import { FIELD_TYPES, fieldType, objectColumnOf } from '../model/field-types.ts';
import type { FieldModel } from '../model/types.ts';
import { ident, joinSql, keyword, rows, run, schemaOf, sql, type Sql } from '../sql.ts';
import { castOfShape, kindOfStored, makeConverter, type Converter } from './convert.ts';
import type { FillTask } from './types.ts';

/** A task with what is needed to carry it out. */
export interface Fill {
  readonly task: FillTask;
  /** To the new type; and back, for a target that still holds values from before. */
  readonly forward: Converter;
  readonly back: Converter | null;
  /** A stored value of the target in the API's form. */
  readonly format: (stored: unknown) => unknown;
}

/** Makes a task ready. `target` is the field as the wanted Model has it, `source` as it was. */
export function makeFill(task: FillTask, target: FieldModel, source: FieldModel | null, zone: string): Fill {
  const older = { ...task.target, refersTo: target.ref?.to[0] ?? null };
  const back = task.keepsOlder && source !== null ? makeConverter(older, source, zone) : null;
  return { task, forward: makeConverter(task.source, target, zone), back, format: fieldType(target).format };
}

/** What became of some rows. */
export interface FillOutcome {
  readonly looked: number;
  /** Rows whose value was written since the target's was, and therefore carried over although the target held one. */
  readonly renewed: number;
  /** Ids of rows whose value does not convert. */
  readonly stuck: readonly string[];
  readonly lastId: string | null;
}

const EXAMINED_AT_ONCE = 20_000;
const SHOWN = 5;

type DbRow = Readonly<Record<string, unknown>>;

const objectColumn = (stored: { readonly shape: string | null; readonly physical: string }): string | null =>
  stored.shape === 'uuid+object' ? objectColumnOf(stored.physical) : null;

/** The columns of source and target under fixed names. */
function selected({ source, target, keepsOlder }: FillTask): Sql {
  const sourceObject = objectColumn(source);
  const targetObject = objectColumn(target);
  return joinSql([
    ident('id'),
    sql`${ident(source.physical)} as c`,
    sourceObject === null ? keyword('null as co') : sql`${ident(sourceObject)} as co`,
    ...(keepsOlder ? [sql`${ident(target.physical)} as t`, targetObject === null ? keyword('null as tobj') : sql`${ident(targetObject)} as tobj`] : []),
  ]);
}

/** Copies the next rows in the order of ids; the caller keeps the cursor in the same transaction. Writes. */
export async function copyBatch(tx: Knex.Transaction, fill: Fill, after: string | null, limit: number): Promise<FillOutcome> {
  const { task } = fill;
  const held = task.keepsOlder
    ? sql`(${ident(task.source.physical)} is not null or ${ident(task.target.physical)} is not null)`
    : sql`${ident(task.source.physical)} is not null`;
  const from = after === null ? sql`true` : sql`id > ${after}::uuid`;
  const found = await rows(
    tx,
    sql`select ${selected(task)} from ${ident(schemaOf(tx), task.table)} where ${from} and ${held} order by id limit ${keyword(String(limit))}`,
  );
  return write(tx, fill, found, task.keepsOlder, 'clear');
}

/** What the target holds where a value does not convert: nothing, or what it held. */
export type IfStuck = 'clear' | 'leave';

/** Carries over the present values of some records, whatever the target holds. Writes. */
export async function copyRecords(tx: Knex.Transaction, fill: Fill, ids: readonly string[], ifStuck: IfStuck): Promise<FillOutcome> {
  const { task } = fill;
  const found = await rows(tx, sql`select ${selected(task)} from ${ident(schemaOf(tx), task.table)} where id = any(${ids}::uuid[]) order by id`);
  return write(tx, fill, found, false, ifStuck);
}

async function write(tx: Knex.Transaction, fill: Fill, found: readonly DbRow[], keepsOlder: boolean, ifStuck: IfStuck): Promise<FillOutcome> {
  const { task, forward } = fill;
  const stuck: string[] = [];
  const records: Record<string, unknown>[] = [];
  let renewed = 0;
  for (const row of found) {
    if (keepsOlder && stillHolds(fill, row)) continue;
    if (keepsOlder && (row['t'] ?? null) !== null) renewed += 1;
    const converted = forward.convert(row['c'], row['co']);
    if (converted === null) stuck.push(String(row['id']));
    if (converted === null && ifStuck === 'leave') continue;
    const { value, sort, object } = forward.columns(converted?.value ?? null);
    records.push({ id: row['id'], was: row['c'], was_object: row['co'] ?? null, v: value, s: sort, o: object });
  }
  if (records.length > 0) await writeTargets(tx, task, records);
  return { looked: found.length, renewed, stuck, lastId: found.length === 0 ? null : String(found.at(-1)?.['id']) };
}

/** True when the value that the target holds from before becomes just what the source holds now: it was not changed since. */
function stillHolds({ back, task }: Fill, row: DbRow): boolean {
  if (back === null || (row['t'] ?? null) === null) return false;
  const converted = back.convert(row['t'], row['tobj']);
  if (converted === null) return false;
  const { value, object } = back.columns(converted.value);
  const now = objectColumn(task.source) === null ? FIELD_TYPES[kindOfStored(task.source)].format(row['c']) : row['c'];
  return canonical(value) === canonical(now) && (object ?? null) === (row['co'] ?? null);
}

function canonical(value: unknown): string {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return JSON.stringify(value ?? null);
  return JSON.stringify(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** One statement; a row whose value changed since it was read is left to the note that its writer made. */
async function writeTargets(tx: Knex.Transaction, task: FillTask, records: readonly DbRow[]): Promise<void> {
  const { source, target } = task;
  const sourceObject = objectColumn(source);
  const targetObject = objectColumn(target);
  const set = joinSql([
    sql`${ident(target.physical)} = r.v`,
    ...(target.sortPhysical === null ? [] : [sql`${ident(target.sortPhysical)} = r.s`]),
    ...(targetObject === null ? [] : [sql`${ident(targetObject)} = r.o`]),
  ]);
  const same = sql`t.${ident(source.physical)} is not distinct from r.was`;
  const sameObject = sourceObject === null ? keyword('') : sql` and t.${ident(sourceObject)} is not distinct from r.was_object`;
  const shape = keyword(`(id uuid, was ${castOfShape(source.shape ?? 'text')}, was_object text, v ${castOfShape(target.shape ?? 'text')}, s text, o text)`);
  await run(
    tx,
    sql`update ${ident(schemaOf(tx), task.table)} t set ${set} from jsonb_to_recordset(${JSON.stringify(records)}::jsonb) as r${shape} where t.id = r.id and ${same}${sameObject}`,
  );
}

/** Some records whose value does not convert, once everything was carried over. Reads only. */
export async function stuckRecords(db: Knex, fill: Fill): Promise<readonly string[]> {
  const { task, forward } = fill;
  const stuck: string[] = [];
  let after: string | null = null;
  for (;;) {
    const from: Sql = after === null ? sql`true` : sql`id > ${after}::uuid`;
    const found: readonly DbRow[] = await rows(
      db,
      sql`select ${selected({ ...task, keepsOlder: false })} from ${ident(schemaOf(db), task.table)}
          where ${from} and ${ident(task.source.physical)} is not null and ${ident(task.target.physical)} is null order by id limit ${keyword(String(EXAMINED_AT_ONCE))}`,
    );
    for (const row of found) if (forward.convert(row['c'], row['co']) === null && stuck.length < SHOWN) stuck.push(String(row['id']));
    if (found.length < EXAMINED_AT_ONCE || stuck.length === SHOWN) return stuck;
    after = String(found.at(-1)?.['id']);
  }
}

/** What looking at all values says, before anything is changed. */
export interface Examination {
  /** Values that do not convert, and some of their records. */
  readonly stuck: number;
  readonly records: readonly string[];
  /** Values that are written differently as the new type; counted only where both are stored alike. */
  readonly changed: number;
}

/** Looks at every value that would be carried over. `isAlike`: old and new type are stored alike. Reads only. */
export async function examineValues(db: Knex, fill: Fill, isAlike: boolean): Promise<Examination> {
  const { task, forward, format } = fill;
  const table = ident(schemaOf(db), task.table);
  const records: string[] = [];
  let stuck = 0;
  let changed = 0;
  let after: string | null = null;
  for (;;) {
    const from: Sql = after === null ? sql`true` : sql`id > ${after}::uuid`;
    const found: readonly DbRow[] = await rows(
      db,
      sql`select ${selected(task)} from ${table} where ${from} and ${ident(task.source.physical)} is not null order by id limit ${keyword(String(EXAMINED_AT_ONCE))}`,
    );
    for (const row of found) {
      if (task.keepsOlder && stillHolds(fill, row)) continue;
      const converted = forward.convert(row['c'], row['co']);
      if (converted === null) {
        stuck += 1;
        if (records.length < SHOWN) records.push(String(row['id']));
      } else if (isAlike && canonical(converted.value) !== canonical(format(row['c']))) changed += 1;
    }
    if (found.length < EXAMINED_AT_ONCE) return { stuck, records, changed };
    after = String(found.at(-1)?.['id']);
  }
}
