import { Writable } from 'node:stream';
import { loadConfig } from '../../../src/config.ts';
import { makeApp, type App } from '../../../src/main.ts';
import type { CallContext, Principal } from '../../../src/platform/access/types.ts';
import { runDue } from '../../../src/platform/automation/run-due.ts';
import { makeVirtualClock, type VirtualClock } from '../../../src/platform/clock.ts';
import { makeImporter, type Importer } from '../../../src/platform/import/import.ts';
import { makeLog } from '../../../src/platform/log.ts';
import type { RecordData } from '../../../src/platform/query/types.ts';
import { rows, sql } from '../../../src/platform/sql.ts';
import { allUsers } from '../../../src/platform/identity/identity.sql.ts';

type Values = Readonly<Record<string, unknown>>;

/** What the steps of the restartable story work with: the wired product, and a person who presses its buttons. */
export interface Teller {
  readonly app: App;
  /** As the product's importer, with few rows a transaction, so that a short file has several. */
  readonly importer: Importer;
  /** Lets time pass up to an instant and does everything that falls due; does nothing when that time is over. */
  at(instant: string): Promise<void>;
  /** Does what is due now. */
  settle(): Promise<void>;
  staff(): Promise<CallContext>;
  /** The caller behind the newest personal link to a record. */
  visitor(object: string, id: string): Promise<CallContext>;
  find(object: string, filter: string, sort?: readonly string[]): Promise<readonly RecordData[]>;
  one(object: string, filter: string): Promise<RecordData>;
  create(object: string, values: Values): Promise<string>;
  update(record: RecordData, object: string, values: Values): Promise<void>;
  move(object: string, id: string, transition: string, values?: Values): Promise<void>;
  close(): Promise<void>;
}

/** A clock that says each moment that it comes to, so that a successor of a killed process begins at the same one. */
function sayingClock(start: string, say: (instant: string) => void): VirtualClock {
  const clock = makeVirtualClock(start);
  return {
    ...clock,
    advanceTo: (instant) => {
      clock.advanceTo(instant);
      say(clock.now());
    },
  };
}

/** Opens the product on a database at an instant, its mail going to a real SMTP server. */
export async function makeTeller(options: {
  readonly databaseUrl: string;
  readonly smtpUrl: string;
  readonly start: string;
  readonly say: (instant: string) => void;
}): Promise<Teller> {
  const clock = sayingClock(options.start, options.say);
  const config = loadConfig({ PORT: '0', SMTP_URL: options.smtpUrl, WORKER: 'false', DATABASE_POOL_SIZE: '6' }, '/nowhere');
  const stderr = new Writable({ write: (chunk, _encoding, done) => (process.stderr.write(String(chunk)), done()) });
  const app = makeApp({ ...config, databaseUrl: options.databaseUrl }, { clock, log: makeLog('error', stderr) });
  const contextOf = (principal: Principal): Promise<CallContext> => app.contextFor(principal, { kind: 'command', name: 'story' });
  const [user] = await allUsers(app.db);
  if (user === undefined) throw new Error('The prepared database has no user.');
  const staff = (): Promise<CallContext> =>
    contextOf({ kind: 'user', userId: user.id, permissionSets: user.permissionSets, email: user.email, name: user.name });
  const find: Teller['find'] = async (object, filter, sort = ['createdAt']) =>
    (await app.reader.list(app.db, await staff(), { object, filter, sort, limit: 200 })).data;
  const one: Teller['one'] = async (object, filter) => {
    const found = await find(object, filter);
    const [record] = found;
    if (found.length !== 1 || record === undefined) throw new Error(`${object} ${filter}: ${String(found.length)} found, one wanted.`);
    return record;
  };
  return {
    app,
    importer: makeImporter({ engine: app.engine, blockRows: 10 }),
    at: async (instant) => {
      if (Date.parse(instant) > clock.nowMs()) await runDue({ db: app.db, clock, worker: app.worker, until: instant });
    },
    settle: async () => {
      await app.worker.drain();
    },
    staff,
    visitor: async (object, id) => {
      const found = await rows(
        app.db,
        sql`select id, permission_set from credenza.portal_link where object = ${object} and record_id = ${id}::uuid order by created_at desc, id desc limit 1`,
      );
      const [link] = found;
      if (link === undefined) throw new Error(`There is no link to ${object} ${id}.`);
      return contextOf({ kind: 'portal', permissionSets: [String(link['permission_set'])], subject: { object, id }, linkId: String(link['id']) });
    },
    find,
    one,
    create: async (object, values) => (await app.engine.writeOne(app.db, await staff(), object, { kind: 'create', values })).id,
    update: async (record, object, values) => {
      await app.engine.writeOne(app.db, await staff(), object, { kind: 'update', id: record.id, version: record.version, values });
    },
    move: async (object, id, transition, values) => {
      const context = await staff();
      const { version } = await app.reader.get(app.db, context, object, id, {});
      await app.engine.writeOne(app.db, context, object, { kind: 'transition', id, version, transition, ...(values === undefined ? {} : { values }) });
    },
    close: () => app.stop(),
  };
}
