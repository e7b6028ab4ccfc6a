import { expect } from 'chai';
import { isAppError } from '../../../src/platform/errors.ts';
import { readRowRights } from '../../../src/platform/access/row-rights.sql.ts';
import type { Model } from '../../../src/platform/model/types.ts';
import { makeReader } from '../../../src/platform/query/reader.ts';
import type { AggregateQuery } from '../../../src/platform/query/types.ts';
import { ident, run, sql } from '../../../src/platform/sql.ts';
import { makeTestDatabase, TEST_SCHEMA, type TestDatabase } from '../../support/database.ts';
import { ANNA, BERT, context, createTables, id, insert, smallModel, smallSet, staffSet, system, user } from './support.ts';

const SETS = [
  staffSet('reader', { Shop: { read: true } }),
  staffSet('listed', { Shop: { read: true, fields: ['name', 'rank'] } }),
  staffSet('own', {
    Shop: { read: { where: 'ownerId == user' }, update: { where: 'ownerId == user' }, fields: ['*', 'secret'], writes: ['name'], transitions: ['*'] },
  }),
  staffSet('own-list', { Shop: { read: { where: 'ownerId == user' }, fields: ['name', 'rank'] } }),
  staffSet('code-of-open', { Shop: { read: { where: 'isOpen == true' }, fields: ['name', 'code'] } }),
  staffSet('orders', { Order: { read: true } }),
  {
    name: 'visitor',
    label: 'Visitor',
    audience: 'portal' as const,
    objects: { Shop: { read: { where: 'id == subject' } }, Order: { read: { where: 'shop == subject' } } },
  },
];

