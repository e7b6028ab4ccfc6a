import { ident, rows, sql } from '../../src/platform/sql.ts';
import { providerValues } from './data.ts';
import { SCHEMA, type BenchDatabase } from './database.ts';
import type { HttpRequest } from './load.ts';

export type Side = 'ours' | 'limit' | 'logged';

/** One thing that is measured: the same requests, sent to the product and to the hand-written server. */
export interface Work {
  readonly name: string;
  /** What it is compared with: the bare route, or one that writes history and an event too. */
  readonly limits: readonly ('limit' | 'logged')[];
  /** Each request may be sent once only: it writes. */
  readonly once: boolean;
  readonly requests: (database: BenchDatabase, side: Side) => Promise<readonly HttpRequest[]>;
}

const WRITES_A_ROUND = 3_000;
const LISTED = 'npi,name,type,specialty,practiceCity,practiceState,nextVisitDueOn,phone';
const LISTED_VISITS = 'number,channel,purpose,dueOn,status,heldOn,nextVisitOn,provider';

const providerTable = (database: BenchDatabase, side: Side) => (side === 'ours' ? ident(SCHEMA, database.table('Provider')) : ident('bench', 'provider'));

function get(database: BenchDatabase, side: Side, path: string): HttpRequest {
  return { method: 'GET', path, headers: side === 'ours' ? { authorization: `Bearer ${database.token}` } : {} };
}

function combinations(first: readonly string[], second: readonly string[]): readonly (readonly [string, string])[] {
  return first.flatMap((a) => second.map((b) => [a, b] as const));
}

const query = (parameters: Readonly<Record<string, string>>): string => new URLSearchParams(parameters).toString();

export const WORKS: readonly Work[] = [
  {
    name: 'read by id',
    limits: ['limit'],
    once: false,
    requests: async (database, side) => {
      const found = await rows(database.db, sql`select id from ${providerTable(database, 'ours')} order by md5(id::text) limit 5000`);
      return found.map((row) => get(database, side, `${side === 'ours' ? '/api/v1/records/Provider' : '/providers'}/${String(row['id'])}`));
    },
  },
  {
    name: 'list',
    limits: ['limit'],
    once: false,
    requests: (database, side) => {
      const pairs = combinations(['pcp', 'specialist', 'behavioral-health', 'ancillary', 'ltss'], ['MA', 'RI', 'CT', 'NH']);
      return Promise.resolve(
        pairs.map(([type, state]) => {
          const filter = `type == '${type}' && practiceState == '${state}'`;
          const ours = `/api/v1/records/Provider?${query({ filter, fields: LISTED, sort: 'nextVisitDueOn' })}`;
          return get(database, side, side === 'ours' ? ours : `/providers?${query({ type, state })}`);
        }),
      );
    },
  },
  {
    name: 'list with a reference expanded',
    limits: ['limit'],
    once: false,
    requests: (database, side) => {
      const pairs = combinations(['office', 'telephone', 'email'], ['orientation', 'routine', 'ad-hoc', 'follow-up']);
      return Promise.resolve(
        pairs.map(([channel, purpose]) => {
          const filter = `channel == '${channel}' && purpose == '${purpose}'`;
          const ours = `/api/v1/records/Visit?${query({ filter, fields: LISTED_VISITS, sort: 'dueOn', expand: 'provider' })}`;
          return get(database, side, side === 'ours' ? ours : `/visits?${query({ channel, purpose })}`);
        }),
      );
    },
  },
  {
    name: 'create',
    limits: ['limit', 'logged'],
    once: true,
    requests: async (database, side) => {
      const [counted] = await rows(database.db, sql`select count(*)::int as count from ${providerTable(database, side)}`);
      const from = Number(counted?.['count']);
      return Array.from({ length: WRITES_A_ROUND }, (_, at) =>
        write(database, side, 'POST', side === 'ours' ? '/api/v1/records/Provider' : routeOf(side), providerValues(from + at)),
      );
    },
  },
  {
    name: 'update of one field',
    limits: ['limit', 'logged'],
    once: true,
    requests: async (database, side) => {
      const found = await rows(
        database.db,
        sql`select id, version from ${providerTable(database, side)} order by version, md5(id::text) limit ${WRITES_A_ROUND}`,
      );
      return found.map((row, at) => {
        const path = `${side === 'ours' ? '/api/v1/records/Provider' : routeOf(side)}/${String(row['id'])}`;
        const body = { phone: `+1 413 555 ${String(1000 + (at % 9000))}` };
        return write(database, side, 'PATCH', path, body, { 'if-match': `"v${String(row['version'])}"` });
      });
    },
  },
];

const routeOf = (side: Side): string => (side === 'logged' ? '/logged' : '/providers');

function write(
  database: BenchDatabase,
  side: Side,
  method: 'POST' | 'PATCH',
  path: string,
  body: unknown,
  headers: Readonly<Record<string, string>> = {},
): HttpRequest {
  const own = side === 'ours' ? { authorization: `Bearer ${database.token}` } : {};
  return { method, path, headers: { ...headers, ...own, 'content-type': 'application/json' }, body: JSON.stringify(body) };
}
