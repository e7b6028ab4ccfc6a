import type { Knex } from 'knex';
import type { Instant } from '../clock.ts';
import type { StoredAs } from '../model/physical.ts';
import { objectColumnOf } from '../model/field-types.ts';
import { ident, keyword, platformTable, rows, run, schemaOf, sql } from '../sql.ts';
import type { FillSource, FillState, FillTask } from './types.ts';

/** The fills that were begun and are not over. */
export async function readFills(db: Knex): Promise<readonly FillState[]> {
  const found = await rows(db, sql`select field_id, object_id, source, target, state from ${platformTable(db, 'schema_fill')} order by field_id`);
  return found.map((row) => ({
    fieldId: String(row['field_id']),
    objectId: String(row['object_id']),
    source: sourceOf(row['source']),
    target: { ...storedOf(row['target']), keepsOlder: member(row['target'], 'keepsOlder') === true },
    state: row['state'] === 'settling' ? 'settling' : 'filling',
  }));
}

function sourceOf(value: unknown): FillSource {
  return { ...storedOf(value), refersTo: textOf(member(value, 'refersTo')) };
}

/** Boundary: a column as `schema_fill` keeps it. */
function storedOf(value: unknown): StoredAs {
  return {
    physical: String(member(value, 'physical')),
    sortPhysical: textOf(member(value, 'sortPhysical')),
    shape: textOf(member(value, 'shape')),
    valueKind: textOf(member(value, 'valueKind')),
  };
}

function member(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? Reflect.get(value, name) : undefined;
}

function textOf(value: unknown): string | null {
  return typeof value === 'string' ? value : null;
}

/** Names of the triggers that note which records changed while a field is carried over. */
export function triggerNames(task: Pick<FillTask, 'source'>): readonly [insert: string, update: string] {
  return [`${task.source.physical}_di`, `${task.source.physical}_du`];
}

/**
 * Statements that make every writer, of whatever release or program, note records whose value changes from now on. Adding
 * them waits for the writes in hand, so that none is missed.
 */
export function captureStatements(schema: string, task: FillTask): readonly string[] {
  const table = ident(schema, task.table).text;
  const column = ident(task.source.physical).text;
  const [onInsert, onUpdate] = triggerNames(task);
  const watched = task.source.shape === 'uuid+object' ? [column, ident(objectColumnOf(task.source.physical)).text] : [column];
  const differs = watched.map((name) => `old.${name} is distinct from new.${name}`).join(' or ');
  const call = `for each row when (%) execute function ${ident(schema, 'note_dirty').text}('${task.fieldId}')`;
  return [
    `create or replace function ${ident(schema, 'note_dirty').text}() returns trigger language plpgsql as $note$ begin insert into ${ident(schema, 'schema_dirty').text} (field_id, record_id) values (tg_argv[0], new.id); return null; end $note$`,
    `create or replace trigger ${ident(onInsert).text} after insert on ${table} ${call.replace('%', `new.${column} is not null`)}`,
    `create or replace trigger ${ident(onUpdate).text} after update of ${watched.join(', ')} on ${table} ${call.replace('%', differs)}`,
  ];
}

/** Statements that end the noting. */
export function releaseStatements(schema: string, task: FillTask): readonly string[] {
  const table = ident(schema, task.table).text;
  return triggerNames(task).map((name) => `drop trigger if exists ${ident(name).text} on ${table}`);
}

/** Remembers that a fill was begun; one that was begun before goes on where it stood. Writes. */
export async function beginFill(tx: Knex.Transaction, task: FillTask, now: Instant): Promise<void> {
  const table = platformTable(tx, 'schema_fill');
  const target = JSON.stringify({ ...task.target, keepsOlder: task.keepsOlder });
  await run(
    tx,
    sql`insert into ${table} (field_id, object_id, source, target, state, started_at)
        values (${task.fieldId}, ${task.objectId}, ${JSON.stringify(task.source)}::jsonb, ${target}::jsonb, 'filling', ${now}::timestamptz) on conflict (field_id) do nothing`,
  );
  const next = JSON.stringify(task.target);
  await run(tx, sql`update ${platformTable(tx, 'physical_name')} set next = ${next}::jsonb where id = ${task.fieldId}`);
}

/** The new version is in force: only what processes on an older one still write is carried over. Writes. */
export async function settleFill(tx: Knex.Transaction, fieldId: string): Promise<void> {
  await run(tx, sql`update ${platformTable(tx, 'schema_fill')} set state = 'settling' where field_id = ${fieldId}`);
}

/** The fill is over. Writes. */
export async function endFill(tx: Knex.Transaction, fieldId: string): Promise<void> {
  await run(tx, sql`delete from ${platformTable(tx, 'schema_fill')} where field_id = ${fieldId}`);
  await run(tx, sql`delete from ${platformTable(tx, 'schema_dirty')} where field_id = ${fieldId}`);
  await run(tx, sql`update ${platformTable(tx, 'physical_name')} set next = null where id = ${fieldId}`);
}

/** Where the copying stands: the last id that was looked at. */
export async function fillCursor(db: Knex, fieldId: string): Promise<{ readonly cursor: string | null; readonly done: number }> {
  const [row] = await rows(db, sql`select cursor, done from ${platformTable(db, 'schema_fill')} where field_id = ${fieldId}`);
  return { cursor: textOf(row?.['cursor']), done: Number(row?.['done'] ?? 0) };
}

/** Moves the cursor on, in the transaction of the batch. Writes. */
export async function moveCursor(tx: Knex.Transaction, fieldId: string, cursor: string, count: number): Promise<void> {
  await run(tx, sql`update ${platformTable(tx, 'schema_fill')} set cursor = ${cursor}::uuid, done = done + ${count}::bigint where field_id = ${fieldId}`);
}

/** How many notes of changed records wait. */
export async function dirtyCount(db: Knex, fieldId: string): Promise<number> {
  const [row] = await rows(
    db,
    sql`select count(*)::int as count from (select from ${platformTable(db, 'schema_dirty')} where field_id = ${fieldId} limit 10000) as d`,
  );
  return Number(row?.['count'] ?? 0);
}

/** Takes notes of changed records, the oldest first, and answers the records. Writes. */
export async function takeDirty(tx: Knex.Transaction, fieldId: string, limit: number): Promise<readonly string[]> {
  const table = platformTable(tx, 'schema_dirty');
  const found = await rows(
    tx,
    sql`delete from ${table} where seq in (select seq from ${table} where field_id = ${fieldId} order by seq limit ${limit}) returning record_id`,
  );
  return [...new Set(found.map((row) => String(row['record_id'])))].sort();
}

/** Keeps writers of a table away for the rest of this transaction; readers go on. */
export async function lockWriters(tx: Knex.Transaction, table: string): Promise<void> {
  await run(tx, sql`lock table ${ident(schemaOf(tx), table)} in ${keyword('share row exclusive')} mode`);
}
