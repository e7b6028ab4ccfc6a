import { ident } from '../sql.ts';
import { countWords, createIndex, isFresh, isNew, isTarget, refused, rowsOf, step, metadataStep, type DraftStep, type PlanContext } from './step.ts';
import type { CheckSpec, ForeignKeySpec, IndexSpec, TableSpec } from './table-spec.ts';
import type { SchemaStep, StepFinding } from './types.ts';

const OURS = { constraint: /_(f|r)$/, index: /_(u|x|o)$/ } as const;

/** Foreign keys: tied without looking at the records, then checked while people work. */
export function keySteps(spec: TableSpec, context: PlanContext): readonly DraftStep[] {
  const on = ident(context.schema, spec.table).text;
  const rows = rowsOf(spec.table, context);
  const validate = (key: ForeignKeySpec): SchemaStep =>
    step('online', `Check the reference ${spec.objectName}.${key.fieldName}`, [`alter table ${on} validate constraint ${ident(key.name).text}`], {
      lock: 'SHARE UPDATE EXCLUSIVE',
      table: spec.table,
      rows,
      takesBack: { table: spec.table, constraint: key.name },
    });
  const add = (key: ForeignKeySpec): string =>
    `alter table ${on} add constraint ${ident(key.name).text} foreign key (${ident(key.column).text}) references ${key.target} (id)`;
  const live = (key: ForeignKeySpec) => context.live.constraints.get(`${spec.table}.${key.name}`);
  const missing = spec.foreignKeys.filter((key) => live(key) === undefined);
  const unchecked = spec.foreignKeys.filter((key) => live(key)?.isValid === false).map((key) => ({ step: validate(key) }));
  if (isNew(spec, context) || rows === 0) {
    const statements = missing.filter((key) => !isTarget(key.column, spec, context)).map(add);
    const tied = { lock: 'SHARE ROW EXCLUSIVE', table: spec.table };
    return [...(statements.length === 0 ? [] : [{ step: step('instant', `Tie the references of ${spec.objectName}`, statements, tied) }]), ...unchecked];
  }
  return [
    ...missing.flatMap((key): readonly DraftStep[] => {
      if (isTarget(key.column, spec, context)) return [];
      const tie = step('online', `Tie the reference ${spec.objectName}.${key.fieldName}`, [`${add(key)} not valid`], {
        lock: 'SHARE ROW EXCLUSIVE',
        table: spec.table,
      });
      if (isFresh([key.column], spec, context)) return [{ step: tie }, { step: validate(key) }];
      const otherwise = (count: number, finding: StepFinding): SchemaStep =>
        refused(
          `The reference ${spec.objectName}.${key.fieldName} cannot be tied: ${countWords(count, 'record')} ${count === 1 ? 'points' : 'point'} to nothing.`,
          'Clear or correct them first.',
          [finding],
        );
      return [
        { step: tie, asks: { question: { kind: 'dangling', table: spec.table, column: key.column, target: key.target }, otherwise } },
        { step: validate(key) },
      ];
    }),
    ...unchecked,
  ];
}

/** Foreign keys of columns that a change of type has filled: tied once they are filled. */
export function filledKeySteps(spec: TableSpec, context: PlanContext): readonly DraftStep[] {
  const on = ident(context.schema, spec.table).text;
  return spec.foreignKeys
    .filter((key) => isTarget(key.column, spec, context))
    .flatMap((key) => {
      const name = ident(key.name).text;
      const live = context.live.constraints.get(`${spec.table}.${key.name}`);
      const tie = `alter table ${on} add constraint ${name} foreign key (${ident(key.column).text}) references ${key.target} (id) not valid`;
      const shared = { table: spec.table, rows: rowsOf(spec.table, context) };
      const check = step('online', `Check the reference ${spec.objectName}.${key.fieldName}`, [`alter table ${on} validate constraint ${name}`], {
        ...shared,
        lock: 'SHARE UPDATE EXCLUSIVE',
        takesBack: { table: spec.table, constraint: key.name },
      });
      if (live?.isValid === true) return [];
      const tied = step('online', `Tie the reference ${spec.objectName}.${key.fieldName}`, [tie], { ...shared, lock: 'SHARE ROW EXCLUSIVE' });
      return live === undefined ? [{ step: tied }, { step: check }] : [{ step: check }];
    });
}

