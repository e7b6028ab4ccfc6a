import { createReadStream } from 'node:fs';
import { createServer } from 'node:http';
import { pipeline } from 'node:stream/promises';
import express from 'express';
import pg from 'pg';
import { from as copyFrom } from 'pg-copy-streams';
import { serve } from './child.ts';
import { SIGHT_IDS } from './sight.ts';

/**
 * "The limit": what express and pg can do at most. One named prepared statement a route; no metadata, permissions,
 * validation or audit. Dates and numbers stay the text that PostgreSQL sends, which is the cheapest.
 */
for (const oid of [20, 1082, 1114, 1184, 1700]) pg.types.setTypeParser(oid, (text: string) => text);

/** The boundary for the lists of columns, which the benchmark reads from the measured tables. */
function columnsOf(name: string): readonly string[] {
  const list: unknown = JSON.parse(process.env[name] ?? '[]');
  if (!Array.isArray(list)) throw new TypeError(`${name} is not a list.`);
  return list.map(String);
}

const quoted = (columns: readonly string[], alias: string, prefix = ''): string =>
  columns.map((column) => `${alias}."${column}"${prefix === '' ? '' : ` as "${prefix}${column}"`}`).join(', ');

const PROVIDER = columnsOf('LIMIT_PROVIDER');
const LISTED = ['id', 'version', 'npi', 'name', 'type', 'specialty', 'practiceCity', 'practiceState', 'nextVisitDueOn', 'phone'];
const LISTED_VISITS = ['id', 'version', 'number', 'channel', 'purpose', 'dueOn', 'status', 'heldOn', 'nextVisitOn', 'provider'];

/** The county is computed when it is read, as in the product: the one entered, else that of the ZIP code. */
const COUNTY = (alias: string): string =>
  `coalesce(${alias}."practiceCounty", (select z.county from bench.zip_code z where z.id = ${alias}."practiceZipCode" and z.deleted_at is null))`;
const READ = `select ${quoted(PROVIDER, 't')}, ${COUNTY('t')} as county from bench.provider t where t.id = $1 and t.deleted_at is null`;
const LIST = `select ${quoted(LISTED, 't')} from bench.provider t
  where t.deleted_at is null and t.type = $1 and t."practiceState" = $2 and t."nextVisitDueOn" is not null order by t."nextVisitDueOn", t.id limit 50`;
const VISITS = `select ${quoted(LISTED_VISITS, 'v')}, ${quoted(PROVIDER, 'p', 'p$')}, ${COUNTY('p')} as p$county from bench.visit v left join bench.provider p on p.id = v.provider and p.deleted_at is null
  where v.deleted_at is null and v.channel = $1 and v.purpose = $2 and v."dueOn" is not null order by v."dueOn", v.id limit 50`;
const CONTAINING = `select ${quoted(LISTED, 't')} from bench.provider t
  where t.deleted_at is null and t.email like '%' || $1 || '%' and t."nextVisitDueOn" is not null order by t."nextVisitDueOn", t.id limit 50`;
const COUNT = `select count(*)::int as count from bench.provider t where t.deleted_at is null and t.type = $1 and t."practiceState" = $2`;
/** For the caller who sees one provider in a hundred. */
const CALLER = process.env['LIMIT_CALLER'];
const SEEN = `t.id in (${SIGHT_IDS})`;
const SEEN_LIST = `select ${quoted(LISTED, 't')} from bench.provider t
  where t.deleted_at is null and t."nextVisitDueOn" is not null and ${SEEN} order by t."nextVisitDueOn", t.id limit 50`;
const SEEN_COUNT = `select count(*)::int as count from bench.provider t where t.deleted_at is null and t.type = $2 and ${SEEN}`;
const SEEN_SEARCH = `select t.id, t.name from bench.provider_name t where t.keys like $2 and ${SEEN} limit 20`;
const GROUPS = `select t.type, t."practiceState", count(*)::int as count, max(t."nextVisitDueOn") as last from bench.provider t
  where t.deleted_at is null group by t.type, t."practiceState" order by t.type, t."practiceState"`;
const SEARCH = `select id, name from bench.provider_name where keys like $1 limit 20`;
const INSERTED = PROVIDER.filter((column) => !['version', 'deleted_at'].includes(column));
const INSERT = `insert into bench.provider (${INSERTED.map((column) => `"${column}"`).join(', ')})
  values (${INSERTED.map((_, index) => `$${String(index + 1)}`).join(', ')}) returning ${PROVIDER.map((column) => `"${column}"`).join(', ')}`;
const UPDATE = `update bench.provider t set phone = $2, updated_at = now(), version = t.version + 1 where t.id = $1 and t.version = $3 returning ${quoted(PROVIDER, 't')}`;
/** The same beside a history row and an event row, which every write of the product makes. */
const BESIDE = `, h as (insert into bench.history (record_id, version, at, changes) select id, version, now(), $0::jsonb from w),
  o as (insert into bench.outbox (record_id, kind, body) select id, 'written', $0::jsonb from w) select * from w`;
