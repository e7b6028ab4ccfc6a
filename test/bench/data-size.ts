import { rows, ident, run, sql, type Sql } from '../../src/platform/sql.ts';
import { indexBacklog } from '../../src/platform/record/search-backlog.sql.ts';
import { describeTimes, fillObject, objectOf, percentile, say, SCHEMA, timeRequests, withLargeDatabase, type LargeDatabase } from './large-database.ts';
import { loadavg } from 'node:os';

/** The most that 95 of 100 requests may take (`quality.md`, section 6, row 5). */
const LIMIT_MS = 150;
const PAGE = 50;
const FAR_PAGE = 1_000;
const EACH = 200;
const SYLLABLES = 'ba,be,bo,da,de,do,ga,gi,ka,ke,ki,ko,la,le,li,lo,ma,me,mi,mo,na,ne,ni,no,pa,pe,po,ra,re,ri,ro,sa,se,si,so,ta,te,ti,to,va'.split(',');

/** A whole number below `limit` that depends on the record and the field only. */
const pick = (field: number, limit: number): Sql => sql`(abs(hashint4extended(n, ${field}::bigint)) % ${limit}::int)`;
const choose = (list: readonly string[], field: number): Sql => sql`(${[...list]}::text[])[1 + ${pick(field, list.length)}]`;
const family = sql`initcap(${choose(SYLLABLES, 1)} || ${choose(SYLLABLES, 2)} || ${choose(SYLLABLES, 3)})`;
const given = choose(['Ana', 'Ben', 'Chloe', 'David', 'Elena', 'Farid', 'Grace', 'Hugo', 'Ines', 'Jonas', 'Kira', 'Liam', 'Mona', 'Nils'], 4);
const city = choose(['Springfield', 'Worcester', 'Boston', 'Lowell', 'Salem', 'Quincy', 'Pittsfield', 'Fall River'], 5);
const TYPES = ['pcp', 'specialist', 'behavioral-health', 'ancillary', 'ltss'];
const STATES = ['MA', 'RI', 'CT', 'NH'];

/** Providers that do not exist; their numbers look like NPIs but have no right check digit. */
const PROVIDER: Readonly<Record<string, Sql>> = {
  npi: sql`(1000000000 + n)::text`,
  name: sql`${given} || ' ' || ${family} || ' ' || n`,
  entityType: sql`'individual'::text`,
  type: choose(TYPES, 6),
  firstName: given,
  lastName: family,
  credential: sql`'MD'::text`,
  taxonomyCode: choose(['207Q00000X', '207R00000X', '208000000X', '207RC0000X', '101YM0800X', '225100000X'], 7),
  status: choose(['prospect', 'active'], 8),
  email: sql`'provider' || n || '@practice.example'`,
  phone: sql`'+1 413 555 ' || lpad(${pick(9, 10_000)}::text, 4, '0')`,
  practiceAddressLine1: sql`${pick(10, 900)} || ' Main Street'`,
  practiceCity: city,
  practiceState: choose(STATES, 11),
  practiceZip: sql`lpad(${pick(12, 3_000)}::text, 5, '0')`,
  practiceCounty: choose(['Hampden', 'Worcester', 'Suffolk', 'Middlesex', 'Essex', 'Norfolk', 'Berkshire', 'Bristol'], 13),
  nextVisitDueOn: sql`date '2026-01-01' + ${pick(14, 730)}::int`,
};

const FIELDS = 'npi,name,type,specialty,practiceCity,practiceState,nextVisitDueOn,phone';
const list = (parameters: Readonly<Record<string, string>>): string =>
  `/api/v1/records/Provider?${new URLSearchParams({ fields: FIELDS, limit: String(PAGE), ...parameters }).toString()}`;

/** Numbers spread over all records, the same in every run. */
const spread = (count: number, rowCount: number): readonly number[] =>
  Array.from({ length: count }, (_, index) => 1 + Math.floor((index * 0.618_033_988_75 * rowCount) % rowCount));

/** The boundary for a page of the product: its cursor, and how many records it holds. */
function pageOf(body: unknown): { readonly next: string | null; readonly size: number } {
  const page: unknown = typeof body === 'object' && body !== null && 'page' in body ? body.page : null;
  const next: unknown = typeof page === 'object' && page !== null && 'next' in page ? page.next : null;
  const data: unknown = typeof body === 'object' && body !== null && 'data' in body ? body.data : null;
  if (!Array.isArray(data)) throw new Error(`This is no page: ${JSON.stringify(body).slice(0, 200)}`);
  return { next: typeof next === 'string' ? next : null, size: data.length };
}

/** Walks to a page as a reader does who turns them one by one. @throws Error where there are not so many */
async function cursorOf(large: LargeDatabase, path: string, page: number): Promise<string> {
  let cursor = '';
  for (let turned = 1; turned < page; turned += 1) {
    const answer = await fetch(`${large.url}${path}${cursor}`, { headers: { authorization: `Bearer ${large.token}` } });
    const { next, size } = pageOf(await answer.json());
    if (next === null || size !== PAGE) throw new Error(`Page ${String(turned)} is the last one.`);
    cursor = `&cursor=${encodeURIComponent(next)}`;
  }
  return cursor;
}

