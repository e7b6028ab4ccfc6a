import { requiredId } from '../metadata/assign-ids.ts';
import { MOST_COLUMNS, MOST_STORED_FIELDS, MOST_VALUES, sideOf } from '../model/side-tables.ts';
import { ident } from '../sql.ts';
import { countWords, createIndex, isNew, isTarget, recordedName, refused, rowsOf, step, type DraftStep, type PlanContext } from './step.ts';
import type { ColumnSpec, TableSpec } from './table-spec.ts';
import type { SchemaStep } from './types.ts';

/** PostgreSQL counts dropped columns for ever and ends at 1,600. */
const MOST_COLUMNS_EVER = 1500;

/** Tables and columns that should be there and are not, and tables that would grow too wide. */
export function brokenTables(spec: TableSpec, context: PlanContext): readonly SchemaStep[] {
  const restore = 'Restore the database from a backup.';
  const live = context.live.tables.get(spec.table);
  if (live === undefined) {
    return wasThere(spec, context) ? [refused(`The table of ${spec.objectName} is gone from the database.`, restore)] : tooWide(spec, 0);
  }
  const steps: SchemaStep[] = [];
  for (const column of spec.columns) {
    const name = column.fieldId === null ? undefined : recordedName(column.fieldId, context);
    if (name === undefined || live.has(column.name) || name.physical !== column.name || name.shape === null) continue;
    if (context.before.has(name.id) || name.hiddenAt !== null)
      steps.push(refused(`The column of ${spec.objectName}.${name.name} is gone from the database.`, restore));
  }
  const added = spec.columns.filter((column) => !live.has(column.name)).length;
  return [...steps, ...misplaced(spec), ...tooWide(spec, added === 0 ? 0 : (context.live.columnsEver.get(spec.table) ?? 0) + added)];
}

/** A table that must be there: its object has been applied, and for a side table one of its fields. */
function wasThere(spec: TableSpec, context: PlanContext): boolean {
  const isHidden = (recordedName(spec.objectId, context)?.hiddenAt ?? null) !== null;
  if (spec.side === 0) return context.objectsBefore.has(spec.objectId) || isHidden;
  return spec.columns.some(
    ({ name, fieldId }) => fieldId !== null && recordedName(fieldId, context)?.physical === name && (isHidden || context.before.has(fieldId)),
  );
}

function misplaced(spec: TableSpec): readonly SchemaStep[] {
  return spec.misplaced.map((field) =>
    refused(
      `${spec.objectName}.${field} stands in a side table, for ${spec.objectName} is wide: there it cannot be required, unique, searched, a reference, a state, or part of a roll-up, name or duplicate rule.`,
      'Add another field for that and carry its values over, or leave this one as it is.',
    ),
  );
}

function tooWide(spec: TableSpec, ever: number): readonly SchemaStep[] {
  const fix = 'Move fields that few records have to an object of their own that refers to this one.';
  if (spec.columns.length > MOST_COLUMNS)
    return [refused(`${spec.objectName} would have ${String(spec.columns.length)} columns; a table holds at most ${String(MOST_COLUMNS)}.`, fix)];
  if (spec.fields > MOST_STORED_FIELDS)
    return [refused(`${spec.objectName} would have ${String(spec.fields)} stored fields; an object has at most ${String(MOST_STORED_FIELDS)}.`, fix)];
  if (spec.side === 0 && spec.values > MOST_VALUES)
    return [
      refused(
        `${spec.objectName} would be read with ${String(spec.values)} values, those of formulas among them; PostgreSQL answers ${String(MOST_VALUES)}.`,
        fix,
      ),
    ];
  if (ever > MOST_COLUMNS_EVER) return [refused(`The table of ${spec.objectName} has had so many columns that no more can be added.`, fix)];
  return [];
}

/** Room for updates within a page, and a vacuum once a twentieth of the table changed: the default waits for a fifth. */
const UPKEEP = 'fillfactor = 90, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_insert_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.02';

