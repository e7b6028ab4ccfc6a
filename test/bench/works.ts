import { ident, rows, sql } from '../../src/platform/sql.ts';
import { providerValues } from './data.ts';
import { SCHEMA, type BenchDatabase } from './database.ts';
import type { HttpRequest } from './load.ts';

/** `first` is the product again, asked for the first page of what `ours` asks for. */
export type Side = 'ours' | 'limit' | 'logged' | 'first';

/** One thing that is measured: the same requests, sent to the product and to the hand-written server. */
export interface Work {
  readonly name: string;
  /** What it is compared with: the bare route, one that writes history and an event too, or the product's own first page. */
  readonly limits: readonly Exclude<Side, 'ours'>[];
  /** Each request may be sent once only: it writes. */
  readonly once: boolean;
  readonly requests: (database: BenchDatabase, side: Side, url: string) => Promise<readonly HttpRequest[]>;
}

const WRITES_A_ROUND = 3_000;
const LISTED = 'npi,name,type,specialty,practiceCity,practiceState,nextVisitDueOn,phone';
const LISTED_VISITS = 'number,channel,purpose,dueOn,status,heldOn,nextVisitOn,provider';

const TYPES = ['pcp', 'specialist', 'behavioral-health', 'ancillary', 'ltss'] as const;
const STATES = ['MA', 'RI', 'CT', 'NH'] as const;
const PAGE = 50;
const FAR_PAGE = 1_000;

const providerTable = (database: BenchDatabase, side: Side) => (side === 'ours' ? ident(SCHEMA, database.table('Provider')) : ident('bench', 'provider'));

const isOurs = (side: Side): boolean => side === 'ours' || side === 'first';

/** Walks to the page, in the largest steps there are; the last one when there are not so many. */
async function cursorOfPage(database: BenchDatabase, url: string, path: string): Promise<string> {
  let cursor: string | null = null;
  for (let read = 0; read < (FAR_PAGE - 1) * PAGE;) {
    const limit = Math.min(500, (FAR_PAGE - 1) * PAGE - read);
    const more = cursor === null ? '' : `&cursor=${encodeURIComponent(cursor)}`;
    const answer = await fetch(`${url}${path}&limit=${String(limit)}${more}`, { headers: { authorization: `Bearer ${database.token}` } });
    const next = nextOf(await answer.json());
    if (next === null) break;
    cursor = next;
    read += limit;
  }
  if (cursor === null) throw new Error('There is one page only: ask for more records.');
  return cursor;
}

/** The boundary for a page of the product. */
function nextOf(body: unknown): string | null {
  const page: unknown = typeof body === 'object' && body !== null && 'page' in body ? body.page : null;
  return typeof page === 'object' && page !== null && 'next' in page && typeof page.next === 'string' ? page.next : null;
}

function get(database: BenchDatabase, side: Side, path: string, token = database.token): HttpRequest {
  return { method: 'GET', path, headers: isOurs(side) ? { authorization: `Bearer ${token}` } : {} };
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
      const pairs = combinations(TYPES, STATES);
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
    name: 'page 1,000',
    limits: ['first'],
    once: false,
    requests: async (database, side, url) => {
      const path = `/api/v1/records/Provider?${query({ fields: LISTED, sort: 'nextVisitDueOn' })}`;
      const cursor = side === 'first' ? '' : `&cursor=${encodeURIComponent(await cursorOfPage(database, url, path))}`;
      return [get(database, side, `${path}${cursor}&limit=${String(PAGE)}`)];
    },
  },
  {
    name: 'count with a filter',
    limits: ['limit'],
    once: false,
    requests: (database, side) =>
      Promise.resolve(
        combinations(TYPES, STATES).map(([type, state]) => {
          if (side !== 'ours') return get(database, side, `/count?${query({ type, state })}`);
          const body = { filter: `type == '${type}' && practiceState == '${state}'`, measures: [{ as: 'count', op: 'count' }] };
          return write(database, side, 'POST', '/api/v1/records/Provider/aggregate', body);
        }),
      ),
  },
  {
    name: 'contains on an indexed field',
    limits: ['limit'],
    once: false,
    requests: (database, side) =>
      Promise.resolve(
        Array.from({ length: 20 }, (_, at) => {
          const part = `r${String(at * 7 + 100)}@`;
          const ours = `/api/v1/records/Provider?${query({ filter: `email.contains('${part}')`, fields: LISTED, sort: 'nextVisitDueOn' })}`;
          return get(database, side, side === 'ours' ? ours : `/containing?${query({ part })}`);
        }),
      ),
  },
  {
    name: 'aggregate in groups',
    limits: ['limit'],
    once: false,
    requests: (database, side) => {
      const measures = [
        { as: 'count', op: 'count' },
        { as: 'last', op: 'max', field: 'nextVisitDueOn' },
      ];
      const body = { groupBy: ['type', 'practiceState'], measures };
      return Promise.resolve([side === 'ours' ? write(database, side, 'POST', '/api/v1/records/Provider/aggregate', body) : get(database, side, '/groups')]);
    },
  },
  {
    name: 'search of a rare term',
    limits: ['limit'],
    once: false,
    requests: async (database, side) => {
      // One record each: a family name and the word that stands in the name of one record only.
      const found = await rows(database.db, sql`select name from bench.provider order by md5(id::text) limit 500`);
      return found.map((row) => {
        const q = String(row['name']).split(' ').slice(1).join(' ');
        return get(database, side, side === 'ours' ? `/api/v1/search?${query({ q, objects: 'Provider' })}` : `/search?${query({ q: q.toLowerCase() })}`);
      });
    },
  },
  {
    name: 'list of the 1 % that is seen',
    limits: ['limit'],
    once: false,
    requests: (database, side) => {
      const ours = `/api/v1/records/Provider?${query({ fields: LISTED, sort: 'nextVisitDueOn' })}`;
      return Promise.resolve([get(database, side, side === 'ours' ? ours : '/seen', database.sight.token)]);
    },
  },
  {
    name: 'count in the 1 % that is seen',
    limits: ['limit'],
    once: false,
    requests: (database, side) =>
      Promise.resolve(
        TYPES.map((type) => {
          if (side !== 'ours') return get(database, side, `/seen/count?${query({ type })}`);
          const body = { filter: `type == '${type}'`, measures: [{ as: 'count', op: 'count' }] };
          return write(database, side, 'POST', '/api/v1/records/Provider/aggregate', body, { authorization: `Bearer ${database.sight.token}` });
        }),
      ),
  },
  {
    name: 'search in the 1 % that is seen',
    limits: ['limit'],
    once: false,
    requests: async (database, side) => {
      const found = await rows(database.db, sql`select name from bench.provider where owner_id = ${database.sight.userId}::uuid order by id limit 200`);
      return found.map((row) => {
        const q = String(row['name']).split(' ').slice(1).join(' ');
        const ours = `/api/v1/search?${query({ q, objects: 'Provider' })}`;
        return get(database, side, side === 'ours' ? ours : `/seen/search?${query({ q: q.toLowerCase() })}`, database.sight.token);
      });
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
  return { method, path, headers: { ...own, ...headers, 'content-type': 'application/json' }, body: JSON.stringify(body) };
}
