import { contentHash } from '../../platform/metadata/store-form.ts';
import type { Json } from './parts.ts';
import { comment, members, propertyName, quoted, typeName, typeOf } from './typescript.ts';

interface ClientOperation {
  readonly id: string;
  readonly summary: string;
  readonly method: string;
  readonly path: string;
  readonly inPath: readonly { readonly name: string; readonly type: string }[];
  readonly query: readonly Json[];
  readonly headers: readonly Json[];
  readonly body: { readonly type: string; readonly isRequired: boolean; readonly isJson: boolean } | null;
  readonly answer: { readonly type: string; readonly kind: 'json' | 'text' | 'bytes' | 'nothing' };
}

/**
 * A TypeScript client of exactly the operations of a document: one file without dependencies, for `fetch`. Types and
 * functions have the names of the document, so that two permission sets with equal rights get equal clients.
 */
export function clientOf(document: Json): string {
  const operations = operationsOf(document);
  const schemas = Object.entries(members(members(document['components'])['schemas']));
  const parts = [
    `/* Made by Credenza from its OpenAPI document, ${String(members(document['info'])['version'])}, ${contentHash([document['paths'], document['components']]).slice(0, 12)}. Do not edit. */`,
    ...schemas.map(([name, schema]) => `${comment(members(schema), '')}export type ${typeName(name)} = ${typeOf(schema)};`),
    RUNTIME,
    `/** Every call that the holder of the credentials may make. */\nexport interface Client {\n${operations.map(signature).join('\n')}\n}`,
    `/** Makes the client. Every method throws ProblemError for an answer that is a problem. */\nexport function makeClient(options: ClientOptions): Client {\n  const call = caller(options);\n  return {\n${operations.map(implementation).join('\n')}\n  };\n}`,
  ];
  return `${parts.join('\n\n')}\n`;
}

function operationsOf(document: Json): readonly ClientOperation[] {
  return Object.entries(members(document['paths'])).flatMap(([path, item]) =>
    Object.entries(members(item)).map(([method, given]): ClientOperation => {
      const operation = members(given);
      const parameters = (Array.isArray(operation['parameters']) ? operation['parameters'] : []).map(members);
      const within = (place: string): readonly Json[] => parameters.filter((parameter) => parameter['in'] === place);
      return {
        id: String(operation['operationId']),
        summary: String(operation['summary']),
        method,
        path,
        inPath: within('path').map((parameter) => ({ name: String(parameter['name']), type: typeOf(parameter['schema']) })),
        query: within('query'),
        headers: within('header'),
        body: bodyOf(members(operation['requestBody'])),
        answer: answerOf(members(operation['responses'])),
      };
    }),
  );
}

function bodyOf(body: Json): ClientOperation['body'] {
  const content = members(body['content']);
  const [media] = Object.keys(content);
  if (media === undefined) return null;
  const isJson = media === 'application/json';
  return { type: isJson ? typeOf(members(content[media])['schema'], '    ') : 'Uint8Array | string', isRequired: body['required'] === true, isJson };
}

function answerOf(responses: Json): ClientOperation['answer'] {
  const types = Object.entries(responses).flatMap(([status, response]) => {
    const content = members(members(response)['content']);
    const [media] = Object.keys(content);
    if (!status.startsWith('2') || media === undefined) return [];
    return [{ media, type: typeOf(members(content[media])['schema'], '  ') }];
  });
  const [first] = types;
  if (first === undefined) return { type: 'void', kind: 'nothing' };
  if (first.media === 'application/json') return { type: [...new Set(types.map(({ type }) => type))].join(' | '), kind: 'json' };
  return first.media.startsWith('text/') ? { type: 'string', kind: 'text' } : { type: 'Uint8Array', kind: 'bytes' };
}

/** `If-Match` as `ifMatch`. */
function headerName(header: Json): string {
  return String(header['name'])
    .toLowerCase()
    .replaceAll(/-(\w)/g, (_, letter: string) => letter.toUpperCase());
}

function optionsOf({ query, headers, body }: ClientOperation): { readonly type: string; readonly isRequired: boolean } | null {
  const isNeeded = (parameter: Json): boolean => parameter['required'] === true;
  const lines = [
    ...(query.length === 0
      ? []
      : [
          `    readonly query${query.some(isNeeded) ? '' : '?'}: {\n${query.map((parameter) => `      readonly ${propertyName(String(parameter['name']))}${isNeeded(parameter) ? '' : '?'}: ${queryType(parameter)};`).join('\n')}\n    };`,
        ]),
    ...(body === null ? [] : [`    readonly body${body.isRequired ? '' : '?'}: ${body.type};`]),
    ...(body === null || body.isJson ? [] : ['    /** Media type of the body. */\n    readonly contentType: string;']),
    ...headers.map(
      (header) => `${comment({ description: header['description'] }, '    ')}    readonly ${headerName(header)}${isNeeded(header) ? '' : '?'}: string;`,
    ),
  ];
  if (lines.length === 0) return null;
  return { type: `{\n${lines.join('\n')}\n  }`, isRequired: query.some(isNeeded) || headers.some(isNeeded) || body?.isRequired === true };
}

