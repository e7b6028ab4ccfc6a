import type { Knex } from 'knex';
import { FIELD_TYPES } from '../model/field-types.ts';
import { planPhysicalNames } from '../model/physical.ts';
import { sideOf } from '../model/side-tables.ts';
import { schemaOf } from '../sql.ts';
import { readCatalogue } from './catalogue.sql.ts';
import { triggerNames } from './fill-state.sql.ts';
import { readRemembered, rememberedTables } from './names.sql.ts';
import { dayAfter, storedColumns } from './plan-retire.ts';
import { KEPT_DAYS } from './step.ts';
import { tableSpecs, type ColumnSpec, type TableSpec } from './table-spec.ts';
import type { Catalogue, Remembered } from './types.ts';
import { currentVersion, readVersion } from './versions.sql.ts';

/** A place where the live catalogue is not as recorded. */
export interface DriftEntry {
  readonly what: 'missing' | 'unknown' | 'different' | 'invalid' | 'unfinished';
  readonly place: string;
  readonly detail: string;
}

/** Something that metadata no longer has and the database still keeps. */
export interface KeptEntry {
  readonly what: string;
  readonly since: string;
  /** First day on which `apply --allow-destructive` drops it. */
  readonly until: string;
}

export interface DriftReport {
  readonly version: number;
  readonly drift: readonly DriftEntry[];
  readonly kept: readonly KeptEntry[];
}

/** Compares the live catalogue with what is recorded. Reads only. */
export async function reportDrift(db: Knex): Promise<DriftReport> {
  const recorded = await readVersion(db, await currentVersion(db));
  const remembered = await readRemembered(db);
  const live = await readCatalogue(db, rememberedTables(remembered));
  const physical = recorded.names ?? planPhysicalNames(recorded.set, remembered.names);
  const specs = tableSpecs(recorded.set, physical, schemaOf(db));
  const drift = [...specs.flatMap((spec) => tableDrift(spec, live, remembered)), ...unknownTables(live, remembered), ...unfinished(remembered)];
  return { version: recorded.version, drift, kept: keptEntries(remembered) };
}

function tableDrift(spec: TableSpec, live: Catalogue, remembered: Remembered): readonly DriftEntry[] {
  const columns = live.tables.get(spec.table);
  const at = (rest: string): string => `${spec.objectName} (${spec.table}${rest})`;
  if (columns === undefined) return [{ what: 'missing', place: at(''), detail: 'The table is not there.' }];
  const drift: DriftEntry[] = [];
  for (const column of spec.columns) {
    const found = columns.get(column.name);
    const wanted = typeOf(column);
    if (found === undefined) drift.push({ what: 'missing', place: at(`.${column.name}`), detail: 'The column is not there.' });
    else if (wanted !== null && found.type !== wanted)
      drift.push({ what: 'different', place: at(`.${column.name}`), detail: `The column is ${found.type} and should be ${wanted}.` });
  }
  const known = new Set([...spec.columns.map((column) => column.name), ...otherColumns(spec, remembered)]);
  for (const name of columns.keys()) if (!known.has(name)) drift.push({ what: 'unknown', place: at(`.${name}`), detail: 'No metadata knows this column.' });
  for (const index of spec.indexes) {
    const found = live.indexes.get(index.name);
    if (found === undefined) drift.push({ what: 'missing', place: at(` ${index.name}`), detail: `The index on ${index.what} is not there.` });
    else if (!found.isValid) drift.push({ what: 'invalid', place: at(` ${index.name}`), detail: `The index on ${index.what} was not built to its end.` });
  }
  const wantedIndexes = new Set(spec.indexes.map((index) => index.name));
  for (const [name, found] of live.indexes)
    if (found.table === spec.table && !found.isOfConstraint && !wantedIndexes.has(name))
      drift.push({ what: 'unknown', place: at(` ${name}`), detail: 'No metadata knows this index.' });
  const constraints = [
    ...spec.foreignKeys.map((key) => ({ name: key.name, what: `reference ${key.fieldName}` })),
    ...spec.checks.map((check) => ({ name: check.name, what: `requirement of ${check.fieldName}` })),
    ...(spec.exclusion === null ? [] : [{ name: spec.exclusion.name, what: 'rule that days do not overlap' }]),
  ];
  for (const { name, what } of constraints) {
    const found = live.constraints.get(`${spec.table}.${name}`);
    if (found === undefined) drift.push({ what: 'missing', place: at(` ${name}`), detail: `The database does not hold writers to the ${what}.` });
    else if (!found.isValid) drift.push({ what: 'invalid', place: at(` ${name}`), detail: `The ${what} was never checked for older records.` });
  }
  return [...drift, ...unknownKeepers(spec, new Set(constraints.map(({ name }) => name)), live, remembered)];
}