/** The entries that were filled by SQL are the ones that the product makes of the same records. @throws Error otherwise */
async function checkEntries({ db, model }: LargeDatabase): Promise<void> {
  const entries = sql`select record_id::text as id, keys from ${ident(SCHEMA, 'search_entry')} where record_id = any(
    select id from ${ident(SCHEMA, objectOf(model, 'Provider').table)} order by id limit 500) order by 1`;
  const filled = await rows(db, entries);
  await run(
    db,
    sql`insert into ${ident(SCHEMA, 'search_backlog')} (object, record_ids) select 'Provider', array_agg(x.id) from (
      select id from ${ident(SCHEMA, objectOf(model, 'Provider').table)} order by id limit 500) as x`,
  );
  while ((await indexBacklog(db, model)) > 0);
  const made = await rows(db, entries);
  if (filled.length !== 500 || JSON.stringify(filled) !== JSON.stringify(made))
    throw new Error(`The product makes other search entries: ${JSON.stringify(made[0])}, not ${JSON.stringify(filled[0])}`);
}

const count = Number(process.argv[2] ?? 100_000);
await withLargeDatabase(
  ['network'],
  (db, model) => fillObject(db, objectOf(model, 'Provider'), count, PROVIDER),
  async (large) => {
    await checkEntries(large);
    const numbers = spread(EACH, count);
    const prefix = (index: number): string => `${SYLLABLES[index % 40] ?? ''}${SYLLABLES[Math.floor(index / 40) % 40] ?? ''}`;
    const sorted = list({ sort: 'nextVisitDueOn' });
    const far = await cursorOf(large, sorted, FAR_PAGE);
    const names = await rows(
      large.db,
      sql`select name_n from (select ${ident(objectOf(large.model, 'Provider').fields.get('name')?.column ?? '')} as name_n
        from ${ident(SCHEMA, objectOf(large.model, 'Provider').table)} order by id limit ${EACH}) as x`,
    );
    const works: Readonly<Record<string, readonly string[]>> = {
      'list, page 1, by an indexed day': numbers.map(() => sorted),
      'list, page 1,000': numbers.map(() => `${sorted}${far}`),
      'list with two conditions, by an indexed day': numbers.map((n) =>
        list({ filter: `type == '${TYPES[n % 5] ?? ''}' && practiceState == '${STATES[n % 4] ?? ''}'`, sort: 'nextVisitDueOn' }),
      ),
      'list of one ZIP code': numbers.map((n) => list({ filter: `practiceZip == '${String(n % 3_000).padStart(5, '0')}'`, sort: 'nextVisitDueOn' })),
      'one by NPI': numbers.map((n) => list({ filter: `npi == '${String(1_000_000_000 + n)}'` })),
      'list searched by the beginning of a family name (4 letters)': numbers.map((n) => list({ search: prefix(n), sort: 'nextVisitDueOn' })),
      'list by name, the view that is shown first': numbers.map(() => list({ sort: 'name' })),
      'list by name with a condition, a view': numbers.map(() => list({ sort: 'name', filter: "status == 'active'" })),
      'list by name that begins with a text': numbers.map((n) => {
        const syllable = SYLLABLES[n % 40] ?? '';
        return list({ sort: 'name', filter: `name.startsWith('Ana ${syllable.charAt(0).toUpperCase()}${syllable.slice(1)}')` });
      }),
      'search by a family name': names.map((row) => `/api/v1/search?q=${encodeURIComponent(String(row['name_n']).split(' ')[1] ?? '')}&objects=Provider`),
      'search by given and family name': names.map(
        (row) => `/api/v1/search?q=${encodeURIComponent(String(row['name_n']).split(' ').slice(0, 2).join(' '))}&objects=Provider`,
      ),
      'search by the beginning of an e-mail address': numbers.map((n) => `/api/v1/search?q=${encodeURIComponent(`provider${String(n)}@`)}&objects=Provider`),
    };
    const only = process.env['DATA_SIZE_ONLY'];
    const slow: string[] = [];
    const medians = new Map<string, number>();
    for (const [name, paths] of Object.entries(works)) {
      if (only !== undefined && !new RegExp(only).test(name)) continue;
      await timeRequests(large, paths.slice(0, 5));
      const times = await timeRequests(large, paths);
      medians.set(name, percentile(times, 0.5));
      if (percentile(times, 0.95) > LIMIT_MS) slow.push(name);
      process.stdout.write(`${describeTimes(name, times)}\n`);
    }
    const [first = 0, last = 0] = [medians.get('list, page 1, by an indexed day'), medians.get('list, page 1,000')];
    process.stdout.write(
      `page 1,000 takes ${(last / first).toFixed(2)} of page 1; ${String(count)} providers; load average ${loadavg()[0]?.toFixed(1) ?? ''}\n`,
    );
    say(slow.length === 0 ? `All p95 are within ${String(LIMIT_MS)} ms.` : `Above ${String(LIMIT_MS)} ms: ${slow.join('; ')}.`);
  },
);
