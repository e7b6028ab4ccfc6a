import { Readable } from 'node:stream';
import type { CallContext, Cause, Principal } from '../../platform/access/types.ts';
import { runDue } from '../../platform/automation/run-due.ts';
import type { VirtualClock } from '../../platform/clock.ts';
import { inTransaction } from '../../platform/db.ts';
import { AppError } from '../../platform/errors.ts';
import type { FileStore } from '../../platform/files/types.ts';
import type { Forms } from '../../platform/forms/submissions.ts';
import { createPortalLink, linkPrincipal, openPortalLink } from '../../platform/identity/portal-links.ts';
import { addUser } from '../../platform/identity/users.ts';
import type { Importer } from '../../platform/import/import.ts';
import type { InboundMail } from '../../platform/mail/inbound.ts';
import type { RecordData } from '../../platform/query/types.ts';
import type { WriteItem } from '../../platform/record/types.ts';
import type { NetworkHost } from './network.ts';

/** What of the wired product the demo needs, on a clock that it moves. */
export interface DemoHost extends NetworkHost {
  readonly clock: VirtualClock;
  readonly importer: Importer;
  readonly forms: Forms;
  readonly files: FileStore;
  readonly inbound: Pick<InboundMail, 'receive'>;
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
  /** A transition that the product itself makes when the outside world tells it something. */
  happen(object: string, id: string, transition: string): Promise<void>;
  get(object: string, id: string): Promise<RecordData>;
  find(object: string, filter: string): Promise<readonly RecordData[]>;
  one(object: string, filter: string): Promise<RecordData>;
  importFile(object: string, map: string | null, content: Iterable<string>): Promise<number>;
  /** Opens a new personal link to a record's form, as its recipient does. */
  link(object: string, recordId: string, form: string): Promise<{ readonly secret: string; context(): Promise<CallContext> }>;
}

const CAUSE: Cause = { kind: 'command', name: 'demo' };
const SYSTEM: Principal = { kind: 'system', name: 'demo' };
const LINK_DAYS = 60;

/** Adds an account for each permission set, all with one password. */
export async function makeHands(host: DemoHost, password: string): Promise<DemoHands> {
  const { db, clock, engine, reader, worker } = host;
  const system = (): Promise<CallContext> => host.contextFor(SYSTEM, CAUSE);
  const known = new Set([...(await system()).model.permissions.keys(), 'administrator']);
  const accounts: Account[] = [];
  const principals = new Map<string, Principal>();
  const ids = new Map<string, string>();
  for (const [permissionSet, name] of Object.entries(TEAM)) {
    const wanted = { email: `${permissionSet}@plan.example`, name, permissionSets: [permissionSet], password };
    const { user } = await inTransaction(db, (tx) => addUser(tx, { clock }, wanted, known, 'system:demo'));
    accounts.push({ email: user.email, name, permissionSet });
    ids.set(permissionSet, user.id);
    principals.set(permissionSet, { kind: 'user', userId: user.id, permissionSets: user.permissionSets, email: user.email, name: user.name });
  }
  const context = (team: Team): Promise<CallContext> => host.contextFor(principals.get(team) ?? SYSTEM, CAUSE);
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
    happen: async (object, id, transition) => {
      const call = await system();
      await inTransaction(db, (tx) => engine.write(tx, call, object, [{ kind: 'transition', id, transition }], { asSystem: true }));
      await settle();
    },
    get,
    find,
    one: async (object, filter) => {
      const [found] = await find(object, filter);
      if (found === undefined) throw new AppError('internal', `The demo found no ${object} with ${filter}.`);
      return found;
    },
    importFile: async (object, map, content) => {
      const result = await host.importer.run(db, await system(), { object, map, fileName: 'demo.csv', content: Readable.from(content) });
      if (result.rejected > 0) throw new AppError('internal', `${String(result.rejected)} rows of the demo's ${object} file were rejected.`);
      return result.created;
    },
    link: async (object, recordId, form) => {
      const call = await system();
      const wanted = { object, recordId, permissionSet: 'provider', purpose: `form:${form}`, days: LINK_DAYS };
      const { secret } = await inTransaction(db, (tx) => createPortalLink(tx, call, wanted));
      const opened = linkPrincipal(await openPortalLink(db, secret, clock.now()));
      return { secret, context: () => host.contextFor(opened, CAUSE) };
    },
  };
}
