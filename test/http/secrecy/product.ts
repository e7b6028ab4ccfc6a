import { Agent, request, type IncomingHttpHeaders } from 'node:http';
import { loadConfig } from '../../../src/config.ts';
import { makeApp, type App } from '../../../src/main.ts';
import { makeVirtualClock } from '../../../src/platform/clock.ts';
import { inTransaction } from '../../../src/platform/db.ts';
import { addUser } from '../../../src/platform/identity/users.ts';
import { seededRandom, type RandomBytes } from '../../../src/platform/ids.ts';
import { makeLog } from '../../../src/platform/log.ts';
import type { MetadataSet } from '../../../src/platform/metadata/types.ts';
import { makeTestDatabase, TEST_SCHEMA } from '../../support/database.ts';

/** A call as it is sent. */
export interface Sent {
  readonly method: string;
  readonly path: string;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

/** An answer as it came over the wire, without the day and time of its header. */
export interface Received {
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly text: string;
}

/** The whole product on a database of its own, whose ids and moments are the same in every database that is asked the same. */
export interface Product {
  readonly app: App;
  /** From here on ids are drawn from this number, and the clock stands at this second. */
  at(second: number): void;
  user(name: string, permissionSets: readonly string[]): Promise<{ readonly id: string; readonly token: string }>;
  /** Writes a record as the system, with this id. */
  make(object: string, id: string, values: Readonly<Record<string, unknown>>): Promise<void>;
  change(object: string, id: string, values: Readonly<Record<string, unknown>>, reason?: string): Promise<void>;
  trash(object: string, id: string): Promise<void>;
  call(token: string, sent: Sent): Promise<Received>;
  stop(): Promise<void>;
}

const START = Date.UTC(2027, 0, 1, 12);
const PASSWORD = 'correct horse battery';

/** Starts the product with this metadata alone. */
export async function startProduct(set: MetadataSet): Promise<Product> {
  const database = await makeTestDatabase({ poolSize: 1 });
  const clock = makeVirtualClock(new Date(START).toISOString());
  let bytes: RandomBytes = seededRandom(1);
  const random: RandomBytes = (size) => bytes(size);
  const config = loadConfig({ PORT: '0', PUBLIC_URL: 'http://credenza.example' }, '/nowhere');
  const app = makeApp({ ...config, schema: TEST_SCHEMA, databaseUrl: database.url }, { log: makeLog('silent'), clock, random });
  await app.store.apply(set, 'test');
  await app.store.load();
  const { url } = await app.start({ web: true, work: false });
  if (url === null) throw new Error('The web server did not start.');
  const agent = new Agent({ keepAlive: true });
  const write = async (object: string, item: Parameters<App['engine']['writeOne']>[3], reason?: string): Promise<void> => {
    const context = await app.contextFor({ kind: 'system', name: 'test' }, { kind: 'command', name: 'test' });
    await app.engine.writeOne(app.db, reason === undefined ? context : { ...context, reason }, object, item);
  };
  return {
    app,
    at(second) {
      bytes = seededRandom(second);
      clock.advanceTo(new Date(START + second * 1_000).toISOString());
    },
    async user(name, permissionSets) {
      const model = await app.store.current();
      const account = { email: `${name.toLowerCase()}@plan.example`, name, permissionSets, password: PASSWORD };
      const { user } = await inTransaction(app.db, (tx) =>
        addUser(tx, { clock, random }, account, new Set(['administrator', ...model.permissions.keys()]), 'test'),
      );
      const { token } = await inTransaction(app.db, (tx) => app.signIn.createToken(tx, user.id, 'test', null));
      return { id: user.id, token };
    },
    make: (object, id, values) => write(object, { kind: 'create', id, values }),
    change: async (object, id, values, reason) => write(object, { kind: 'update', id, values }, reason),
    trash: (object, id) => write(object, { kind: 'delete', id }),
    call: (token, sent) => send(agent, url, token, sent),
    async stop() {
      agent.destroy();
      await app.stop();
      await database.drop();
    },
  };
}

function send(agent: Agent, url: string, token: string, { method, path, body, headers = {} }: Sent): Promise<Received> {
  const text = body === undefined ? null : JSON.stringify(body);
  const given = { authorization: `Bearer ${token}`, ...(text === null ? {} : { 'content-type': 'application/json' }), ...headers };
  return new Promise((resolve, reject) => {
    const asked = request(`${url}${path}`, { agent, method, headers: given }, (response) => {
      const parts: Buffer[] = [];
      response.on('data', (part: Buffer) => void parts.push(part));
      response.on('error', reject);
      response.on('end', () => {
        resolve({ status: response.statusCode ?? 0, headers: withoutDate(response.headers), text: Buffer.concat(parts).toString('latin1') });
      });
    });
    asked.on('error', reject);
    asked.end(text ?? undefined);
  });
}

function withoutDate({ date, ...headers }: IncomingHttpHeaders): Readonly<Record<string, unknown>> {
  if (date === undefined) throw new Error('An answer without a date.');
  return headers;
}
