import type { Instant } from '../clock.ts';
import { requiredId } from '../metadata/assign-ids.ts';
import type { MetadataSet } from '../metadata/types.ts';
import { objectColumnOf } from '../model/field-types.ts';
import type { PhysicalName, StoredAs } from '../model/physical.ts';
import { tableOfColumn, tableOfObject } from '../model/side-tables.ts';
import { ident } from '../sql.ts';
import { countWords, KEPT_DAYS, metadataStep, refused, rowsOf, step, type PlanContext } from './step.ts';
import type { SchemaStep } from './types.ts';

interface NamedField {
  readonly object: string;
  readonly field: string;
}

/** Every field of a set by id. */
function fieldsById(set: MetadataSet): ReadonlyMap<string, NamedField> {
  return new Map(
    [...set.objects].flatMap(([object, file]) =>
      Object.entries(file.properties).map(([field, schema]) => [requiredId(schema['x-id'], field), { object, field }] as const),
    ),
  );
}

/** Names that change, and things that disappear from people's sight or come back to it. */
export function namingSteps(context: PlanContext): readonly SchemaStep[] {
  return [...objectSteps(context), ...fieldSteps(context)];
}

function objectSteps(context: PlanContext): readonly SchemaStep[] {
  const steps: SchemaStep[] = [];
  const until = dayAfter(context.now, KEPT_DAYS);
  const wanted = new Map([...context.wanted.objects].map(([name, file]) => [requiredId(file['x-object'].id, name), name]));
  for (const [id, name] of context.objectsBefore) {
    const now = wanted.get(id);
    const table = context.remembered.names.get(id)?.physical;
    if (now !== undefined && now !== name) steps.push(renameOfObject(name, now, table === undefined ? 0 : rowsOf(table, context), context));
    if (now !== undefined || table === undefined) continue;
    const rows = rowsOf(table, context);
    steps.push(
      step('instant', `Hide the object ${name} with ${countWords(rows, 'record')}, kept until ${until} at least`, untie(table, context), {
        time: 'with',
        lock: 'ACCESS EXCLUSIVE',
        table,
        affects: context.mentions(name, null),
      }),
    );
  }
  for (const [id, name] of wanted) {
    if ((context.remembered.names.get(id)?.hiddenAt ?? null) !== null) steps.push(metadataStep(`Show the object ${name} again, with the records that it had`));
  }
  return steps;
}

/** Search entries, audit rows and references to one of several objects hold the object's name beside each record. */
function renameOfObject(name: string, now: string, rows: number, context: PlanContext): SchemaStep {
  const description = `Rename the object ${name} to ${now}`;
  if (rows === 0) return metadataStep(description, { affects: context.mentions(name, null) });
  return refused(`${description}: it has ${countWords(rows, 'record')}.`, `Keep the name ${name} and change its title and plural, which is what people see.`);
}

/** What a hidden table points at must not be held by it. */
function untie(table: string, context: PlanContext): readonly string[] {
  const on = ident(context.schema, table).text;
  return [...context.live.constraints].flatMap(([key, live]) =>
    live.table === table && live.kind === 'foreignKey' ? [`alter table ${on} drop constraint ${ident(key.slice(table.length + 1)).text}`] : [],
  );
}

function fieldSteps(context: PlanContext): readonly SchemaStep[] {
  const steps: SchemaStep[] = [];
  const until = dayAfter(context.now, KEPT_DAYS);
  const before = fieldsById(context.recorded);
  const after = fieldsById(context.wanted);
  for (const [id, old] of before) {
    const now = after.get(id);
    const affects = () => context.mentions(old.object, old.field);
    if (now !== undefined && now.field !== old.field)
      steps.push(metadataStep(`Rename the field ${old.object}.${old.field} to ${now.field}`, { affects: affects() }));
    const objectId = context.remembered.names.get(id)?.objectId;
    const isStored = (context.remembered.names.get(id)?.shape ?? null) !== null;
    const objectStays = typeof objectId === 'string' && context.physical.has(objectId);
    if (now === undefined && objectStays)
      steps.push(
        metadataStep(`Hide the field ${old.object}.${old.field}${isStored ? `; its values are kept until ${until} at least` : ''}`, { affects: affects() }),
      );
  }
  for (const [id, now] of after) {
    const known = context.remembered.names.get(id);
    const wasObject = known?.objectId === null || known?.objectId === undefined ? undefined : context.remembered.names.get(known.objectId);
    if (known?.hiddenAt !== undefined && known.hiddenAt !== null && wasObject?.hiddenAt === null)
      steps.push(metadataStep(`Show the field ${now.object}.${now.field} again${known.shape === null ? '' : ', with the values that it had'}`));
  }
  return steps;
}

