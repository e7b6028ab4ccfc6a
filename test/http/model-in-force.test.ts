import { expect } from 'chai';
import { loadConfig } from '../../src/config.ts';
import { EXTENSIONS, metadataDirectories } from '../../src/extensions.ts';
import { makeApp } from '../../src/main.ts';
import { inTransaction } from '../../src/platform/db.ts';
import { makeLog } from '../../src/platform/log.ts';
import { loadMetadata } from '../../src/platform/metadata/load.ts';
import type { FieldSchema, ObjectFile } from '../../src/platform/metadata/types.ts';
import { makeModelStore } from '../../src/platform/schema/store.ts';
import { platformTable, rows, sql } from '../../src/platform/sql.ts';
import { at, clientOf, startTestApp, type Client, type TestApp } from '../support/app.ts';

const garden = (properties: Readonly<Record<string, FieldSchema>>, more: Partial<ObjectFile> = {}): ObjectFile => ({
  title: 'Garden',
  'x-object': { id: 'gardengn0001', plural: 'Gardens', name: 'Garden' },
  type: 'object',
  properties: { twin: { type: 'string', format: 'uuid', 'x-id': 'gardentw0001', 'x-ref': { to: 'Garden' } }, ...properties },
  ...more,
});

describe('a process that does not know yet what another put in force', () => {
  let test: TestApp;
  let behind: Client;
  const set = loadMetadata(metadataDirectories([]));

  before(async () => {
    test = await startTestApp();
  });
  after(() => test.stop());

  it('writes by the new metadata all the same', async () => {
    const config = { ...loadConfig({ PORT: '0' }, '/nowhere'), databaseUrl: test.app.config.databaseUrl };
    const second = makeApp(config, { log: makeLog('silent') });
    const { url } = await second.start({ web: true, work: false });
    behind = clientOf(url ?? '', (await test.caller('administrator')).token);
    try {
      // The second process is asked right before the version: it then holds the old one for a second.
      const store = makeModelStore({
        db: test.app.db,
        clock: test.app.clock,
        extensions: EXTENSIONS,
        faults: (point) => {
          if (point === 'schema.before_version') warmed = second.store.current();
        },
      });
      let warmed: Promise<unknown> = second.store.current();
      const put = async (file: ObjectFile): Promise<void> => {
        await store.apply({ ...set, objects: new Map([...set.objects, ['Garden', file]]) }, 'test');
        await warmed;
      };
      const post = (values: Readonly<Record<string, unknown>>) => behind('POST', '/api/v1/records/Garden', values);

      const name: FieldSchema = { type: 'string', 'x-id': 'gardennm0001' };
      await put(garden({ name }));
      const first = await post({ name: 'Rosary' });
      expect(first.status, first.text).to.equal(201);
      const id = String(at(first.body, 'data.id'));
      // The heartbeat waits for this row, and so does not bring the second process up to date.
      await inTransaction(test.app.db, async (tx) => {
        await rows(tx, sql`select from ${platformTable(tx, 'process')} for update`);

        await put(garden({ name, area: { type: 'integer', 'x-id': 'gardenar0001', minimum: 1 } }));
        const added = await post({ name: 'Orchard', area: 12 });
        expect([added.status, at(added.body, 'data.area')], added.text).to.deep.equal([201, 12]);

        await put(garden({ title: name, area: { type: 'integer', 'x-id': 'gardenar0001', minimum: 100 } }));
        const wrong = await post({ title: 'Meadow', area: 12 });
        expect([wrong.status, at(wrong.body, 'errors.0.pointer')], wrong.text).to.deep.equal([422, '/area']);

        await put(garden({ title: name, area: { type: 'integer', 'x-id': 'gardenar0001', minimum: 5 } }, { description: 'More than four.' }));
        const changed = await behind('PATCH', `/api/v1/records/Garden/${id}`, { title: 'Moor', twin: id, area: 6 }, { 'If-Match': '"v1"' });
        expect([changed.status, at(changed.body, 'data.title')], changed.text).to.deep.equal([200, 'Moor']);

        await put(garden({ title: name, area: { type: 'integer', 'x-id': 'gardenar0001', minimum: 2 } }, { description: 'More than one.' }));
        const each = { mode: 'each', items: [3, 1, 12].map((area) => ({ op: 'create', values: { title: 'Copse', area } })) };
        const bulk = await behind('POST', '/api/v1/records/Garden/bulk', each);
        expect([bulk.status, ...[0, 1, 2].map((index) => at(bulk.body, `data.${String(index)}.status`))], bulk.text).to.deep.equal([207, 201, 422, 201]);

        await put(garden({ title: name }));
        const hidden = await behind('POST', '/api/v1/records/Garden', { title: 'Heath', area: 12 }, { 'Idempotency-Key': 'once' });
        expect([hidden.status, at(hidden.body, 'errors.0.pointer')], hidden.text).to.deep.equal([422, '/area']);
        const kept = await behind('POST', '/api/v1/records/Garden', { title: 'Heath' }, { 'Idempotency-Key': 'twice' });
        expect(kept.status, kept.text).to.equal(201);

        await store.apply(set, 'test');
        expect((await post({ title: 'Fen' })).status).to.equal(404);
      });
    } finally {
      await second.stop();
    }
  });
});
