import { loadConfig, type Config } from '../config.ts';
import type { CallContext } from '../platform/access/types.ts';
import { makeVirtualClock, systemClock } from '../platform/clock.ts';
import { AppError } from '../platform/errors.ts';
import { makeLog } from '../platform/log.ts';
import { packageRoot } from '../platform/root.ts';
import { pendingMigrations } from '../platform/schema/migrate.ts';
import { makeApp, type App, type AppConfig, type AppOverrides } from '../main.ts';
import { startEmbedded } from './embedded-postgres.ts';
import type { Call, Io } from './command.ts';

/** An open product, and how to leave it. */
export interface OpenApp {
  readonly app: App;
  close(): Promise<void>;
}

/** The configuration of this installation: the environment, and `.env` beside package.json. */
export function readConfig(environment: NodeJS.ProcessEnv): Config {
  return loadConfig(environment, packageRoot());
}

/** The configuration of a sandbox beside this installation's data: nothing leaves it and no mail comes in. @throws AppError bad_request */
export function sandboxConfig(config: Config, name: string): Config {
  if (!/^[a-z][a-z0-9_]{0,20}$/.test(name)) throw new AppError('bad_request', `A sandbox is named in lower-case letters, digits and _, not "${name}".`);
  return { ...config, schema: `${config.schema}_sandbox_${name}`, smtpUrl: null, smtpListenPort: null };
}

/** The database of the configuration: DATABASE_URL, or the embedded server of the data directory. */
export async function openDatabase(config: Config, io: Io, role: 'server' | 'command'): Promise<{ readonly url: string; close(): Promise<void> }> {
  if (config.databaseUrl !== null) return { url: config.databaseUrl, close: () => Promise.resolve() };
  const server = await startEmbedded({ directory: config.dataDirectory, role, durable: true, say: io.say });
  return { url: server.url, close: () => server.stop() };
}

/** Opens the product for one command. */
export async function openApp(config: Config, io: Io, role: 'server' | 'command', overrides: AppOverrides = {}): Promise<OpenApp> {
  const database = await openDatabase(config, io, role);
  const appConfig: AppConfig = { ...config, databaseUrl: database.url };
  const log = makeLog(role === 'server' || config.logLevel !== 'info' ? config.logLevel : 'warn');
  const app = makeApp(appConfig, { log, ...overrides });
  return {
    app,
    close: async () => {
      try {
        await app.stop();
      } finally {
        await database.close();
      }
    },
  };
}

/** Runs a command on the product and closes it, whatever happens. Migrates and applies the shipped metadata when nothing is there yet. */
export async function withApp<T>(call: Call, work: (app: App) => Promise<T>, overrides: AppOverrides = {}): Promise<T> {
  const { app, close } = await openApp(call.config, call.io, 'command', overrides);
  try {
    if ((await pendingMigrations(app.db)).length > 0 || (await app.store.load()).version === 0) {
      call.io.say('This database is new: making its tables and applying the shipped metadata ...');
      await app.prepare();
    }
    return await work(app);
  } finally {
    await close();
  }
}

/** A call by whoever sits at the command line: who reaches the database may do everything. */
export function commandContext(app: App, name: string): Promise<CallContext> {
  return app.contextFor({ kind: 'system', name: 'cli' }, { kind: 'command', name });
}

/** A clock that stands at this moment and can be moved on, for sandboxes. */
export function standingClock(): ReturnType<typeof makeVirtualClock> {
  return makeVirtualClock(systemClock.now());
}