/** Indexes that lack, built beside the work; what a killed apply left invalid is made anew. */
export function indexSteps(spec: TableSpec, context: PlanContext): readonly DraftStep[] {
  if (isNew(spec, context)) return [];
  const rows = rowsOf(spec.table, context);
  return spec.indexes.flatMap((index): readonly DraftStep[] => {
    const live = context.live.indexes.get(index.name);
    if (live?.isValid === true) return [];
    const what = `${index.isUnique ? 'unique key' : 'index'} on ${spec.objectName}.${index.what}`;
    const drop = `drop index ${ident(context.schema, index.name).text}`;
    if (rows === 0) {
      const statements = [...(live === undefined ? [] : [drop]), createIndex(index, false)];
      return [{ step: step('instant', `Create the ${what}`, statements, { lock: 'SHARE', table: spec.table }) }];
    }
    const statements = [...(live === undefined ? [] : [drop.replace('drop index', 'drop index concurrently')]), createIndex(index, true)];
    const made = step('online', `Create the ${what}`, statements, {
      lock: 'SHARE UPDATE EXCLUSIVE',
      isTransactional: false,
      table: spec.table,
      rows,
      makes: [index.name],
    });
    const mayClash = index.isUnique && !index.columns.some((column) => isFresh([column], spec, context) || isTarget(column, spec, context));
    return [mayClash ? { step: made, asks: clashes(spec, index) } : { step: made }];
  });
}

function clashes(spec: TableSpec, index: IndexSpec): NonNullable<DraftStep['asks']> {
  return {
    question: { kind: 'duplicates', table: spec.table, columns: index.columns },
    otherwise: (count, finding) =>
      refused(
        `${spec.objectName}.${index.what} cannot be unique: ${countWords(count, 'record')} ${count === 1 ? 'shares' : 'share'} a value with another.`,
        'Merge or change these records first.',
        [finding],
      ),
  };
}

/** Required fields that the database does not hold writers to yet. */
export function checkSteps(spec: TableSpec, context: PlanContext): readonly DraftStep[] {
  if (isNew(spec, context)) return [];
  const on = ident(context.schema, spec.table).text;
  const rows = rowsOf(spec.table, context);
  return spec.checks.flatMap((check): readonly DraftStep[] => {
    const live = context.live.constraints.get(`${spec.table}.${check.name}`);
    if (live?.isValid === true) return [];
    const name = `${spec.objectName}.${check.fieldName}`;
    const isFilled = isTarget(check.column, spec, context);
    const add = `alter table ${on} add constraint ${ident(check.name).text} ${check.ddl}`;
    const shared = { table: spec.table, rows };
    if (rows === 0 && live === undefined && !isFilled)
      return [{ step: step('instant', `Require ${name}`, [add], { ...shared, lock: 'ACCESS EXCLUSIVE', rows: null }) }];
    const tie = step('online', `Require ${name}`, [`${add} not valid`], { table: spec.table, lock: 'ACCESS EXCLUSIVE', time: isFilled ? 'with' : 'before' });
    const validate = step('online', `Check that every record has ${name}`, [`alter table ${on} validate constraint ${ident(check.name).text}`], {
      ...shared,
      lock: 'SHARE UPDATE EXCLUSIVE',
      time: isFilled ? 'after' : 'before',
      takesBack: { table: spec.table, constraint: check.name },
    });
    const asks = lacks(spec, check, context);
    if (live !== undefined) return [asks === null ? { step: validate } : { step: validate, asks }];
    return asks === null
      ? [{ step: tie }, { step: validate }]
      : [
          { step: tie, asks },
          { step: validate, asks: { ...asks, otherwise: () => null } },
        ];
  });
}

/** Whether records lack the field: newly required, that refuses the change; else it was so before and is left alone. */
function lacks(spec: TableSpec, check: CheckSpec, context: PlanContext): NonNullable<DraftStep['asks']> | null {
  const column = recordedColumn(spec, check, context);
  if (column === null) return null;
  const name = `${spec.objectName}.${check.fieldName}`;
  return {
    question: { kind: 'empty', table: spec.table, column },
    otherwise: (count, finding) => {
      if (wasRequired(check, context)) return null;
      if (context.isReturn)
        return metadataStep(`Require ${name} again; ${countWords(count, 'record')} ${count === 1 ? 'has' : 'have'} no value and can be saved only with one`, {
          findings: [finding],
        });
      return refused(`${name} cannot be required: ${countWords(count, 'record')} ${count === 1 ? 'has' : 'have'} no value.`, 'Fill it in first.', [finding]);
    },
  };
}

