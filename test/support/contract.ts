import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import { FORMATS } from '../../src/platform/model/formats.ts';

/** One call and its answer, as it went over the wire. */
export interface Exchange {
  readonly method: string;
  /** With its query. */
  readonly path: string;
  /** How the caller proved who they are: an API token, a cookie, or nothing. */
  readonly credentials: Readonly<Record<string, string>>;
  readonly status: number;
  readonly contentType: string;
  readonly text: string;
}

type Json = Readonly<Record<string, unknown>>;

interface Operation {
  readonly pattern: RegExp;
  readonly literals: number;
  readonly method: string;
  readonly path: string;
  readonly value: Json;
}

interface Contract {
  readonly operations: readonly Operation[];
  readonly responses: Json;
  readonly validator: (schema: Json) => ValidateFunction;
}

/** Documents by server and credentials. A document is asked for again when an answer does not fit it: the metadata may have changed. */
const contracts = new Map<string, Promise<Contract | null>>();
let checked = 0;

/** How many answers were held against the document so far. */
export function checkedAnswers(): number {
  return checked;
}

/**
 * Holds an answer of the API against the OpenAPI document that its caller gets: its status must be documented, its body
 * must fit the schema of that status, and nothing may be in it that the document does not name.
 * @throws Error that names the address and every difference
 */
export async function checkAnswer(url: string, exchange: Exchange): Promise<void> {
  const address = exchange.path.split('?')[0] ?? '';
  if (!address.startsWith('/api/v1/') || address === '/api/v1/openapi.json') return;
  checked += 1;
  const findings = findingsOf(await contractOf(url, exchange.credentials, false), exchange);
  if (findings.length === 0) return;
  const again = findingsOf(await contractOf(url, exchange.credentials, true), exchange);
  if (again.length > 0)
    throw new Error(
      `${exchange.method} ${exchange.path} answered ${String(exchange.status)} against its document: ${again.join('; ')}\n${exchange.text.slice(0, 2_000)}`,
    );
}

async function contractOf(url: string, credentials: Exchange['credentials'], isFresh: boolean): Promise<Contract | null> {
  const key = `${url} ${JSON.stringify(credentials)}`;
  const known = contracts.get(key);
  if (known !== undefined && !isFresh) return known;
  const asked = fetch(`${url}/api/v1/openapi.json`, { headers: credentials }).then(async (answer) =>
    answer.status === 200 ? readContract(members(await answer.json())) : null,
  );
  contracts.set(key, asked);
  // Whoever may not sign in any more is held against what they could do before.
  const made = await asked;
  if (made === null && known !== undefined) contracts.set(key, known);
  return made ?? (await known) ?? null;
}

function readContract(document: Json): Contract {
  const operations = Object.entries(members(document['paths'])).flatMap(([path, item]) =>
    Object.entries(members(item)).map(([method, value]): Operation => {
      const steps = path.split('/').map((step) => (step.startsWith('{') ? '[^/]+' : step.replaceAll('.', '\\.')));
      return {
        pattern: new RegExp(`^${steps.join('/')}$`),
        literals: steps.filter((step) => step !== '[^/]+').length,
        method: method.toUpperCase(),
        path,
        value: members(value),
      };
    }),
  );
  const components = members(document['components']);
  return { operations, responses: members(components['responses']), validator: makeValidator(members(components['schemas'])) };
}

/** Compiles a schema on first use. Objects are closed, so that what is not documented is found. */
function makeValidator(schemas: Json): Contract['validator'] {
  const ajv = new Ajv2020({ strict: false, allErrors: true, formats: FORMATS });
  for (const [name, schema] of Object.entries(schemas)) ajv.addSchema(localRefs(closed(schema)), `schema:${name}`);
  const known = new Map<string, ValidateFunction>();
  return (schema) => {
    const key = JSON.stringify(schema);
    const found = known.get(key) ?? ajv.compile(localRefs(closed(schema)));
    known.set(key, found);
    return found;
  };
}

/** The schema with every object that lists its members taking no others; parts of an `allOf` see only some of them each. */
function closed(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(closed);
  if (typeof schema !== 'object' || schema === null) return schema;
  const node = members(schema);
  const inner = Object.fromEntries(
    Object.entries(node).map(([key, value]) => [key, key === 'allOf' || key === 'const' || key === 'enum' ? value : closed(value)]),
  );
  return node['type'] === 'object' && 'properties' in node && !('additionalProperties' in node) ? { ...inner, additionalProperties: false } : inner;
}

function localRefs(schema: unknown): Json {
  const text = JSON.stringify(schema).replaceAll(
    /"#\/components\/schemas\/([^"/]+)(\/[^"]*)?"/g,
    (_, name: string, rest?: string) => `"schema:${name}${rest === undefined ? '' : `#${rest}`}"`,
  );
  const read: unknown = JSON.parse(text);
  return members(read);
}

function findingsOf(contract: Contract | null, exchange: Exchange): readonly string[] {
  const { status, method } = exchange;
  if (status >= 500 && status !== 503) return ['a failure on our side'];
  const [address = '', query = ''] = exchange.path.split('?');
  const found = contract?.operations
    .filter((operation) => operation.method === method && operation.pattern.test(address))
    .sort((left, right) => right.literals - left.literals)[0];
  if (contract === null || found === undefined) return outside(exchange);
  const responses = members(found.value['responses']);
  const given = members(responses[String(status)]);
  const response = typeof given['$ref'] === 'string' ? members(contract.responses[given['$ref'].split('/').at(-1) ?? '']) : given;
  if (!(String(status) in responses)) return [`the status ${String(status)} of ${found.path} is not documented`];
  return [...(status < 400 ? unknownParameters(found, query) : []), ...bodyFindings(contract, response, exchange)];
}

/** An address that the caller's document does not list: it may only be refused. */
function outside({ method, status, contentType, path, text }: Exchange): readonly string[] {
  const isRefused = contentType.startsWith('application/problem+json') && [400, 401, 403, 404, 413, 415].includes(status);
  const isOpen = /^\/api\/v1\/(sign-in|sign-out|invitations)/.test(path);
  return isRefused || isOpen ? [] : [`${method} is not in the caller's document, and was not refused: ${text.slice(0, 200)}`];
}

function unknownParameters(operation: Operation, query: string): readonly string[] {
  const parameters = operation.value['parameters'];
  const known = new Set(
    (Array.isArray(parameters) ? parameters : []).map(members).flatMap((parameter) => (parameter['in'] === 'query' ? [String(parameter['name'])] : [])),
  );
  return [...new URLSearchParams(query).keys()].filter((name) => !known.has(name)).map((name) => `the parameter "${name}" is not documented`);
}

function bodyFindings(contract: Contract, response: Json, { text, contentType }: Exchange): readonly string[] {
  const content = members(response['content']);
  const media = Object.keys(content);
  if (media.length === 0) return text === '' ? [] : ['a body is not documented'];
  const type = contentType.split(';')[0] ?? '';
  const name = media.find((known) => known === type || known === '*/*');
  if (name === undefined) return [`the type ${type} is not documented`];
  if (!type.endsWith('json')) return [];
  const validate = contract.validator(members(members(content[name])['schema']));
  const body: unknown = JSON.parse(text);
  if (validate(body)) return [];
  return (validate.errors ?? []).slice(0, 10).map((error) => `${error.instancePath} ${error.message ?? ''} ${JSON.stringify(error.params)}`);
}

function members(value: unknown): Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? Object.fromEntries(Object.entries(value)) : {};
}
