import { expect } from 'chai';
import { withCheckDigit } from '../../src/network/npi/npi.ts';
import { metadataDirectories } from '../../src/extensions.ts';
import { loadMetadata } from '../../src/platform/metadata/load.ts';
import { ident, joinSql, rows, sql } from '../../src/platform/sql.ts';
import { objectFile } from '../platform/schema/builders.ts';
import { staffSet } from '../platform/query/support.ts';
import { at, startTestApp, type Answer, type Client, type TestApp } from '../support/app.ts';

const NOBODY = '00000000-0000-7000-8000-000000000000';
const ROOT = '/api/v1/records';
/** Ids of each table that are tried at each address. */
const OF_EACH = 4;

interface Operation {
  readonly method: string;
  readonly path: string;
}

const members = (value: unknown): readonly (readonly [string, unknown])[] => (typeof value === 'object' && value !== null ? Object.entries(value) : []);

/** A body of the shape of the address, that names this record where it names one. */
function bodyFor({ method, path }: Operation, id: string): unknown {
  if (method === 'get' || method === 'delete') return undefined;
  if (path.endsWith('/bulk')) return { mode: 'each', items: [{ op: 'delete', id, version: 1 }] };
  if (path.endsWith('/merge')) return { sources: [{ id, version: 1 }] };
  if (path.endsWith('/aggregate')) return { filter: `id == '${id}'`, measures: [{ as: 'n', op: 'count' }] };
  if (path.endsWith('/query')) return { filter: `id == '${id}'` };
  if (path.includes('/signing/')) return { name: 'Me', consent: true, seenHash: null };
  return path.startsWith(ROOT) && !path.includes('/transitions/') ? { name: 'Mine' } : {};
}

