import { Readable } from 'node:stream';
import type { Knex } from 'knex';
import type { CallContext, Cause, Principal } from '../../platform/access/types.ts';
import { runDue } from '../../platform/automation/run-due.ts';
import type { VirtualClock } from '../../platform/clock.ts';
import { inTransaction } from '../../platform/db.ts';
import { AppError } from '../../platform/errors.ts';
import type { FileStore } from '../../platform/files/types.ts';
import type { Forms } from '../../platform/forms/submissions.ts';
import { createPortalLink, linkPrincipal, openPortalLink } from '../../platform/identity/portal-links.ts';
import { addUser } from '../../platform/identity/users.ts';
import type { RandomBytes } from '../../platform/ids.ts';
import type { Importer } from '../../platform/import/import.ts';
import type { Worker } from '../../platform/jobs/worker.ts';
import type { InboundMail } from '../../platform/mail/inbound.ts';
import type { Reader } from '../../platform/query/reader.ts';
import type { Unsubscribe } from '../../platform/mail/suppression.ts';
import type { RecordData } from '../../platform/query/types.ts';
import type { RecordEngine, WriteItem } from '../../platform/record/types.ts';

/** What of the wired product the demo and simulations need, on a clock that is moved. */
export interface DemoHost {
  readonly db: Knex;
  readonly clock: VirtualClock;
  readonly engine: RecordEngine;
  readonly reader: Reader;
  readonly worker: Pick<Worker, 'drain'>;
  readonly importer: Importer;
  readonly forms: Forms;
  readonly files: FileStore;
  readonly inbound: Pick<InboundMail, 'receive'>;
  contextFor(principal: Principal, cause: Cause): Promise<CallContext>;
  readonly bounceAddress: string;
  readonly unsubscribe: Unsubscribe;
}

/** The plan's teams, by permission set. */
export const TEAM = {
  administrator: 'Alma Administrator',
  recruiting: 'Rita Recruiting',
  credentialing: 'Carl Credentialing',
  contracting: 'Cora Contracting',
  network: 'Nina Network',
  relations: 'Rosa Relations',
  advocate: 'Adam Advocate',
} as const;
export type Team = keyof typeof TEAM;

export type Values = Readonly<Record<string, unknown>>;
export interface Account {
  readonly email: string;
  readonly name: string;
  readonly permissionSet: string;
}

/** Things that people do, each through the product's own pipelines and with their own rights. */
export interface DemoHands {
  readonly host: DemoHost;
  readonly accounts: readonly Account[];
  id(team: Team): string;
  context(team: Team): Promise<CallContext>;
  system(): Promise<CallContext>;
  /** Lets time pass and does everything that falls due. */
  until(instant: string): Promise<void>;
  settle(): Promise<void>;
  create(team: Team, object: string, values: Values): Promise<string>;
  update(team: Team, object: string, id: string, values: Values): Promise<void>;
  move(team: Team, object: string, id: string, transition: string, values?: Values): Promise<void>;
  get(object: string, id: string): Promise<RecordData>;
  find(object: string, filter: string): Promise<readonly RecordData[]>;
  one(object: string, filter: string): Promise<RecordData>;
  importFile(object: string, map: string | null, content: Iterable<string>): Promise<number>;
  /** Opens a new personal link to a record's form, as its recipient does. */
  link(object: string, recordId: string, form: string): Promise<{ readonly secret: string; context(): Promise<CallContext> }>;
}

const LINK_DAYS = 60;

export interface HandsOptions {
  /** Who acts where nobody of the teams does: the name of the command. */
  readonly name: string;
  /** Of all accounts; without one nobody can sign in. */
  readonly password?: string;
  /** What the addresses of the accounts begin with. */
  readonly prefix?: string;
  /** Of ids and secrets; seeded in simulations. */
  readonly random?: RandomBytes;
}

/** Adds an account for each permission set. */
export async function makeHands(host: DemoHost, options: HandsOptions): Promise<DemoHands> {
  const { db, clock, engine, reader, worker } = host;
  const { name: command, prefix = '' } = options;
  const cause: Cause = { kind: 'command', name: command };
  const nobody: Principal = { kind: 'system', name: command };
  const system = (): Promise<CallContext> => host.contextFor(nobody, cause);
  const known = new Set([...(await system()).model.permissions.keys(), 'administrator']);
  const accounts: Account[] = [];
  const principals = new Map<string, Principal>();
  const ids = new Map<string, string>();
  for (const [permissionSet, name] of Object.entries(TEAM)) {
    const password = options.password === undefined ? {} : { password: options.password };
    const wanted = { email: `${prefix}${permissionSet}@plan.example`, name, permissionSets: [permissionSet], ...password };
    const identity = options.random === undefined ? { clock } : { clock, random: options.random };
    const { user } = await inTransaction(db, (tx) => addUser(tx, identity, wanted, known, `system:${command}`));
    accounts.push({ email: user.email, name, permissionSet });
    ids.set(permissionSet, user.id);
    principals.set(permissionSet, { kind: 'user', userId: user.id, permissionSets: user.permissionSets, email: user.email, name: user.name });
  }
  const context = (team: Team): Promise<CallContext> => host.contextFor(principals.get(team) ?? nobody, cause);
  const settle = async (): Promise<void> => {
    await worker.drain();
  };
  const get = async (object: string, id: string): Promise<RecordData> => reader.get(db, await system(), object, id, {});
  const write = async (team: Team, object: string, item: WriteItem): Promise<string> => {
    const { id } = await engine.writeOne(db, await context(team), object, item);
    await settle();
    return id;
  };
  const find = async (object: string, filter: string): Promise<readonly RecordData[]> =>
    (await reader.list(db, await system(), { object, filter, limit: 500, sort: ['createdAt'] })).data;
  return {
    host,
    accounts,
    id: (team) => ids.get(team) ?? '',
    context,
    system,
    settle,
    until: async (instant) => {
      await runDue({ db, clock, worker, until: instant });
    },
    create: (team, object, values) => write(team, object, { kind: 'create', values }),
    update: async (team, object, id, values) => {
      await write(team, object, { kind: 'update', id, version: (await get(object, id)).version, values });
    },
    move: async (team, object, id, transition, values = {}) => {
      await write(team, object, { kind: 'transition', id, version: (await get(object, id)).version, transition, values });
    },
    get,
    find,
    one: async (object, filter) => {
      const [found] = await find(object, filter);
      if (found === undefined) throw new AppError('internal', `The demo found no ${object} with ${filter}.`);
      return found;
    },
    importFile: async (object, map, content) => {
      const result = await host.importer.run(db, await system(), { object, map, fileName: `${command}.csv`, content: Readable.from(content) });
      if (result.rejected > 0) throw new AppError('internal', `${String(result.rejected)} rows of an invented ${object} file were rejected.`);
      return result.created;
    },
    link: async (object, recordId, form) => {
      const call = await system();
      const wanted = { object, recordId, permissionSet: 'provider', purpose: `form:${form}`, days: LINK_DAYS };
      const { secret } = await inTransaction(db, (tx) => createPortalLink(tx, call, wanted));
      const opened = linkPrincipal(await openPortalLink(db, secret, clock.now()));
      return { secret, context: () => host.contextFor(opened, cause) };
    },
  };
}
