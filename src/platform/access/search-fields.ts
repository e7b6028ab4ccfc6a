import type { ObjectModel } from '../model/types.ts';

/** Fields whose values stand in an object's entry of the open class. */
export function openSearchFields(object: ObjectModel): readonly string[] {
  return [...object.fields.values()].flatMap((field) =>
    field.column !== null && !field.system && field.sensitive === null && (field.searchable || object.search.includes(field.name)) ? [field.name] : [],
  );
}