describe('ids of others', function () {
  this.timeout(300_000);
  let test: TestApp;
  let bert: Client;
  let anna: Awaited<ReturnType<TestApp['caller']>>;

  before(async () => {
    test = await startTestApp();
    const shipped = loadMetadata(metadataDirectories([]));
    const all = { where: 'ownerId == user' };
    const own = { read: all, create: true, update: all, delete: all, merge: true };
    const purse = objectFile('Purse', {
      name: { type: 'string', 'x-search': true },
      other: { type: 'string', format: 'uuid', 'x-ref': { to: 'Purse', as: 'others' } },
    });
    const holder = staffSet('holder', { Purse: own, Lead: own, Case: own, Task: own, Document: own, Application: own, Contract: own, Message: own });
    await test.app.store.apply(
      { ...shipped, objects: new Map([...shipped.objects, ['Purse', purse]]), permissions: new Map([...shipped.permissions, ['holder', holder]]) },
      'test',
    );
    await test.app.store.load();
    bert = await test.caller('administrator');
    anna = await test.caller('holder');
    const make = async (object: string, values: unknown): Promise<string> => {
      const made = await bert('POST', `${ROOT}/${object}`, values);
      expect(made.status, made.text).to.equal(201);
      return String(at(made.body, 'data.id'));
    };
    const purse1 = await make('Purse', { name: 'Purse of Bert' });
    await make('Purse', { name: 'Another', other: purse1 });
    const gone = await make('Purse', { name: 'In the trash' });
    expect((await bert('DELETE', `${ROOT}/Purse/${gone}`, undefined, { 'if-match': '"v1"' })).status).to.be.oneOf([200, 204]);
    await make('Lead', { entityType: 'individual', firstName: 'Ada', lastName: 'Alder', source: 'nppes', npi: withCheckDigit('123456789') });
    const application = await make('Application', { providerType: 'pcp', entityType: 'individual', email: 'a@practice.example' });
    const upload = await bert('POST', '/api/v1/files?name=a.txt', 'words', { 'content-type': 'text/plain' });
    expect(upload.status, upload.text).to.equal(201);
    await make('Document', { application, type: 'other', file: String(at(upload.body, 'data.id')) });
    await make('Task', { subject: 'Call back', queue: 'recruiting' });
  });
  after(() => test.stop());

  /** All tables but the one in which a process says by the second that it lives. */
  async function tables(): Promise<readonly string[]> {
    const found = await rows(
      test.app.db,
      sql`select table_name as name from information_schema.tables where table_schema = 'credenza' and table_type = 'BASE TABLE' and table_name <> 'process' order by 1`,
    );
    return found.map((row) => String(row['name']));
  }

  /** A hash of the rows of each table, by its name. */
  async function hashes(names: readonly string[]): Promise<Readonly<Record<string, unknown>>> {
    const [row] = await rows(
      test.app.db,
      sql`select ${joinSql(names.map((name) => sql`(select md5(coalesce(string_agg(md5(t::text), '' order by md5(t::text)), '')) from ${ident('credenza', name)} t) as ${ident(name)}`))}`,
    );
    return row ?? {};
  }

  it('are answered as ids of nobody, at every address of the OpenAPI document, and change nothing', async () => {
    const names = await tables();
    const withIds = await rows(
      test.app.db,
      sql`select table_name as name from information_schema.columns where table_schema = 'credenza' and column_name = 'id' and data_type = 'uuid' order by 1`,
    );
    const ids: { readonly id: string; readonly table: string }[] = [];
    for (const { name } of withIds) {
      const found = await rows(
        test.app.db,
        sql`select id::text as id from ${ident('credenza', String(name))} t where position(${anna.userId}::text in t::text) = 0 order by id limit ${OF_EACH}::int`,
      );
      ids.push(...found.map((row) => ({ id: String(row['id']), table: String(name) })));
    }
    const users = (await test.app.store.current()).objects.get('User')?.table ?? '';
    const document = (await anna('GET', '/api/v1/openapi.json')).body;
    const operations = members(at(document, 'paths'))
      .flatMap(([path, item]) => members(item).map(([method]) => ({ method, path })))
      .filter(({ path }) => (path.includes('{') || /\/(bulk|query|aggregate)$/.test(path)) && !/sign-out$/.test(path));
    const call = (operation: Operation, id: string): Promise<Answer> => {
      const path = operation.path.replaceAll('{object}', 'Purse').replaceAll(/\{\w+\}/g, id);
      return anna(operation.method.toUpperCase(), path, bodyFor(operation, id), { 'if-match': '"v1"' });
    };
    const mine = await anna('POST', `${ROOT}/Purse`, { name: 'Purse of Anna' });
    expect((await anna('GET', `${ROOT}/Purse/${String(at(mine.body, 'data.id'))}`)).status, 'her own is found').to.equal(200);
    const before = await hashes(names);
    const wrong: string[] = [];
    let calls = 0;
    const statuses = new Map<number, number>();
    for (const operation of operations) {
      const plain = (answer: Answer, id: string): string =>
        `${String(answer.status)} ${answer.text.replaceAll(id, '*').replaceAll(/"requestId":"[^"]*"/g, '')}`;
      const unknown = plain(await call(operation, NOBODY), NOBODY);
      for (const { id, table } of ids) {
        // Colleagues have names, which all staff may read.
        if (table === users && operation.path.startsWith(`${ROOT}/User`)) continue;
        const answer = await call(operation, id);
        calls += 1;
        statuses.set(answer.status, (statuses.get(answer.status) ?? 0) + 1);
        if (plain(answer, id) !== unknown)
          wrong.push(`${operation.method} ${operation.path} ${id}: ${plain(answer, id).slice(0, 300)} instead of ${unknown.slice(0, 200)}`);
      }
    }
    const after = await hashes(names);
    const said = [...statuses].sort(([a], [b]) => a - b).map(([status, count]) => `${String(count)} of ${String(status)}`);
    process.stdout.write(
      `      ${String(operations.length)} addresses, ${String(ids.length)} ids, ${String(calls)} calls: ${said.join(', ')}; ${String(names.length)} tables unchanged\n`,
    );
    expect([...statuses.keys()].filter((status) => status === 401 || status >= 500)).to.deep.equal([]);
    expect(wrong).to.deep.equal([]);
    expect(names.filter((name) => before[name] !== after[name])).to.deep.equal([]);
  });
});
