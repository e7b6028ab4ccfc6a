import { compile } from 'json-schema-to-typescript';
import { fieldType } from '../model/field-types.ts';
import type { FieldModel, Model, ObjectModel } from '../model/types.ts';

/** TypeScript of all objects as the API answers them: one interface each, every field that may be empty also null. Reads nothing. */
export async function emitTypes(model: Model): Promise<string> {
  const parts: string[] = [];
  for (const object of model.objects.values()) {
    // The library's own schema type is narrower than what plain data can show; it takes any JSON Schema.
    const schema = structuredClone(apiSchema(object)) as Parameters<typeof compile>[0];
    parts.push(await compile(schema, object.name, { bannerComment: '', format: true, additionalProperties: false, strictIndexSignatures: true }));
  }
  return [`/* Made by \`credenza types\` from version ${String(model.version)} of the metadata. Do not edit. */`, ...parts.map((part) => part.trim()), ''].join(
    '\n\n',
  );
}

function apiSchema(object: ObjectModel): Record<string, unknown> {
  const fields = [...object.fields.values()];
  return {
    title: object.name,
    ...(object.description === null ? {} : { description: object.description }),
    type: 'object',
    properties: Object.fromEntries(fields.map((field) => [field.name, valueSchema(field)])),
    required: fields.map((field) => field.name),
    additionalProperties: false,
  };
}

function valueSchema(field: FieldModel): Record<string, unknown> {
  const schema = fieldType(field).schema(field);
  const description = field.help ?? field.label;
  return field.required ? { ...schema, description } : { description, anyOf: [schema, { type: 'null' }] };
}