/** Constraints and triggers that somebody added by hand: they may refuse or change what people write. */
function unknownKeepers(spec: TableSpec, wanted: ReadonlySet<string>, live: Catalogue, { fills }: Remembered): readonly DriftEntry[] {
  const noted = new Set(fills.flatMap((fill) => triggerNames(fill)));
  const others = (keys: Iterable<string>, known: ReadonlySet<string>, noun: string): readonly DriftEntry[] =>
    [...keys].flatMap((key) => {
      const name = key.slice(spec.table.length + 1);
      if (!key.startsWith(`${spec.table}.`) || known.has(name)) return [];
      return [{ what: 'unknown', place: `${spec.objectName} (${spec.table} ${name})`, detail: `No metadata knows this ${noun}.` } as const];
    });
  return [...others(live.constraints.keys(), wanted, 'constraint'), ...others(live.triggers, noted, 'trigger')];
}

/** Columns that are remembered for the table: hidden ones, those that were left, and those being filled. */
function otherColumns(spec: TableSpec, { names, kept }: Remembered): readonly string[] {
  const own = [...names.values()].filter((name) => name.objectId === spec.objectId);
  const stored = [...own, ...own.flatMap((name) => name.next ?? []), ...kept.filter((column) => column.objectId === spec.objectId)];
  return stored.filter((entry) => entry.shape !== null && sideOf(entry.physical) === spec.side).flatMap(storedColumns);
}

const LIVE_TYPES: Readonly<Record<string, string>> = { timestamptz: 'timestamp(3) with time zone' };

/** The type of a field's column as the catalogue writes it; null for system columns. */
function typeOf(column: ColumnSpec): string | null {
  if (column.fieldId === null) return null;
  const type = Object.values(FIELD_TYPES).find((entry) => entry.column?.ddl === column.ddl)?.column?.cast;
  return type === undefined ? null : (LIVE_TYPES[type] ?? type);
}

/** Tables that look like an object's and belong to none. */
function unknownTables(live: Catalogue, { names }: Remembered): readonly DriftEntry[] {
  const known = new Set(['app_user', ...[...names.values()].flatMap((name) => (name.kind === 'object' ? [name.physical] : []))]);
  return [...live.tables].flatMap(([table, columns]) =>
    !known.has(table) && ['record_type', 'owner_id', 'deleted_at'].every((name) => columns.has(name))
      ? [{ what: 'unknown', place: table, detail: 'No metadata knows this table.' } as const]
      : [],
  );
}

function unfinished({ fills, names }: Remembered): readonly DriftEntry[] {
  return fills.map((fill) => {
    const name = `${names.get(fill.objectId)?.name ?? fill.objectId}.${names.get(fill.fieldId)?.name ?? fill.fieldId}`;
    return { what: 'unfinished', place: name, detail: `A change of type was begun and is ${fill.state}; apply again to go on with it.` };
  });
}

function keptEntries({ names, kept }: Remembered): readonly KeptEntry[] {
  const objectName = (id: string | null): string => names.get(id ?? '')?.name ?? '';
  const hidden = [...names.values()].flatMap((name) => {
    const object = name.kind === 'object' ? undefined : names.get(name.objectId ?? '');
    if (name.hiddenAt === null || (object?.hiddenAt ?? null) !== null || (name.kind === 'field' && name.shape === null)) return [];
    return [entry(name.kind === 'object' ? `object ${name.name}` : `field ${objectName(name.objectId)}.${name.name}`, name.hiddenAt)];
  });
  return [
    ...hidden,
    ...kept.map((column) => entry(`${objectName(column.objectId)}.${column.name} as ${column.valueKind ?? column.shape ?? ''}`, column.keptAt)),
  ];
}

function entry(what: string, since: string): KeptEntry {
  return { what, since, until: dayAfter(since, KEPT_DAYS) };
}
