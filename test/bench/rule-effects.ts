import { loadavg } from 'node:os';
import { rows, run, sql } from '../../src/platform/sql.ts';
import { makeShop } from '../platform/automation/fixtures/shop.ts';

/**
 * How many effects of rules a process does in a second, beside bare batches by SKIP LOCKED that write as many rows
 * (`quality.md`, section 5): a change is matched, a field set with history, audit row and event, and a mail queued.
 *
 * TEST_DATABASE_URL=... npx tsx test/bench/rule-effects.ts 10000
 */
const ORDERS = Number(process.argv[2] ?? 10_000);
const BATCH = 100;
const GOAL = 0.3;

const say = (line: string): void => void process.stdout.write(`${line}\n`);
const perSecond = (count: number, from: number): number => (count * 1000) / (performance.now() - from);

const shop = await makeShop([
  {
    name: 'made',
    on: { created: 'Order' },
    when: 'quantity > 0',
    do: [
      { step: 'update', values: { note: "'seen'" } },
      { step: 'send-mail', template: 'mail/bill', to: 'customer.email', class: 'transactional' },
    ],
  },
]);
try {
  await shop.worker.drain();
  const customer = await shop.create('Customer', { name: 'Ada', email: 'ada@shop.example' });
  const context = await shop.context();
  for (let from = 0; from < ORDERS; from += 500) {
    const items = Array.from({ length: Math.min(500, ORDERS - from) }, (_, at) => ({
      kind: 'create' as const,
      values: { title: `Order ${String(from + at)}`, quantity: 1, price: '2.00', customer },
    }));
    await shop.db.transaction((tx) => shop.engine.write(tx, context, 'Order', items, { asSystem: true }));
  }
  await shop.db.raw('vacuum analyze');
  const from = performance.now();
  await shop.worker.drain();
  const ours = perSecond(ORDERS, from);
  const [mails] = await rows(shop.db, sql`select count(*)::int as n from credenza.mail_delivery`);
  const [written] = await rows(shop.db, sql`select count(*)::int as n from credenza.record_history where cause->>'rule' = 'made'`);
  if (mails?.['n'] !== ORDERS || written?.['n'] !== ORDERS)
    throw new Error(`Of ${String(ORDERS)} orders ${String(written?.['n'])} were written and ${String(mails?.['n'])} mailed.`);
  const bare = await bareBatches();
  say(
    `rule effects: ${ours.toFixed(0)} a second; bare batches: ${bare.toFixed(0)}; ratio ${(ours / bare).toFixed(2)} (goal ${String(GOAL)}); load average ${loadavg()[0]?.toFixed(1) ?? ''}`,
  );
} finally {
  await shop.drop();
}

/** One statement a batch: claims, sets a field, and writes what the product writes beside it. */
async function bareBatches(): Promise<number> {
  const { db } = shop;
  await db.raw('create schema bare');
  await db.raw('create table bare.orders (id uuid primary key default gen_random_uuid(), title text, note text, updated_at timestamptz)');
  await db.raw('create table bare.ready (seq bigint generated always as identity primary key, order_id uuid, state text)');
  await db.raw('create index on bare.ready (seq) where state = $$ready$$');
  await db.raw('create table bare.history (id bigint generated always as identity primary key, order_id uuid, at timestamptz, changes jsonb)');
  await db.raw('create table bare.mail (id uuid primary key, key text unique, order_id uuid, recipient text, html text, at timestamptz)');
  await db.raw("insert into bare.orders (title) select 'Order ' || n from generate_series(1, ?::int) n", [ORDERS]);
  await db.raw("insert into bare.ready (order_id, state) select id, 'ready' from bare.orders");
  await db.raw('vacuum analyze');
  const from = performance.now();
  for (let done = 0; done < ORDERS;) {
    const count = await run(
      db,
      sql`with c as (select seq, order_id from bare.ready where state = 'ready' order by seq limit ${BATCH}::int for update skip locked),
            o as (update bare.orders x set note = 'seen', updated_at = now() from c where x.id = c.order_id returning x.id, x.title),
            h as (insert into bare.history (order_id, at, changes) select id, now(), jsonb_build_object('note', jsonb_build_array(null, 'seen')) from o),
            m as (insert into bare.mail (id, key, order_id, recipient, html, at)
              select gen_random_uuid(), 'mail ' || id, id, 'ada@shop.example', '<p>Bill for ' || title || '</p>', now() from o)
          update bare.ready r set state = 'done' from c where r.seq = c.seq`,
    );
    if (count === 0) break;
    done += count;
  }
  return perSecond(ORDERS, from);
}
