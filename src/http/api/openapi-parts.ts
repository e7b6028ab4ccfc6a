/** Building blocks of the OpenAPI document. */
export type Json = Readonly<Record<string, unknown>>;

export const json = (schema: Json): Json => ({ 'application/json': { schema } });
export const ref = (name: string): Json => ({ $ref: `#/components/schemas/${name}` });
export const problem: Json = { description: 'A problem (RFC 9457).', content: { 'application/problem+json': { schema: ref('Problem') } } };
export const dataOf = (schema: Json): Json => ({ type: 'object', required: ['data'], properties: { data: schema } });
export const list = (schema: Json): Json => dataOf({ type: 'array', items: schema });
export const inPath = (name: string, schema: Json = { type: 'string' }): Json => ({ name, in: 'path', required: true, schema });
export const inQuery = (name: string, description: string, schema: Json = { type: 'string' }): Json => ({ name, in: 'query', description, schema });
export const header = (name: string, required: boolean, description: string): Json => ({
  name,
  in: 'header',
  required,
  description,
  schema: { type: 'string' },
});

export const IF_MATCH = header('If-Match', true, 'ETag of the record as it was read, such as "v3".');
export const ONCE = header('Idempotency-Key', false, 'A repeated request with the same key gets the first answer, for 24 hours.');
export const RECORD_ID = inPath('id', { type: 'string', format: 'uuid' });

export interface Operation {
  readonly id: string;
  readonly summary: string;
  readonly tag: string;
  readonly parameters?: readonly Json[];
  readonly body?: Json;
  readonly status?: number;
  readonly answer?: Json;
  readonly open?: boolean;
}

export function operation({ id, summary, tag, parameters = [], body, status = 200, answer, open = false }: Operation): Json {
  const success = answer === undefined ? { description: 'Done.' } : { description: 'Done.', content: json(answer) };
  return {
    operationId: id,
    summary,
    tags: [tag],
    ...(parameters.length === 0 ? {} : { parameters }),
    ...(body === undefined ? {} : { requestBody: { required: true, content: json(body) } }),
    ...(open ? { security: [] } : {}),
    responses: { [String(status)]: success, default: problem },
  };
}

/** `weekly-visits` as `WeeklyVisits`, for the names of operations. */
export function camel(name: string): string {
  return name.replaceAll(/(?:^|-)(\w)/g, (_, letter: string) => letter.toUpperCase());
}