const logged = (statement: string, count: number): string => `with w as (${statement})${BESIDE.replaceAll('$0', `$${String(count + 1)}`)}`;
const INSERT_LOGGED = logged(INSERT, INSERTED.length);
const UPDATE_LOGGED = logged(UPDATE, 3);

await serve(async () => {
  const pool = new pg.Pool({ connectionString: process.env['DATABASE_URL'], max: 10, options: '-c timezone=UTC' });
  const app = express();
  app.disable('etag');
  app.disable('x-powered-by');
  app.use(express.json());

  app.get('/providers/:id', async (request, response) => {
    const { rows } = await pool.query({ name: 'read', text: READ, values: [request.params.id] });
    response.json({ data: rows[0] });
  });
  app.get('/providers', async (request, response) => {
    const { rows } = await pool.query({ name: 'list', text: LIST, values: [request.query['type'], request.query['state']] });
    response.json({ data: rows });
  });
  app.get('/visits', async (request, response) => {
    const { rows } = await pool.query<Record<string, unknown>>({ name: 'visits', text: VISITS, values: [request.query['channel'], request.query['purpose']] });
    response.json({ data: rows.map(withProvider) });
  });
  app.get('/containing', async (request, response) => {
    const { rows } = await pool.query({ name: 'containing', text: CONTAINING, values: [request.query['part']] });
    response.json({ data: rows });
  });
  app.get('/count', async (request, response) => {
    const { rows } = await pool.query({ name: 'count', text: COUNT, values: [request.query['type'], request.query['state']] });
    response.json({ data: rows });
  });
  app.get('/groups', async (_, response) => {
    const { rows } = await pool.query({ name: 'groups', text: GROUPS });
    response.json({ data: rows });
  });
  app.get('/search', async (request, response) => {
    const { rows } = await pool.query({ name: 'search', text: SEARCH, values: [`%${String(request.query['q'])}%`] });
    response.json({ data: rows });
  });
  app.get('/seen', async (_, response) => {
    const { rows } = await pool.query({ name: 'seen', text: SEEN_LIST, values: [CALLER] });
    response.json({ data: rows });
  });
  app.get('/seen/count', async (request, response) => {
    const { rows } = await pool.query({ name: 'seen-count', text: SEEN_COUNT, values: [CALLER, request.query['type']] });
    response.json({ data: rows });
  });
  app.get('/seen/search', async (request, response) => {
    const { rows } = await pool.query({ name: 'seen-search', text: SEEN_SEARCH, values: [CALLER, `%${String(request.query['q'])}%`] });
    response.json({ data: rows });
  });
  for (const [path, insert, update] of [
    ['/providers', INSERT, UPDATE],
    ['/logged', INSERT_LOGGED, UPDATE_LOGGED],
  ] as const) {
    const isLogged = path === '/logged';
    app.post(path, async (request, response) => {
      const body = valuesOf(request.body);
      const at = new Date().toISOString();
      const system: Readonly<Record<string, unknown>> = { id: crypto.randomUUID(), created_at: at, created_by: 'limit', updated_at: at, updated_by: 'limit' };
      const values = INSERTED.map((column) => system[column] ?? body[column] ?? null);
      const { rows } = await pool.query({ name: `insert${path}`, text: insert, values: isLogged ? [...values, JSON.stringify(body)] : values });
      response.status(201).json({ data: rows[0] });
    });
    app.patch(`${path}/:id`, async (request, response) => {
      const body = valuesOf(request.body);
      const version = Number(/\d+/.exec(request.get('if-match') ?? '')?.[0]);
      const values = [request.params.id, body['phone'], version];
      const { rows } = await pool.query({ name: `update${path}`, text: update, values: isLogged ? [...values, JSON.stringify(body)] : values });
      response.status(rows.length === 0 ? 412 : 200).json({ data: rows[0] });
    });
  }

  const server = createServer(app);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (typeof address !== 'object' || address === null) throw new Error('The server has no port.');
  return {
    url: `http://127.0.0.1:${String(address.port)}`,
    importFile: async (object, file) => {
      const client = await pool.connect();
      try {
        const target = client.query(copyFrom(`copy bench.${object.toLowerCase()} from stdin`));
        await pipeline(createReadStream(file), target);
        return target.rowCount;
      } finally {
        client.release();
      }
    },
    stop: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      await pool.end();
    },
  };
});

/** The boundary for a body, as trusting as hand-written code tends to be. */
function valuesOf(body: unknown): Readonly<Record<string, unknown>> {
  return typeof body === 'object' && body !== null ? { ...body } : {};
}

function withProvider(row: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  const visit: Record<string, unknown> = {};
  const provider: Record<string, unknown> = {};
  for (const column of LISTED_VISITS) visit[column] = row[column];
  for (const column of PROVIDER) provider[column] = row[`p$${column}`];
  provider['county'] = row['p$county'];
  visit['expanded'] = { provider };
  return visit;
}
