import { checkAnswer, type Exchange } from '../../support/contract.ts';

/** A record or another JSON object as the API gave it. */
export type Json = Readonly<Record<string, unknown>>;

export interface Answer {
  readonly status: number;
  readonly body: Json;
}

/** Somebody of the plan, working through the API as the console does. */
export interface Staff {
  readonly id: string;
  /** Any call; does not throw for problems. */
  call(method: string, path: string, body?: unknown, headers?: Readonly<Record<string, string>>): Promise<Answer>;
  get(object: string, id: string): Promise<Json>;
  /** All records that a filter finds, in order of `sort`. */
  find(object: string, filter: string, sort?: readonly string[]): Promise<readonly Json[]>;
  /** The one record that a filter finds. */
  one(object: string, filter: string): Promise<Json>;
  create(object: string, values: Json): Promise<Json>;
  update(object: string, id: string, values: Json): Promise<Json>;
  /** Takes a transition with the record's present version. */
  move(object: string, id: string, transition: string, values?: Json): Promise<Json>;
  /** Tries a transition that is refused; answers the problem. */
  refused(object: string, id: string, transition: string, values?: Json): Promise<Answer>;
  /** The bytes of a record's file. */
  file(object: string, id: string, field: string): Promise<Buffer>;
  /** The transitions of a record by name: true where it may be taken, else the reasons. */
  transitions(object: string, id: string): Promise<ReadonlyMap<string, Json>>;
}

const isJson = (value: unknown): value is Json => typeof value === 'object' && value !== null && !Array.isArray(value);

/** One object of an answer, checked to be one. */
export function asJson(value: unknown): Json {
  if (!isJson(value)) throw new Error(`Not a JSON object: ${JSON.stringify(value)}`);
  return value;
}

/** A list of objects of an answer. */
export function asList(value: unknown): readonly Json[] {
  if (!Array.isArray(value)) throw new Error(`Not a list: ${JSON.stringify(value)}`);
  return value.map(asJson);
}

/** One HTTP call to the JSON API. */
export async function callApi(
  url: string,
  method: string,
  path: string,
  body: unknown,
  headers: Readonly<Record<string, string>>,
): Promise<Answer & { readonly cookie: string }> {
  const response = await fetch(`${url}/api/v1${path}`, {
    method,
    headers: { ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...headers },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  await checkAnswer(url, exchangeOf(method, path, headers, response, text));
  return {
    status: response.status,
    body: text === '' ? {} : asJson(JSON.parse(text)),
    cookie: response.headers
      .getSetCookie()
      .map((line) => line.split(';')[0])
      .join('; '),
  };
}

function exchangeOf(method: string, path: string, headers: Readonly<Record<string, string>>, response: Response, text: string): Exchange {
  const credentials = Object.fromEntries(Object.entries(headers).filter(([name]) => name === 'authorization' || name === 'cookie'));
  return { method, path: `/api/v1${path}`, credentials, status: response.status, contentType: response.headers.get('content-type') ?? '', text };
}

/** Somebody who signed in and made an API token, which lasts through the months of the story. */
export async function makeStaff(url: string, credentials: { readonly email: string; readonly password: string }): Promise<Staff> {
  const session = await callApi(url, 'POST', '/sign-in', credentials, {});
  if (session.status !== 200) throw new Error(`${credentials.email} cannot sign in: ${JSON.stringify(session.body)}`);
  return staffOf(url, session);
}

/** The holder of a session as staff. */
export async function staffOf(url: string, session: Answer & { readonly cookie: string }): Promise<Staff> {
  const { user, csrf } = asJson(session.body['data']);
  const made = await callApi(url, 'POST', '/tokens', { name: 'story' }, { cookie: session.cookie, 'x-csrf-token': String(csrf) });
  if (made.status !== 201) throw new Error(`No token: ${JSON.stringify(made.body)}`);
  const token = String(asJson(made.body['data'])['token']);
  const call: Staff['call'] = async (method, path, body, headers = {}) => {
    const { status, body: answer } = await callApi(url, method, path, body, { ...headers, authorization: `Bearer ${token}` });
    return { status, body: answer };
  };
  const good = async (answer: Promise<Answer>, what: string): Promise<Json> => {
    const { status, body } = await answer;
    if (status >= 300) throw new Error(`${what}: ${String(status)} ${JSON.stringify(body)}`);
    return body;
  };
  const get: Staff['get'] = async (object, id) => asJson((await good(call('GET', `/records/${object}/${id}`), `GET ${object}`))['data']);
  const find: Staff['find'] = async (object, filter, sort = ['createdAt']) =>
    asList((await good(call('POST', `/records/${object}/query`, { filter, sort: [...sort], limit: 200 }), `query ${object}`))['data']);
  const versioned = async (object: string, id: string): Promise<Record<string, string>> => ({ 'if-match': `"v${String((await get(object, id))['version'])}"` });
  const taking = async (object: string, id: string, transition: string, values: Json): Promise<Answer> =>
    call('POST', `/records/${object}/${id}/transitions/${transition}`, values, await versioned(object, id));
  return {
    id: String(asJson(user)['id']),
    call,
    get,
    find,
    one: async (object, filter) => {
      const found = await find(object, filter);
      const [record] = found;
      if (found.length !== 1 || record === undefined) throw new Error(`${object} ${filter}: ${String(found.length)} found, one wanted.`);
      return record;
    },
    create: async (object, values) => asJson((await good(call('POST', `/records/${object}`, values), `create ${object}`))['data']),
    update: async (object, id, values) =>
      asJson((await good(call('PATCH', `/records/${object}/${id}`, values, await versioned(object, id)), `update ${object}`))['data']),
    move: async (object, id, transition, values = {}) => asJson((await good(taking(object, id, transition, values), `${object} ${transition}`))['data']),
    refused: async (object, id, transition, values = {}) => {
      const answer = await taking(object, id, transition, values);
      if (answer.status < 400) throw new Error(`${object} ${transition} was not refused.`);
      return answer;
    },
    file: async (object, id, field) => {
      const path = `/records/${object}/${id}/files/${field}`;
      const headers = { authorization: `Bearer ${token}` };
      const response = await fetch(`${url}/api/v1${path}`, { headers });
      await checkAnswer(url, exchangeOf('GET', path, headers, response, ''));
      if (response.status !== 200) throw new Error(`file ${object}.${field}: ${String(response.status)}`);
      return Buffer.from(await response.arrayBuffer());
    },
    transitions: async (object, id) =>
      new Map(asList((await good(call('GET', `/records/${object}/${id}/transitions`), 'transitions'))['data']).map((entry) => [String(entry['name']), entry])),
  };
}