/** The column that holds the values now: that of the old type while it changes; null for a field that comes with this plan. */
function recordedColumn(spec: TableSpec, check: CheckSpec, context: PlanContext): string | null {
  const retype = context.retypes.find((entry) => entry.task.fieldId === check.fieldId);
  if (retype !== undefined) return retype.task.source.physical;
  return context.live.tables.get(spec.table)?.has(check.column) === true ? check.column : null;
}

function wasRequired(check: CheckSpec, context: PlanContext): boolean {
  return [...context.recorded.objects.values()].some((file) => file.required?.some((name) => file.properties[name]?.['x-id'] === check.fieldId) === true);
}

/** What the database still holds writers to and the wanted metadata does not: it goes with the old version. */
export function looseningSteps(spec: TableSpec, context: PlanContext): readonly SchemaStep[] {
  const wanted = new Set([...spec.checks, ...spec.foreignKeys].map((entry) => entry.name));
  const on = ident(context.schema, spec.table).text;
  const constraints = [...context.live.constraints].flatMap(([key, live]) => {
    const name = key.slice(spec.table.length + 1);
    if (live.table !== spec.table || live.kind === 'exclusion' || wanted.has(name) || !OURS.constraint.test(name)) return [];
    const what = live.kind === 'check' ? 'Require no longer' : 'Untie the reference';
    const sql = `alter table ${on} drop constraint if exists ${ident(name).text}`;
    return [step('instant', `${what} ${columnWords(spec, name, context)}`, [sql], { time: 'with', lock: 'ACCESS EXCLUSIVE', table: spec.table })];
  });
  const indexes = leftIndexes(spec, context)
    .filter(([, isUnique]) => isUnique)
    .map(([name]) => {
      const sql = `drop index if exists ${ident(context.schema, name).text}`;
      return step('instant', `Let ${columnWords(spec, name, context)} repeat`, [sql], { time: 'with', lock: 'ACCESS EXCLUSIVE', table: spec.table });
    });
  return [...constraints, ...indexes];
}

/** Indexes that nothing needs any more; readers of the old version may still use them until it is gone. */
export function droppedIndexes(spec: TableSpec, context: PlanContext): readonly SchemaStep[] {
  return leftIndexes(spec, context)
    .filter(([, isUnique]) => !isUnique)
    .map(([name]) => {
      const isConcurrent = rowsOf(spec.table, context) > 0;
      const sql = `drop index ${isConcurrent ? 'concurrently ' : ''}if exists ${ident(context.schema, name).text}`;
      const more = {
        time: 'after',
        lock: isConcurrent ? 'SHARE UPDATE EXCLUSIVE' : 'ACCESS EXCLUSIVE',
        isTransactional: !isConcurrent,
        table: spec.table,
      } as const;
      return step(isConcurrent ? 'online' : 'instant', `Drop the index on ${columnWords(spec, name, context)}`, [sql], more);
    });
}

function leftIndexes(spec: TableSpec, context: PlanContext): readonly (readonly [name: string, isUnique: boolean])[] {
  const wanted = new Set(spec.indexes.map((index) => index.name));
  return [...context.live.indexes].flatMap(([name, live]) =>
    live.table === spec.table && !live.isOfConstraint && !wanted.has(name) && OURS.index.test(name) ? [[name, live.isUnique] as const] : [],
  );
}

/** The field that a constraint or index is named after, in the words of metadata. */
function columnWords(spec: TableSpec, name: string, context: PlanContext): string {
  const column = name.slice(spec.table.length + 1).replace(/_(f|r|u|x|o)$/, '');
  const known = [...context.remembered.names.values(), ...context.physical.values()].find(
    (entry) => entry.objectId === spec.objectId && (entry.physical === column || entry.next?.physical === column),
  );
  return `${spec.objectName}.${known?.name ?? column}`;
}
