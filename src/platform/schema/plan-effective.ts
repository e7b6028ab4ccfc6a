import { ident } from '../sql.ts';
import { countWords, isNew, isTarget, refused, rowsOf, step, type DraftStep, type PlanContext } from './step.ts';
import type { TableSpec } from './table-spec.ts';
import type { SchemaStep } from './types.ts';

/** PostgreSQL's extension that lets one constraint compare keys for equality and days for overlap. */
export const EXCLUDING = 'btree_gist';

/** PostgreSQL makes such a constraint under a lock that keeps writers waiting: so many records take about a second. */
const MOST_ROWS = 200_000;

/** Effective-dated objects whose facts the database does not keep apart yet. */
export function exclusionSteps(spec: TableSpec, context: PlanContext): readonly DraftStep[] {
  const { exclusion } = spec;
  if (exclusion === null || context.live.constraints.has(`${spec.table}.${exclusion.name}`)) return [];
  const obstacle = context.live.extensions.get(EXCLUDING);
  if (obstacle !== null) {
    return [
      {
        step: refused(
          `${spec.objectName} is effective-dated, which needs PostgreSQL's extension ${EXCLUDING}: ${obstacle ?? 'the server does not have it'}.`,
          `Install it (it comes with PostgreSQL's contrib package) and run "create extension ${EXCLUDING}" in this database, or take "x-effective" out.`,
        ),
      },
    ];
  }
  const rows = rowsOf(spec.table, context);
  if (rows > MOST_ROWS) {
    const fix = 'Make a new effective-dated object, and import the records into it.';
    return [{ step: refused(`${spec.objectName} cannot become effective-dated: writers would wait while ${countWords(rows, 'record')} are compared.`, fix) }];
  }
  const isFilled = exclusion.columns.some((column) => isTarget(column, spec, context));
  const statements = [
    `create extension if not exists ${EXCLUDING} with schema public`,
    `alter table ${ident(context.schema, spec.table).text} add constraint ${ident(exclusion.name).text} ${exclusion.ddl}`,
  ];
  const made = step('instant', `Keep the days of ${spec.objectName} apart`, statements, {
    lock: 'ACCESS EXCLUSIVE',
    table: spec.table,
    rows: rows === 0 ? null : rows,
    time: isFilled ? 'after' : 'before',
  });
  if (rows === 0 || isNew(spec, context) || isFilled) return [{ step: made }];
  const key = exclusion.key.map(({ column, empty }) => {
    const value = valueNow(column, spec, context);
    return empty === null ? value : `coalesce(${value}, ${empty})`;
  });
  const [from, through] = [exclusion.from, exclusion.through].map((column) => `(${valueNow(column, spec, context)})::date`);
  return [
    {
      step: made,
      asks: {
        question: { kind: 'overlap', table: spec.table, key, from: from ?? '', through: through ?? '' },
        otherwise: (count, finding) =>
          refused(
            `${spec.objectName} cannot become effective-dated: ${countWords(count, 'record')} ${count === 1 ? 'has' : 'have'} days that overlap another's of the same key, or that end before they begin.`,
            'Change the days of these records first.',
            [finding],
          ),
      },
    },
  ];
}

/** What records will have in a column: what they have, or what a column that comes with this plan is filled with. */
function valueNow(column: string, spec: TableSpec, context: PlanContext): string {
  if (context.live.tables.get(spec.table)?.has(column) === true) return ident(column).text;
  const fieldId = spec.columns.find((entry) => entry.name === column)?.fieldId ?? null;
  return (fieldId === null ? undefined : context.fillers.get(fieldId)?.get(column)) ?? 'null';
}

/** What keeps days apart and is no longer wanted: it goes with the old version. */
export function overlapSteps(spec: TableSpec, context: PlanContext): readonly SchemaStep[] {
  return [...context.live.constraints].flatMap(([key, live]) => {
    const name = key.slice(spec.table.length + 1);
    if (live.table !== spec.table || live.kind !== 'exclusion' || name === spec.exclusion?.name || !name.endsWith('_e')) return [];
    const sql = `alter table ${ident(context.schema, spec.table).text} drop constraint if exists ${ident(name).text}`;
    return [step('instant', `Let days of ${spec.objectName} overlap`, [sql], { time: 'with', lock: 'ACCESS EXCLUSIVE', table: spec.table })];
  });
}
