import type { FieldModel, Model } from '../model/types.ts';

/** The field of an id, whatever its name and object; null when the Model has none. */
export function fieldById(model: Model, id: string): FieldModel | null {
  for (const object of model.objects.values()) for (const field of object.fields.values()) if (field.id === id) return field;
  return null;
}