/** What has been hidden or left for long enough is dropped, when that is asked for. */
export function destructiveSteps(context: PlanContext): readonly SchemaStep[] {
  if (!context.allowDestructive) return [];
  const { names, kept } = context.remembered;
  const isOver = (since: Instant | null): boolean => since !== null && dayAfter(since, KEPT_DAYS) <= dayAfter(context.now, 0);
  const isUnwanted = (name: PhysicalName): boolean => isOver(name.hiddenAt) && !context.physical.has(name.id);
  const objects = [...names.values()].filter((name) => name.kind === 'object' && isUnwanted(name));
  const gone = new Set(objects.map((name) => name.id));
  const stays = (objectId: string | null): boolean => objectId !== null && !gone.has(objectId);
  return [
    ...objects.map((name) => dropTable(name, context)),
    ...[...names.values()].filter((name) => name.kind === 'field' && stays(name.objectId) && isUnwanted(name)).map((name) => dropField(name, context)),
    ...kept
      .filter((column) => stays(column.objectId) && isOver(column.keptAt) && context.physical.get(column.fieldId)?.physical !== column.physical)
      .map((column) => {
        const what = `the values that ${objectName(column.objectId, context)}.${column.name} had as ${column.valueKind ?? column.shape ?? 'another type'}`;
        return dropColumns(column.objectId, column, `Drop ${what}`, context, [{ kind: 'column', objectId: column.objectId, physical: column.physical }]);
      }),
  ];
}

function objectName(id: string, context: PlanContext): string {
  return context.remembered.names.get(id)?.name ?? id;
}

function dropTable(name: PhysicalName, context: PlanContext): SchemaStep {
  // A side table may be there that no field is remembered of: the last of its fields was dropped before.
  const tables = [...context.live.tables.keys()].filter((table) => tableOfObject(table) === name.physical).sort();
  const rows = rowsOf(name.physical, context);
  return step(
    'destructive',
    `Drop the table of ${name.name}, with ${countWords(rows, 'record')}`,
    tables.map((table) => `drop table ${ident(context.schema, table).text}`),
    {
      time: 'after',
      lock: 'ACCESS EXCLUSIVE',
      table: name.physical,
      rows,
      forgets: [{ kind: 'name', id: name.id }],
    },
  );
}

function dropField(name: PhysicalName, context: PlanContext): SchemaStep {
  return dropColumns(name.objectId ?? '', name, `Drop the field ${objectName(name.objectId ?? '', context)}.${name.name}`, context, [
    { kind: 'name', id: name.id },
  ]);
}

function dropColumns(objectId: string, stored: StoredAs, description: string, context: PlanContext, forgets: NonNullable<SchemaStep['forgets']>): SchemaStep {
  const table = tableOfColumn(context.remembered.names.get(objectId)?.physical ?? '', stored.physical);
  const live = context.live.tables.get(table);
  const columns = storedColumns(stored).filter((column) => stored.shape !== null && live?.has(column) === true);
  const drops = columns.map((column) => `drop column ${ident(column).text}`).join(', ');
  const sql = columns.length === 0 ? [] : [`alter table ${ident(context.schema, table).text} ${drops}`];
  return step('destructive', description, sql, { time: 'after', lock: 'ACCESS EXCLUSIVE', table, rows: rowsOf(table, context), forgets });
}

/** All columns in which a value stands. */
export function storedColumns(stored: StoredAs): readonly string[] {
  return [
    stored.physical,
    ...(stored.sortPhysical === null ? [] : [stored.sortPhysical]),
    ...(stored.shape === 'uuid+object' ? [objectColumnOf(stored.physical)] : []),
  ];
}

/** The day some days after an instant, in UTC. */
export function dayAfter(instant: Instant, days: number): string {
  return new Date(Date.parse(instant) + days * 86_400_000).toISOString().slice(0, 10);
}