describe('aggregate, search, history and names', () => {
  const reader = makeReader();
  let database: TestDatabase;
  let model: Model;

  before(async () => {
    model = smallModel(SETS, smallSet(SETS));
    database = await makeTestDatabase();
    await createTables(database.db, model);
    const { db } = database;
    await insert(db, model, 'Shop', {
      id: id(1),
      name: 'Nordwind',
      stage: 'new',
      code: 'north',
      turnover: '0.1',
      secret: 'gold',
      rank: 1,
      opened: '2024-01-01',
      isOpen: true,
      ownerId: ANNA,
    });
    await insert(db, model, 'Shop', {
      id: id(2),
      name: 'Nordlicht',
      stage: 'won',
      code: 'light',
      turnover: '0.2',
      secret: 'silver',
      rank: 2,
      opened: '2024-01-02',
      isOpen: false,
      ownerId: ANNA,
    });
    await insert(db, model, 'Shop', {
      id: id(3),
      name: 'Südwind',
      stage: 'won',
      code: 'nordisch',
      turnover: '12345678901234567890.5',
      rank: 2,
      opened: '2023-12-31',
      isOpen: true,
      ownerId: BERT,
    });
    await insert(db, model, 'Shop', { id: id(4), name: 'Nord weg', stage: 'won', rank: 100, ownerId: ANNA, deletedAt: '2026-01-01T00:00:00Z' });
    await insert(db, model, 'Order', { id: id(11), number: 'N-1 nord', shop: id(1), amount: '3' });
    await insert(db, model, 'Order', { id: id(12), number: 'N-2', shop: id(3), amount: '4' });
    await insert(db, model, 'Secretum', { id: id(21), text: 'nord secretum', shop: id(1) });
    await run(
      db,
      sql`insert into ${ident(TEST_SCHEMA, 'app_user')} (id, created_at, created_by, updated_at, updated_by, email, email_s, name, name_s, permission_sets)
          values (${ANNA}::uuid, now(), 'x', now(), 'x', 'anna@example.org', 'anna@example.org', 'Anna Admin', 'anna admin', '{}')`,
    );
  });
  after(() => database.drop());

  const failure = async (work: Promise<unknown>): Promise<string> => {
    try {
      await work;
    } catch (error) {
      if (isAppError(error)) return `${error.code}: ${error.message}`;
      throw error;
    }
    throw new Error('It did not fail.');
  };

  it('groups and measures exactly, over visible rows only', async () => {
    const query: AggregateQuery = {
      object: 'Shop',
      groupBy: ['stage'],
      measures: [
        { as: 'n', op: 'count' },
        { as: 'total', op: 'sum', field: 'turnover' },
        { as: 'mean', op: 'avg', field: 'turnover' },
        { as: 'first', op: 'min', field: 'opened' },
        { as: 'best', op: 'max', field: 'rank' },
      ],
    };
    expect(await reader.aggregate(database.db, system(model), query)).to.deep.equal({
      data: [
        { stage: 'new', n: 1, total: '0.1', mean: '0.1', first: '2024-01-01', best: 1 },
        { stage: 'won', n: 2, total: '12345678901234567890.7', mean: '6172839450617283945.35', first: '2023-12-31', best: 2 },
      ],
      more: false,
    });
    expect((await reader.aggregate(database.db, user(model, ['own']), { ...query, measures: query.measures.slice(0, 2) })).data).to.deep.equal([
      { stage: 'new', n: 1, total: '0.1' },
      { stage: 'won', n: 1, total: '0.2' },
    ]);
    expect(
      (await reader.aggregate(database.db, system(model), { object: 'Order', groupBy: ['shop'], filter: 'amount > 3', measures: [{ as: 'n', op: 'count' }] }))
        .data,
    ).to.deep.equal([{ shop: id(3), n: 1 }]);
    expect(
      (
        await reader.aggregate(database.db, system(model), {
          object: 'Shop',
          filter: 'rank > 50',
          measures: [
            { as: 'n', op: 'count' },
            { as: 's', op: 'sum', field: 'rank' },
          ],
        })
      ).data,
    ).to.deep.equal([{ n: 0, s: null }]);
  });

  it('refuses measures and groups that mean nothing', async () => {
    const count = [{ as: 'n', op: 'count' as const }];
    const wrong: readonly AggregateQuery[] = [
      { object: 'Shop', measures: [] },
      { object: 'Shop', measures: [{ as: 'n"; drop', op: 'count' }] },
      { object: 'Shop', measures: [...count, ...count] },
      { object: 'Shop', groupBy: ['stage'], measures: [{ as: 'stage', op: 'count' }] },
      { object: 'Shop', groupBy: ['stage', 'stage'], measures: count },
      { object: 'Shop', groupBy: ['tags'], measures: count },
      { object: 'Shop', measures: [{ as: 'x', op: 'sum', field: 'name' }] },
      { object: 'Shop', measures: [{ as: 'x', op: 'min', field: 'isOpen' }] },
      { object: 'Shop', measures: [{ as: 'x', op: 'sum' }] },
      { object: 'Shop', measures: count, limit: 0 },
    ];
    for (const query of wrong) expect(await failure(reader.aggregate(database.db, system(model), query)), JSON.stringify(query)).to.match(/^invalid_query/);
  });

  it('searches across the objects that the caller may read, those that begin with the text first', async () => {
    const hits = await reader.search(database.db, user(model, ['reader', 'orders']), 'nord');
    expect(hits).to.deep.equal([
      { object: 'Shop', id: id(1), name: 'Nordwind', matched: 'Nordwind' },
      { object: 'Shop', id: id(2), name: 'Nordlicht', matched: 'Nordlicht' },
      { object: 'Order', id: id(11), name: 'N-1 nord of Nordwind', matched: 'N-1 nord' },
      { object: 'Shop', id: id(3), name: 'Südwind', matched: 'nordisch' },
    ]);
    expect((await reader.search(database.db, user(model, ['own']), 'NORD')).map((hit) => hit.id)).to.deep.equal([id(1), id(2)]);
    expect((await reader.search(database.db, system(model), 'secretum')).map((hit) => hit.object)).to.deep.equal(['Secretum']);
    expect((await reader.search(database.db, system(model), 'sudwind', { objects: ['Shop'], limit: 1 })).map((hit) => hit.id)).to.deep.equal([id(3)]);
    expect(await reader.search(database.db, system(model), '  ')).to.deep.equal([]);
    const portal = context(model, { kind: 'portal', permissionSets: ['visitor'], subject: { object: 'Shop', id: id(3) }, linkId: id(5) });
    expect((await reader.search(database.db, portal, 'n')).map((hit) => hit.id)).to.deep.equal([id(12), id(3)]);
  });

  it('does not search where some searched field is hidden', async () => {
    const ctx = user(model, ['listed']);
    expect(await reader.search(database.db, ctx, 'nordisch')).to.deep.equal([]);
    expect(await failure(reader.list(database.db, ctx, { object: 'Shop', search: 'nordisch' }))).to.match(/^invalid_query: Shop cannot be searched/);
    const some = user(model, ['own-list', 'code-of-open', 'reader'].slice(0, 2));
    expect((await reader.list(database.db, some, { object: 'Shop' })).data.map((record) => record.id)).to.deep.equal([id(1), id(2), id(3)]);
    expect((await reader.search(database.db, some, 'n')).map((hit) => hit.id)).to.deep.equal([id(1), id(3)]);
    expect((await reader.list(database.db, some, { object: 'Shop', search: 'light' })).data).to.deep.equal([]);
    expect(await failure(reader.search(database.db, ctx, 'x', { objects: ['Secretum'] }))).to.equal(
      (await failure(reader.search(database.db, ctx, 'x', { objects: ['Sacretum'] }))).replace('Sacretum', 'Secretum'),
    );
  });

  it('keeps the fields of each set with the rows of that set', async () => {
    const ctx = user(model, ['own-list', 'code-of-open']);
    const { data } = await reader.list(database.db, ctx, { object: 'Shop', fields: ['code', 'rank', 'name'] });
    expect(data.map((record) => [record.id, record['code'], record['rank']])).to.deep.equal([
      [id(1), 'north', 1],
      [id(2), null, 2],
      [id(3), 'nordisch', null],
    ]);
    const rights = await readRowRights(database.db, user(model, ['listed', 'own']), 'Shop', [id(1), id(3), id(99)]);
    expect([...rights.keys()]).to.deep.equal([id(1), id(3)]);
    expect([...(rights.get(id(1))?.readable ?? [])]).to.include('secret');
    expect([...(rights.get(id(3))?.readable ?? [])]).not.to.include('secret');
    expect(rights.get(id(1))?.canUpdate).to.equal(true);
    expect(rights.get(id(3))?.canUpdate).to.equal(false);
    expect([...(rights.get(id(1))?.writable ?? [])]).to.deep.equal(['name']);
  });

  it('tells the history of a record without hidden fields', async () => {
    const shop = model.objects.get('Shop');
    const field = (name: string): string => shop?.fields.get(name)?.id ?? '';
    const write = (version: number, kind: string, actor: string, cause: object, changes: object) =>
      run(
        database.db,
        sql`insert into ${ident(TEST_SCHEMA, 'record_history')} (object_id, record_id, version, kind, at, actor, cause, reason, changes)
            values (${shop?.id}, ${id(1)}::uuid, ${version}, ${kind}, '2026-02-01T10:00:00.5Z'::timestamptz, ${actor}, ${JSON.stringify(cause)}::jsonb, null, ${JSON.stringify(changes)}::jsonb)`,
      );
    await write(1, 'created', ANNA, { kind: 'request', requestId: 'r1' }, {});
    await write(
      2,
      'updated',
      'system:worker',
      { kind: 'rule', rule: 'greet', run: 'x' },
      { [field('secret')]: [null, 'gold'], [field('rank')]: [null, 1], [field('name')]: ['Nord', 'Nordwind'], goneforever12: [1, 2] },
    );
    expect(await reader.history(database.db, user(model, ['reader']), 'Shop', id(1))).to.deep.equal([
      {
        record: id(1),
        version: 2,
        kind: 'updated',
        at: '2026-02-01T10:00:00.500Z',
        actor: { id: null, name: 'System (worker)' },
        cause: { kind: 'rule', rule: 'greet' },
        reason: null,
        changes: [
          { field: 'name', label: 'Name', from: 'Nord', to: 'Nordwind' },
          { field: 'rank', label: 'Rank', from: null, to: 1 },
        ],
      },
      {
        record: id(1),
        version: 1,
        kind: 'created',
        at: '2026-02-01T10:00:00.500Z',
        actor: { id: ANNA, name: 'Anna Admin' },
        cause: { kind: 'request' },
        reason: null,
        changes: [],
      },
    ]);
    const own = await reader.history(database.db, user(model, ['own']), 'Shop', id(1));
    expect(own[0]?.changes.map((change) => change.field)).to.deep.equal(['name', 'secret', 'rank']);
    const hidden = await failure(reader.history(database.db, user(model, ['own'], BERT), 'Shop', id(1)));
    expect(hidden).to.match(/^not_found/);
    expect(await failure(reader.history(database.db, user(model, ['own'], BERT), 'Shop', id(98)))).to.equal(hidden.replace(id(1), id(98)));
    expect(await failure(reader.history(database.db, user(model, ['reader']), 'Shop', id(4)))).to.match(/^not_found/);
    expect(await reader.history(database.db, system(model), 'Shop', id(4))).to.deep.equal([]);
  });

  it('names records, as far as they may be seen', async () => {
    expect([...(await reader.names(database.db, user(model, ['own']), 'Shop', [id(1), id(3), id(4), 'no id']))]).to.deep.equal([[id(1), 'Nordwind']]);
    expect([...(await reader.names(database.db, user(model, []), 'User', [ANNA]))]).to.deep.equal([[ANNA, 'Anna Admin']]);
    expect([...(await reader.names(database.db, user(model, ['own', 'orders']), 'Order', [id(12)]))]).to.deep.equal([[id(12), 'N-2 of']]);
    expect((await reader.names(database.db, context(model, { kind: 'guest' }), 'User', [ANNA])).size).to.equal(0);
    expect((await reader.list(database.db, user(model, []), { object: 'User', search: 'admin', fields: ['displayName'] })).data).to.deep.equal([
      { id: ANNA, version: 1, displayName: 'Anna Admin' },
    ]);
    expect(await failure(reader.list(database.db, user(model, []), { object: 'User', fields: ['email'] }))).to.match(/^invalid_query/);
  });

  it('counts as asked for', async () => {
    await run(database.db, sql`create table bulk as select n from generate_series(1, 1005) as n`);
    const shop = model.objects.get('Shop');
    await run(
      database.db,
      sql`insert into ${ident(TEST_SCHEMA, shop?.table ?? '')} (id, version, created_at, created_by, updated_at, updated_by, owner_id)
          select gen_random_uuid(), 1, now(), 'x', now(), 'x', ${BERT}::uuid from bulk`,
    );
    const all = user(model, ['reader']);
    const list = (ctx: typeof all, count: 'none' | 'capped' | 'estimate' | 'exact') => reader.list(database.db, ctx, { object: 'Shop', count, limit: 1 });
    expect((await list(all, 'none')).meta).to.deep.equal({});
    expect((await list(all, 'capped')).meta).to.deep.equal({ count: 1000, countIsCapped: true });
    expect((await list(all, 'exact')).meta).to.deep.equal({ count: 1008 });
    expect((await list(all, 'estimate')).meta.countIsEstimate).to.equal(true);
    expect((await list(user(model, ['own'], BERT), 'estimate')).meta).to.deep.equal({ count: 1000, countIsCapped: true });
    expect((await list(user(model, ['own']), 'estimate')).meta).to.deep.equal({ count: 2, countIsCapped: false });
  });
});