/** A new table with all that belongs to it but the foreign keys, which may point at tables made after. */
export function newTable(spec: TableSpec, context: PlanContext): readonly SchemaStep[] {
  if (!isNew(spec, context)) return [];
  const fields = [...context.physical.values()].filter((name) => name.objectId === spec.objectId && sideOf(name.physical) === spec.side);
  const ids = [...(spec.side === 0 ? [spec.objectId] : []), ...fields.map((name) => name.id)];
  const columns = spec.columns.map((column) => `${ident(column.name).text} ${column.ddl}`);
  const checks = spec.checks.map((check) => `constraint ${ident(check.name).text} ${check.ddl}`);
  const statements = [
    `create table ${ident(context.schema, spec.table).text} (${[...columns, ...checks].join(', ')}) with (${UPKEEP})`,
    ...spec.indexes.map((index) => createIndex(index, false)),
  ];
  return [
    step('instant', `Create ${spec.side === 0 ? 'the table' : `side table ${String(spec.side)}`} of ${spec.objectName}`, statements, {
      records: ids,
      table: spec.table,
    }),
  ];
}

/** New fields of a table that is there: a column each, empty, or with the constant that a new required field gives. */
export function newColumns(spec: TableSpec, context: PlanContext): readonly DraftStep[] {
  const live = context.live.tables.get(spec.table);
  if (live === undefined) return [];
  const missing = spec.columns.filter((column) => !live.has(column.name) && !isTarget(baseColumn(column, spec), spec, context));
  const ids = new Set(missing.flatMap((column) => column.fieldId ?? []));
  return [...ids].map((fieldId) => ({
    step: addField(
      spec,
      fieldId,
      missing.filter((column) => column.fieldId === fieldId),
      context,
    ),
  }));
}

/** The field's own column, for its sort key and its object's name. */
function baseColumn(column: ColumnSpec, spec: TableSpec): string {
  return spec.columns.find((candidate) => candidate.fieldId === column.fieldId)?.name ?? column.name;
}

function addField(spec: TableSpec, fieldId: string, columns: readonly ColumnSpec[], context: PlanContext): SchemaStep {
  const name = `${spec.objectName}.${requiredId(context.physical.get(fieldId)?.name, fieldId)}`;
  const rows = rowsOf(spec.table, context);
  const filler = context.fillers.get(fieldId);
  const isRequired = spec.checks.some((check) => check.fieldId === fieldId);
  if (isRequired && rows > 0 && filler === undefined && !context.isReturn)
    return refused(
      `The new field ${name} is required, but ${countWords(rows, 'record')} would lack it.`,
      'Give it an "x-default" that reads no other field, or add it without "required", fill it in, and require it then.',
    );
  const adding = columns.map((column) => {
    const value = rows > 0 ? filler?.get(column.name) : undefined;
    return `add column ${ident(column.name).text} ${column.ddl}${value === undefined ? '' : ` default ${value}`}`;
  });
  const on = ident(context.schema, spec.table).text;
  const more = { lock: 'ACCESS EXCLUSIVE', table: spec.table, records: [fieldId], rows: filler === undefined ? null : rows };
  return step('instant', `Add the field ${name}`, [`alter table ${on} ${adding.join(', ')}`], more);
}

/** The constants of new required fields were for the records that existed; writers say from now on what they mean. */
export function dropFillers(spec: TableSpec, context: PlanContext): readonly SchemaStep[] {
  const live = context.live.tables.get(spec.table);
  if (live === undefined) return [];
  const isAdded = rowsOf(spec.table, context) > 0;
  const on = ident(context.schema, spec.table).text;
  return spec.columns.flatMap((column) => {
    if (column.fieldId === null) return [];
    const present = live.get(column.name);
    const isFilled = present === undefined ? isAdded && context.fillers.get(column.fieldId)?.has(column.name) === true : present.hasDefault;
    if (!isFilled) return [];
    const sql = `alter table ${on} alter column ${ident(column.name).text} drop default`;
    return [step('instant', `Stop filling in ${spec.objectName}.${column.name}`, [sql], { time: 'with', lock: 'ACCESS EXCLUSIVE', table: spec.table })];
  });
}
