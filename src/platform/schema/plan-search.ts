import type { MetadataSet, ObjectFile } from '../metadata/types.ts';
import { ident } from '../sql.ts';
import { rowsOf, step, type PlanContext } from './step.ts';
import type { TableSpec } from './table-spec.ts';
import type { SchemaStep } from './types.ts';

/** Where other fields are searched than before, the worker makes the search entries of all records anew; until then the old ones serve. */
export function searchSteps(spec: TableSpec, context: PlanContext): readonly SchemaStep[] {
  const nameBefore = context.objectsBefore.get(spec.objectId);
  if (nameBefore === undefined || spec.side > 0 || !context.live.filled.has(spec.table)) return [];
  if (searchedWords(context.recorded, nameBefore) === searchedWords(context.wanted, spec.objectName)) return [];
  const note = `insert into ${ident(context.schema, 'search_backlog').text} (object, record_ids) values ('${spec.objectName}', '{}')`;
  return [
    step('backfill', `Have the search entries of ${spec.objectName} made anew`, [note], {
      time: 'with',
      rows: rowsOf(spec.table, context),
    }),
  ];
}

/** Which fields are searched and what their values are, in words that do not depend on names. */
function searchedWords(set: MetadataSet, object: string): string {
  const file = set.objects.get(object);
  return file === undefined
    ? ''
    : JSON.stringify(
        searchedNames(file)
          .map((name) => fieldWords(file, name))
          .sort(),
      );
}

function searchedNames(file: ObjectFile): readonly string[] {
  const marked = Object.entries(file.properties).flatMap(([name, field]) => (field['x-search'] === true ? [name] : []));
  return [...new Set([...(file['x-object'].search ?? []), ...marked])];
}

function fieldWords(file: ObjectFile, name: string): string {
  const field = file.properties[name];
  return JSON.stringify([
    field?.['x-id'] ?? name,
    field?.type,
    field?.format,
    field?.['x-sensitive'],
    field?.['x-values'],
    field?.['x-formula'],
    field?.['x-ref'],
  ]);
}