/** In an address everything is text; what reads as a number or a truth value may be given as one. */
function queryType(parameter: Json): string {
  const type = typeOf(parameter['schema']);
  return type === 'string' ? 'string | number | boolean' : type;
}

function signature(operation: ClientOperation): string {
  const options = optionsOf(operation);
  const parameters = [
    ...operation.inPath.map(({ name, type }) => `${name}: ${type}`),
    ...(options === null ? [] : [`options${options.isRequired ? '' : '?'}: ${options.type}`]),
  ];
  return `${comment({ description: operation.summary }, '  ')}  ${propertyName(operation.id)}(${parameters.join(', ')}): Promise<${operation.answer.type}>;`;
}

function implementation(operation: ClientOperation): string {
  const { id, method, path, inPath, headers, body, answer } = operation;
  const options = optionsOf(operation);
  const address = path.replaceAll(/\{(\w+)\}/g, (_, name: string) => `\${encodeURIComponent(${name})}`);
  const sent = [
    ...(operation.query.length === 0 ? [] : ['query: options?.query']),
    ...(body === null ? [] : ['body: options?.body']),
    ...(body === null || body.isJson ? [] : ['contentType: options?.contentType']),
    ...(headers.length === 0
      ? []
      : [`headers: { ${headers.map((header) => `${quoted(String(header['name']))}: options?.${headerName(header)}`).join(', ')} }`]),
  ];
  const parameters = [...inPath.map(({ name }) => name), ...(options === null ? [] : ['options'])].join(', ');
  const text = `\`${address}\``;
  return `    ${propertyName(id)}: (${parameters}) => call(${quoted(method.toUpperCase())}, ${inPath.length === 0 ? quoted(path) : text}, ${quoted(answer.kind)}, { ${sent.join(', ')} }),`;
}

const RUNTIME = `export interface ClientOptions {
  /** Where Credenza is, such as https://crm.plan.example. */
  readonly baseUrl: string;
  /** An API token; without it the browser's session cookie is sent. */
  readonly token?: string;
  /** The X-CSRF-Token of the session, for writes by cookie. */
  readonly csrf?: string;
  readonly fetch?: typeof globalThis.fetch;
}

/** An answer that is a problem document (RFC 9457). */
export class ProblemError extends Error {
  readonly status: number;
  /** The document; null where something between here and Credenza answered in its place. */
  readonly problem: Problem | null;

  constructor(status: number, problem: Problem | null) {
    super(problem === null ? \`The answer was \${String(status)}.\` : problem.detail);
    this.name = 'ProblemError';
    this.status = status;
    this.problem = problem;
  }
}

/** The If-Match of a record, from its version. */
export function etagOf(record: { readonly version: number }): string {
  return \`"v\${String(record.version)}"\`;
}

interface Sent {
  readonly query?: object | undefined;
  readonly body?: unknown;
  readonly contentType?: string | undefined;
  readonly headers?: Readonly<Record<string, string | undefined>>;
}

type Kind = 'json' | 'text' | 'bytes' | 'nothing';

/** The one boundary: an answer is taken to be what the document says of it. */
function caller(options: ClientOptions): <T>(method: string, path: string, kind: Kind, sent: Sent) => Promise<T> {
  const send = options.fetch ?? globalThis.fetch;
  return async <T>(method: string, path: string, kind: Kind, sent: Sent): Promise<T> => {
    const url = new URL(path, options.baseUrl);
    for (const [name, value] of Object.entries(sent.query ?? {})) if (value !== undefined) url.searchParams.set(name, String(value));
    const headers = new Headers({ accept: 'application/json, application/problem+json, */*' });
    if (options.token !== undefined) headers.set('authorization', \`Bearer \${options.token}\`);
    if (options.csrf !== undefined) headers.set('x-csrf-token', options.csrf);
    for (const [name, value] of Object.entries(sent.headers ?? {})) if (value !== undefined) headers.set(name, value);
    if (sent.body !== undefined) headers.set('content-type', sent.contentType ?? 'application/json');
    const body = sent.body === undefined ? null : sent.contentType === undefined ? JSON.stringify(sent.body) : (sent.body as BodyInit);
    const answer = await send(url, { method, headers, body, credentials: 'same-origin' });
    if (!answer.ok) {
      const isProblem = (answer.headers.get('content-type') ?? '').startsWith('application/problem+json');
      throw new ProblemError(answer.status, isProblem ? ((await answer.json()) as Problem) : null);
    }
    const readers = {
      json: (): Promise<unknown> => answer.json(),
      text: (): Promise<unknown> => answer.text(),
      bytes: async (): Promise<unknown> => new Uint8Array(await answer.arrayBuffer()),
      nothing: (): Promise<unknown> => Promise.resolve(undefined),
    };
    return (await readers[kind]()) as T;
  };
}`;
