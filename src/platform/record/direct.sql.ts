import { createHash } from 'node:crypto';
import type { Knex } from 'knex';
import type { CallContext } from '../access/types.ts';
import { fieldType } from '../model/field-types.ts';
import type { FieldModel, ObjectModel } from '../model/types.ts';
import { Recent } from '../recent.ts';
import { isInForce } from '../schema/processes.sql.ts';
import { ident, joinSql, keyword, platformTable, ready, rowArrays, schemaOf, sql, type ReadyStatement, type Sql } from '../sql.ts';
import type { Image } from './batch.ts';
import { physicalRow } from './images.ts';
import { depthOf, type SideRows } from './side-rows.sql.ts';

/** One record to be written with everything that stands beside it. */
export interface DirectWrite {
  readonly kind: 'create' | 'update';
  readonly id: string;
  readonly after: Image;
  /** Fields to write; for a create those that hold a value. */
  readonly fields: readonly FieldModel[];
  readonly side: SideRows;
  readonly actor: string;
}

/** Texts are kept with the Model that they are of; how many names a connection keeps is the matter of `prepared.ts`. */
const SHAPES_PER_OBJECT = 100;
const shapes = new WeakMap<ObjectModel, Recent<string, ReadyStatement>>();

/**
 * Writes a record, its history, audit row, search entry and event by one statement, which is its own transaction.
 * @returns false when the record is no longer at the version before the one written, or the Model not in force; nothing was written then
 */
export async function writeDirect(db: Knex, context: CallContext, object: ObjectModel, write: DirectWrite): Promise<boolean> {
  const columns = columnsOf(write);
  const values = [
    ...columns.map((column) => column.value),
    ...(write.kind === 'update' ? [write.id, Number(write.after['version']) - 1] : []),
    context.model.version,
    ...sideValues(context, object, write),
  ];
  const found = await rowArrays(db, statementOf(db, context, object, write, columns), values);
  return found.length > 0;
}

interface Column {
  readonly name: string;
  readonly cast: string;
  readonly value: unknown;
}

function columnsOf({ after, fields }: DirectWrite): readonly Column[] {
  const row = physicalRow(after, fields);
  return fields.flatMap((field) => {
    const { column, sortColumn, objectColumn } = field;
    if (column === null) return [];
    const type = fieldType(field);
    const value = row[column];
    return [
      { name: column, cast: type.column?.cast ?? 'text', value: objectColumn === null ? type.bind(value) : value },
      ...(sortColumn === null ? [] : [{ name: sortColumn, cast: 'text', value: row[sortColumn] }]),
      ...(objectColumn === null ? [] : [{ name: objectColumn, cast: 'text', value: row[objectColumn] }]),
    ];
  });
}

/** The values beside the record, in the order in which `textOf` names them. */
function sideValues(context: CallContext, object: ObjectModel, { side, actor }: DirectWrite): readonly unknown[] {
  const [record] = side.records;
  const [event] = side.events;
  const [listed] = side.listed;
  const cause = JSON.stringify(context.cause);
  const requestId = context.cause.kind === 'request' ? context.cause.requestId : null;
  const depth = depthOf(context.cause);
  return [
    ...[object.id, record?.id, record?.version, record?.kind, context.now, actor, cause, context.reason ?? null, JSON.stringify(record?.changes ?? {})],
    ...[context.now, actor, record?.action, object.name, record?.id, record?.version, requestId],
    ...(side.unlisted.length === 0 ? [] : [object.name, side.unlisted[0]]),
    ...(listed === undefined ? [] : [object.name, listed.record_id, listed.class, listed.keys]),
    ...(event === undefined
      ? []
      : [
          event.id,
          object.name,
          event.record_id,
          event.kind,
          context.now,
          json(event.before),
          json(event.after),
          event.changed,
          event.transition,
          cause,
          actor,
          depth,
        ]),
  ];
}

const json = (value: unknown): string | null => (value === null ? null : JSON.stringify(value));

function statementOf(db: Knex, context: CallContext, object: ObjectModel, write: DirectWrite, columns: readonly Column[]): ReadyStatement {
  const { side } = write;
  const beside = `${side.unlisted.length > 0 ? 'd' : ''}${side.listed.length > 0 ? 's' : ''}${side.events.length > 0 ? 'e' : ''}`;
  const key = `${write.kind} ${beside} ${columns.map((column) => column.name).join(' ')}`;
  const known = shapes.get(object) ?? new Recent<string, ReadyStatement>(SHAPES_PER_OBJECT);
  shapes.set(object, known);
  const found = known.get(key);
  if (found !== undefined) return found;
  const name = `direct_${object.id}_${context.model.version}_${createHash('sha256').update(key).digest('hex').slice(0, 12)}`;
  const made = ready(textOf(db, object, write, columns).text, name);
  known.set(key, made);
  return made;
}

/** A place for a bound value of the given type. */
const slot = (cast: string): Sql => keyword(`?::${cast}`);
const slots = (casts: readonly string[]): Sql => joinSql(casts.map(slot));

function textOf(db: Knex, object: ObjectModel, { kind, side }: DirectWrite, columns: readonly Column[]): Sql {
  const table = ident(schemaOf(db), object.table);
  const names = columns.map(({ name }) => ident(name));
  const record =
    kind === 'create'
      ? sql`insert into ${table} (${joinSql(names)}) select ${joinSql(columns.map(({ cast }) => slot(cast)))} where ${isInForce(db, keyword('?'))} returning id`
      : sql`update ${table} set ${joinSql(columns.map(({ name, cast }) => sql`${ident(name)} = ${slot(cast)}`))} where id = ${slot('uuid')} and version = ${slot('int')} and deleted_at is null
          and ${isInForce(db, keyword('?'))} returning id`;
  const search = platformTable(db, 'search_entry');
  const parts = [
    sql`w as (${record})`,
    sql`h as (insert into ${platformTable(db, 'record_history')} (object_id, record_id, version, kind, at, actor, cause, reason, changes)
      select ${slots(['text', 'uuid', 'int', 'text', 'timestamptz', 'text', 'jsonb', 'text', 'jsonb'])} from w)`,
    sql`a as (insert into ${platformTable(db, 'audit_entry')} (at, actor, action, object, record_id, record_version, request_id)
      select ${slots(['timestamptz', 'text', 'text', 'text', 'uuid', 'int', 'text'])} from w)`,
  ];
  if (side.unlisted.length > 0) parts.push(sql`d as (delete from ${search} e using w where e.object = ${slot('text')} and e.record_id = ${slot('uuid')})`);
  if (side.listed.length > 0)
    parts.push(sql`s as (insert into ${search} (object, record_id, class, keys)
      select ${slots(['text', 'uuid', 'text', 'text'])} from w
      on conflict (object, record_id, class) do update set keys = excluded.keys)`);
  if (side.events.length > 0)
    parts.push(sql`e as (insert into ${platformTable(db, 'event')} (id, object, record_id, kind, at, before, after, changed, transition, cause, actor, depth)
      select ${slots(['uuid', 'text', 'uuid', 'text', 'timestamptz', 'jsonb', 'jsonb', 'text[]', 'text', 'jsonb', 'text', 'int'])} from w)`);
  return sql`with ${joinSql(parts)} select 1 from w`;
}
