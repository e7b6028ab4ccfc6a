import { loadConfig } from '../../src/config.ts';
import { makeApp, type App, type AppOverrides } from '../../src/main.ts';
import { inTransaction } from '../../src/platform/db.ts';
import { addUser } from '../../src/platform/identity/users.ts';
import { makeLog } from '../../src/platform/log.ts';
import { checkAnswer } from './contract.ts';
import { makeShippedDatabase } from './database.ts';

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  /** Parsed JSON, or null. */
  readonly body: Readonly<Record<string, unknown>>;
  readonly text: string;
}

export interface Client {
  (method: string, path: string, body?: unknown, headers?: Readonly<Record<string, string>>): Promise<Answer>;
}

/** The whole product on a database of its own, listening on a free port. Call `stop` in `after`. */
export interface TestApp {
  readonly app: App;
  readonly url: string;
  /** A caller with an API token of a new account that holds these permission sets. */
  caller(...permissionSets: readonly string[]): Promise<Client & { readonly token: string; readonly userId: string }>;
  readonly guest: Client;
  stop(): Promise<void>;
}

export interface TestAppOptions extends AppOverrides {
  /** Settings as environment variables. */
  readonly environment?: Readonly<Record<string, string>>;
  readonly work?: boolean;
}

/** Starts the product as `credenza start` does, on a clone of the shipped database. */
export async function startTestApp(options: TestAppOptions = {}): Promise<TestApp> {
  const database = await makeShippedDatabase({ poolSize: 1 });
  const { environment, work, ...overrides } = options;
  const config = loadConfig({ PORT: '0', ...environment }, '/nowhere');
  const app = makeApp({ ...config, databaseUrl: database.url }, { log: makeLog('silent'), ...overrides });
  const { url } = await app.start({ web: true, work: work === true });
  if (url === null) throw new Error('The web server did not start.');
  let count = 0;
  return {
    app,
    url,
    guest: clientOf(url, null),
    async caller(...permissionSets) {
      count += 1;
      const user = { email: `user${String(count)}@plan.example`, name: `User ${String(count)}`, permissionSets, password: 'correct horse battery' };
      const model = await app.store.current();
      const known = new Set(['administrator', ...model.permissions.keys()]);
      const { user: account } = await inTransaction(app.db, (tx) => addUser(tx, { clock: app.clock }, user, known, 'test'));
      const { token } = await inTransaction(app.db, (tx) => app.signIn.createToken(tx, account.id, 'test', null));
      return Object.assign(clientOf(url, token), { token, userId: account.id });
    },
    async stop() {
      await app.stop();
      await database.drop();
    },
  };
}

/** Sends JSON and reads JSON; `undefined` sends no body, text is sent as it is. */
export function clientOf(url: string, token: string | null): Client {
  return async (method, path, body, headers = {}) => {
    const answer = await fetch(`${url}${path}`, {
      method,
      headers: {
        ...(token === null ? {} : { authorization: `Bearer ${token}` }),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
      redirect: 'manual',
    });
    const text = await answer.text();
    const contentType = answer.headers.get('content-type') ?? '';
    await checkAnswer(url, { method, path, credentials: credentialsOf(token, headers), status: answer.status, contentType, text });
    const isJson = contentType.includes('json');
    const parsed: unknown = isJson && text !== '' ? JSON.parse(text) : {};
    return {
      status: answer.status,
      headers: answer.headers,
      body: typeof parsed === 'object' && parsed !== null ? Object.fromEntries(Object.entries(parsed)) : {},
      text,
    };
  };
}

/** What proves who calls: the client's token, or what the call itself brought. */
function credentialsOf(token: string | null, headers: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  const own = Object.entries(headers).filter(([name]) => ['authorization', 'cookie'].includes(name.toLowerCase()));
  return { ...(token === null ? {} : { authorization: `Bearer ${token}` }), ...Object.fromEntries(own) };
}

/** A member of an answer, by path: `data.0.name`. */
export function at(value: unknown, path: string): unknown {
  let found: unknown = value;
  for (const step of path.split('.')) {
    found = typeof found === 'object' && found !== null ? Object.entries(found).find(([name]) => name === step)?.[1] : undefined;
  }
  return found;
}
