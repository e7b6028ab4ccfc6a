import { readRights, type Rights } from '../access/rights.ts';
import { inForceSql, isMasked, objectTable, readPredicate, secureRelation, secureSchema, sqlContext, valueSql } from '../access/secure.sql.ts';
import type { CallContext } from '../access/types.ts';
import type { ExprSchema, SqlContext } from '../expression/types.ts';
import type { FieldModel, ObjectModel } from '../model/types.ts';
import { ident, joinSql, keyword, sql, type Sql } from '../sql.ts';
import { invalidQuery, unknownName } from './invalid-query.ts';

/** The rows of one object that the caller may read, ready to stand in a FROM. Nothing else names an object's table. */
export interface Source {
  readonly ctx: CallContext;
  readonly rights: Rights;
  readonly object: ObjectModel;
  readonly alias: string;
  readonly from: Sql;
  readonly where: readonly Sql[];
  /** What a caller's expression may name. */
  readonly schema: ExprSchema;
  readonly context: SqlContext;
}

export interface SourceOptions {
  readonly alias?: string;
  /** Trashed rows instead of live ones. */
  readonly trash?: boolean;
}

/**
 * Opens an object for reading.
 * @throws AppError not_found when it does not exist or no row of it may be read
 */
export function openSource(ctx: CallContext, objectName: string, options: SourceOptions = {}): Source {
  const rights = readRights(ctx, objectName);
  const alias = options.alias ?? 't';
  const trash = options.trash === true;
  const base = { ctx, rights, object: rights.object, alias, schema: secureSchema(ctx), context: sqlContext(ctx) };
  if (isMasked(rights)) return { ...base, from: sql`${secureRelation(ctx, objectName, trash ? 'trash' : 'live')} as ${ident(alias)}`, where: [] };
  const state = sql`${ident(alias, 'deleted_at')} ${keyword(trash ? 'is not null' : 'is null')}`;
  const predicate = readPredicate(ctx, objectName, alias);
  const inForce = inForceSql(ctx, rights, alias);
  const where = [state, predicate, inForce].filter((condition) => condition !== null);
  return { ...base, from: sql`${objectTable(ctx, rights.object)} as ${ident(alias)}`, where };
}

/** The same rows twice, each joined to itself by its key. */
export interface TwinSource {
  /** What is read, its values and conditions. */
  readonly read: Source;
  /** What is asked for and ordered by: where its conditions and order name nothing but an index's columns, no row of it is fetched. */
  readonly order: Source;
}

/** Only for a caller for whom no field is masked. */
export function twinSource(source: Source): TwinSource {
  const order = `${source.alias}2`;
  const twin = sql`${objectTable(source.ctx, source.object)} as ${ident(order)} on ${ident(order, 'id')} = ${ident(source.alias, 'id')}`;
  return { read: { ...source, from: sql`${source.from} join ${twin}` }, order: { ...source, alias: order } };
}

/** WHERE with the source's own conditions and further ones; empty text when there are none. */
export function whereSql(source: Source, more: readonly Sql[] = []): Sql {
  const conditions = [...source.where, ...more];
  return conditions.length === 0 ? keyword('') : sql` where ${joinSql(conditions, ' and ')}`;
}

/** The value of a field in the source's row; formulas are computed by the database. */
export function fieldSql(source: Source, field: FieldModel): Sql {
  return valueSql(source.ctx, source.rights, field, source.alias);
}

/** Names of the fields that the caller may read, system fields among them. */
export function readableNames(source: Source): readonly string[] {
  return [...source.object.fields.keys()].filter((name) => source.rights.readable.has(name));
}

/**
 * A field by name.
 * @throws AppError invalid_query, worded alike for a field that does not exist and one that may not be read
 */
export function readableField(source: Source, name: string, parameter: string): FieldModel {
  const field = source.object.fields.get(name);
  if (field === undefined || !source.rights.readable.has(name)) throw unknownName(parameter, source.object.name, 'field', name, readableNames(source));
  return field;
}

export const DISPLAY_NAME = 'displayName';

export interface Selection {
  readonly fields: readonly FieldModel[];
  /** Also the computed display name. */
  readonly withName: boolean;
}

/** The fields of a read: those asked for, or all that may be read; id and version always. */
export function selectFields(source: Source, names: readonly string[] | undefined, trash = false): Selection {
  const wanted = new Set(['id', 'version']);
  let withName = false;
  if (names === undefined) {
    for (const name of readableNames(source)) if (name !== 'deletedAt' || trash) wanted.add(name);
  } else {
    if (names.length > 400) throw invalidQuery('fields', 'At most 400 fields can be asked for.');
    names.forEach((name, index) => {
      if (name === DISPLAY_NAME && !source.object.fields.has(name)) withName = true;
      else wanted.add(readableField(source, name, `fields/${index}`).name);
    });
  }
  const fields = [...wanted].flatMap((name) => {
    const field = source.object.fields.get(name);
    return field === undefined ? [] : [field];
  });
  return { fields, withName };
}
