import { tableOfColumn } from '../model/side-tables.ts';
import { ident } from '../sql.ts';
import { captureStatements, releaseStatements, triggerNames } from './fill-state.sql.ts';
import { storedColumns } from './plan-retire.ts';
import { countWords, refused, rowsOf, step, type PlanContext, type Retype } from './step.ts';
import type { TableSpec } from './table-spec.ts';
import type { FillState, FillTask, SchemaStep } from './types.ts';

/** Fills of an earlier apply that must come to an end before anything else: those in force, and those nobody wants any more. */
export function leftFills(context: PlanContext): readonly SchemaStep[] {
  return context.remembered.fills.flatMap((state) => {
    const task = taskOf(state, context);
    if (task === null) return [];
    const name = nameWords(state, context);
    if (state.state === 'settling') return [settle(`Finish the change of type of ${name}`, task, context, 'before')];
    const isWanted = context.retypes.some((retype) => retype.task.fieldId === state.fieldId && retype.task.target.physical === state.target.physical);
    return isWanted ? [] : [abandon(name, task, context)];
  });
}

function taskOf(state: FillState, context: PlanContext): FillTask | null {
  const own = context.remembered.names.get(state.objectId)?.physical;
  const table = own === undefined ? undefined : tableOfColumn(own, state.source.physical);
  if (table === undefined || !context.live.tables.has(table)) return null;
  const { keepsOlder, ...target } = state.target;
  return { fieldId: state.fieldId, objectId: state.objectId, table, source: state.source, target, keepsOlder };
}

function nameWords(state: FillState, context: PlanContext): string {
  const { names } = context.remembered;
  return `${names.get(state.objectId)?.name ?? state.objectId}.${names.get(state.fieldId)?.name ?? state.fieldId}`;
}

/** Gives up a change of type: its column goes, unless it holds values from before. */
function abandon(name: string, task: FillTask, context: PlanContext): SchemaStep {
  const live = context.live.tables.get(task.table);
  const columns = task.keepsOlder ? [] : storedColumns(task.target).filter((column) => live?.has(column) === true);
  const drop =
    columns.length === 0
      ? []
      : [`alter table ${ident(context.schema, task.table).text} ${columns.map((column) => `drop column ${ident(column).text}`).join(', ')}`];
  return step('instant', `Give up the change of type of ${name}`, [...releaseStatements(context.schema, task), ...drop], {
    lock: 'ACCESS EXCLUSIVE',
    table: task.table,
    fill: { task, phase: 'abandon' },
  });
}

/** Values that do not convert: nothing is changed. */
export function stuckRetypes(context: PlanContext): readonly SchemaStep[] {
  return context.retypes
    .filter((retype) => retype.findings.length > 0)
    .map((retype) => {
      const count = retype.findings.reduce((sum, finding) => sum + finding.count, 0);
      return {
        ...refused(
          `${retype.object}.${retype.field} cannot become ${retype.to}: the values of ${countWords(count, 'record')} do not convert.`,
          'Correct these values first, or keep the field and add a new one beside it.',
          retype.findings,
        ),
        affects: retype.affects,
      };
    });
}

/** A column for the new type, filled while people go on writing the old one. */
export function fillSteps(spec: TableSpec, context: PlanContext): readonly SchemaStep[] {
  return context.retypes
    .filter((retype) => retype.task.table === spec.table && retype.findings.length === 0)
    .flatMap((retype) => [...prepare(spec, retype, context), copy(retype, context)]);
}

function prepare(spec: TableSpec, { object, field, to, task, affects }: Retype, context: PlanContext): readonly SchemaStep[] {
  const live = context.live.tables.get(spec.table);
  const missing = spec.columns.filter((column) => storedColumns(task.target).includes(column.name) && live?.has(column.name) !== true);
  const isBegun = context.remembered.fills.some(
    (state) => state.fieldId === task.fieldId && state.target.physical === task.target.physical && state.state === 'filling',
  );
  const isCaught = triggerNames(task).every((name) => context.live.triggers.has(`${task.table}.${name}`));
  if (missing.length === 0 && isBegun && isCaught) return [];
  const on = ident(context.schema, spec.table).text;
  const adding = missing.map((column) => `add column ${ident(column.name).text} ${column.ddl}`).join(', ');
  const statements = [...(missing.length === 0 ? [] : [`alter table ${on} ${adding}`]), ...captureStatements(context.schema, task)];
  return [
    step('instant', `Make room for ${object}.${field} as ${to}`, statements, {
      lock: 'ACCESS EXCLUSIVE',
      table: spec.table,
      affects,
      fill: { task, phase: 'prepare' },
    }),
  ];
}

function copy({ object, field, to, task }: Retype, context: PlanContext): SchemaStep {
  const rows = rowsOf(task.table, context);
  return step('backfill', `Carry the values of ${object}.${field} over to ${to}`, [], {
    lock: 'ROW EXCLUSIVE',
    table: task.table,
    rows,
    fill: { task, phase: 'copy' },
  });
}

/** The moment at which the new column is the field's: the last changes are carried over while writers wait. */
export function switchSteps(spec: TableSpec, context: PlanContext): readonly SchemaStep[] {
  return own(spec, context).map(({ object, field, to, task }) =>
    step('instant', `Switch ${object}.${field} to ${to}`, [], {
      time: 'with',
      lock: 'SHARE ROW EXCLUSIVE',
      table: spec.table,
      fill: { task, phase: 'switch' },
    }),
  );
}

/** What processes still wrote by the old version after the switch is carried over; then the noting ends. */
export function settleSteps(spec: TableSpec, context: PlanContext): readonly SchemaStep[] {
  return own(spec, context).map(({ object, field, task }) =>
    settle(`Take over what was still written to ${object}.${field} by its old type`, task, context, 'after'),
  );
}

function own(spec: TableSpec, context: PlanContext): readonly Retype[] {
  return context.retypes.filter((retype) => retype.task.table === spec.table && retype.findings.length === 0);
}

function settle(description: string, task: FillTask, context: PlanContext, time: 'before' | 'after'): SchemaStep {
  return step('backfill', description, releaseStatements(context.schema, task), {
    time,
    lock: 'ACCESS EXCLUSIVE',
    table: task.table,
    fill: { task, phase: 'settle' },
  });
}
