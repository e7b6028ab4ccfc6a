import { Writable } from 'node:stream';
import { expect } from 'chai';
import { makeLog } from '../../../src/platform/log.ts';
import { rows, sql } from '../../../src/platform/sql.ts';
import { makeShop, type Shop } from './fixtures/shop.ts';

const NAME = 'Ada - Byron "of Ockham"';

describe('what automation keeps and logs of a failure', () => {
  let shop: Shop;
  const lines: string[] = [];
  before(async () => {
    const log = makeLog('info', new Writable({ write: (chunk, _encoding, done) => (lines.push(String(chunk)), done()) }));
    const todo = [{ step: 'create', object: 'Todo', values: { subject: 'title', order: 'id' } }] as const;
    shop = await makeShop(
      [
        { name: 'cast', on: { created: 'Customer' }, do: [{ step: 'action', action: 'cast', input: { name: 'name' } }] },
        { name: 'made', on: { created: 'Order' }, do: todo },
        { name: 'hourly', on: { schedule: '0 * * * *', zone: 'UTC', for: { object: 'Order' } }, do: todo },
      ],
      { log },
    );
    shop.actions.set('cast', async (tx, _context, input) => void (await rows(tx, sql`select ${String(input['name'])}::text::date`)));
    await shop.worker.drain();
  });
  after(() => shop.drop());
  beforeEach(() => void (lines.length = 0));

  it('of a run: the state of the database and no value', async () => {
    await shop.create('Customer', { name: NAME });
    await shop.worker.drain();
    const [run] = await shop.runs('cast');
    expect(run?.error).to.match(/^SQLSTATE 22007 /);
    expect(lines.join('')).to.contain('could not be carried out');
    expect(`${String(run?.error)} ${lines.join('')}`).not.to.match(/Ada|Byron|Ockham/);
  });

  it('of an event and of a timed rule that cannot be looked at: the same', async () => {
    await shop.db.raw(`create function credenza.refuse() returns trigger language plpgsql as $$
      begin raise exception 'No run for %', (select title_s from credenza.all_orders where id = new.record_id); end $$`);
    const [table] = await rows(
      shop.db,
      sql`select table_name as name from information_schema.tables where table_schema = 'credenza' and table_name like 'order%'`,
    );
    const [column] = await rows(
      shop.db,
      sql`select column_name as name from information_schema.columns where table_schema = 'credenza' and table_name = ${String(table?.['name'])} and column_name like 'title%' order by column_name limit 1`,
    );
    await shop.db.raw(`create view credenza.all_orders as select id, "${String(column?.['name'])}" as title_s from credenza."${String(table?.['name'])}"`);
    await shop.db.raw('create trigger refuse before insert on credenza.rule_run for each row execute function credenza.refuse()');
    await shop.create('Order', { title: NAME });
    shop.clock.advanceTo('2026-03-02T16:00:10.000Z');
    await shop.worker.drain();
    const said = lines.join('');
    expect(said).to.contain('An event could not be handled').and.to.contain('A timed rule could not be looked at').and.to.contain('SQLSTATE P0001');
    expect(said).not.to.match(/Ada|Byron|Ockham/);
    expect(said).not.to.contain('insert into');
  });
});
