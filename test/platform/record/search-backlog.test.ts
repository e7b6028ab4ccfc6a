import { expect } from 'chai';
import { makeReader } from '../../../src/platform/query/reader.ts';
import { makeRecordEngine } from '../../../src/platform/record/engine.ts';
import { hasSearchBacklog, indexBacklog } from '../../../src/platform/record/search-backlog.sql.ts';
import type { WriteItem } from '../../../src/platform/record/types.ts';
import { holds, rows, sql } from '../../../src/platform/sql.ts';
import { openTestPool } from '../../support/database.ts';
import { contextOf, makeLibrary, SYSTEM, type Library } from './fixtures/library.ts';

const COUNT = 600;

describe('search entries of a large batch', () => {
  let library: Library;
  const engine = makeRecordEngine();
  const context = () => contextOf(library, { principal: SYSTEM });
  const write = (items: readonly WriteItem[]) => library.db.transaction((tx) => engine.write(tx, context(), 'Book', items, { events: 'none' }));
  const found = async (text: string): Promise<readonly string[]> =>
    (await makeReader().search(library.db, context(), text, { objects: ['Book'] })).map(({ name }) => name);
  const entries = async (): Promise<number> => Number((await rows(library.db, sql`select count(*) as n from credenza.search_entry`))[0]?.['n']);

  before(async () => {
    library = await makeLibrary();
  });
  after(() => library.drop());

  it('are made by the worker; those of a small batch at once', async () => {
    const made = await write(Array.from({ length: COUNT }, (_, index) => ({ kind: 'create', values: { title: `Atlas volume ${String(index)}` } })));
    expect(made.filter(({ ok }) => ok)).to.have.length(COUNT);
    expect(await entries()).to.equal(0);
    await write([{ kind: 'create', values: { title: 'Herbarium' } }]);
    expect(await found('herbarium')).to.have.length(1);
    expect(await holds(library.db, hasSearchBacklog(library.db))).to.equal(true);
    expect(await indexBacklog(library.db, library.model)).to.equal(COUNT);
    expect(await holds(library.db, hasSearchBacklog(library.db))).to.equal(false);
    expect(await indexBacklog(library.db, library.model)).to.equal(0);
    expect(await entries()).to.equal(COUNT + 1);
    expect((await found('atlas volume 599'))[0]).to.match(/^Atlas volume 599/);
    const history = await rows(library.db, sql`select version, kind, changes, count(*)::int as n from credenza.record_history group by 1, 2, 3`);
    expect(history).to.deep.equal([{ version: 1, kind: 'created', changes: {}, n: COUNT + 1 }]);
    const audit = await rows(library.db, sql`select action, record_version, count(*)::int as n from credenza.audit_entry where object = 'Book' group by 1, 2`);
    expect(audit).to.deep.equal([{ action: 'create', record_version: 1, n: COUNT + 1 }]);
  });

  it('are those of the record as it stands when the worker comes to it', async () => {
    const books = await makeReader().list(library.db, context(), { object: 'Book', filter: "startsWith(title, 'Atlas')", sort: ['id'], limit: 500 });
    const more = await makeReader().list(library.db, context(), { object: 'Book', filter: "startsWith(title, 'Atlas')", sort: ['-id'], limit: 100 });
    const both = [...new Map([...books.data, ...more.data].map((book) => [book.id, book])).values()];
    await write(both.map(({ id }, index) => ({ kind: 'update', id, values: { title: `Codex ${String(index)}` } })));
    expect(await found('codex 7')).to.deep.equal([]);
    const [first, second] = both;
    await engine.writeOne(library.db, context(), 'Book', { kind: 'update', id: String(first?.id), values: { title: 'Palimpsest' } });
    await engine.writeOne(library.db, context(), 'Book', { kind: 'delete', id: String(second?.id) });
    expect(await found('palimpsest')).to.have.length(1);
    await indexBacklog(library.db, library.model);
    expect(await found('palimpsest')).to.have.length(1);
    expect(await found('codex 0')).to.not.include('Codex 0');
    expect(await entries()).to.equal(COUNT);
  });

  it('wait for a write in progress, which makes its own entry afterwards', async () => {
    await write(Array.from({ length: COUNT }, (_, index) => ({ kind: 'create', values: { title: `Folio ${String(index)}` } })));
    const [book] = (await makeReader().list(library.db, context(), { object: 'Book', filter: "title == 'Folio 3'" })).data;
    const other = openTestPool(library.url);
    try {
      let [release, say] = [(): void => undefined, (): void => undefined];
      const held = new Promise<void>((resolve) => (release = resolve));
      const written = new Promise<void>((resolve) => (say = resolve));
      const writing = other.transaction(async (tx) => {
        await engine.write(tx, context(), 'Book', [{ kind: 'update', id: String(book?.id), values: { title: 'Incunable' } }]);
        say();
        await held;
      });
      await written;
      const indexing = indexBacklog(library.db, library.model);
      for (;;) {
        const waiting = await rows(library.db, sql`select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`);
        if (waiting.length > 0) break;
      }
      release();
      await Promise.all([writing, indexing]);
      expect(await found('incunable')).to.have.length(1);
      expect(await found('folio 3')).to.not.include('Folio 3');
    } finally {
      await other.destroy();
    }
  });
});
