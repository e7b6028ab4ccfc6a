import { expect } from 'chai';
import { uuidV7 } from '../../../src/platform/ids.ts';
import { claimEvent, claimEvents, closeEvents, deferEvent, listLoggedEvents, nextEventDue } from '../../../src/platform/jobs/events.ts';
import { releaseLease, takeLease } from '../../../src/platform/jobs/leases.ts';
import { EMPTY, keyword, platformTable, rows, run, sql } from '../../../src/platform/sql.ts';
import { makeTestDatabase, openTestPool, type TestDatabase } from '../../support/database.ts';

const NOW = '2026-03-02T10:00:00.000Z';
const NOW_MS = Date.parse(NOW);
const RECORD_A = '01920000-0000-7000-8000-00000000000a';
const RECORD_B = '01920000-0000-7000-8000-00000000000b';
const RECORD_C = '01920000-0000-7000-8000-00000000000c';

describe('event claims', () => {
  let test: TestDatabase;
  before(async () => {
    test = await makeTestDatabase();
  });
  after(() => test.drop());
  beforeEach(async () => {
    await run(test.db, sql`delete from ${platformTable(test.db, 'event')}`);
    await run(test.db, sql`delete from ${platformTable(test.db, 'event_member')}`);
  });

  async function put(record: string | readonly string[], note: string): Promise<string> {
    const id = uuidV7(NOW_MS);
    const one = typeof record === 'string' ? record : null;
    const many = typeof record === 'string' ? null : [...record];
    await run(
      test.db,
      sql`insert into ${platformTable(test.db, 'event')} (id, object, record_id, record_ids, kind, at, after, cause, actor)
          values (${id}::uuid, 'Thing', ${one}::uuid, ${many}::uuid[], 'updated', ${NOW}::timestamptz, ${JSON.stringify({ note })}::jsonb, '{"kind":"command","name":"test"}'::jsonb, 'test')`,
    );
    await putMembers();
    return id;
  }
  /** As the writer of a block's event does. */
  async function putMembers(): Promise<void> {
    await run(
      test.db,
      sql`insert into ${platformTable(test.db, 'event_member')} (record_id, seq)
          select unnest(record_ids), seq from ${platformTable(test.db, 'event')} where record_ids is not null on conflict do nothing`,
    );
  }
  const notes = (events: readonly { readonly after: Readonly<Record<string, unknown>> | null }[]): unknown[] => events.map((event) => event.after?.['note']);

  it('takes only the oldest open event of a record, and the next one once that is closed', async () => {
    await put(RECORD_A, 'a1');
    await put(RECORD_A, 'a2');
    await put(RECORD_B, 'b1');
    const first = await test.db.transaction(async (tx) => {
      const events = await claimEvents(tx, NOW, 10);
      await closeEvents(
        tx,
        events.map((event) => event.id),
        NOW,
      );
      return events;
    });
    expect(notes(first)).to.deep.equal(['a1', 'b1']);
    expect(notes(await test.db.transaction((tx) => claimEvents(tx, NOW, 10)))).to.deep.equal(['a2']);
  });

  it('gives a second worker nothing of a record whose earlier event is in work', async () => {
    await put(RECORD_A, 'a1');
    await put(RECORD_A, 'a2');
    await put(RECORD_B, 'b1');
    const other = openTestPool(test.url);
    try {
      await test.db.transaction(async (tx) => {
        expect(notes(await claimEvents(tx, NOW, 1))).to.deep.equal(['a1']);
        expect(notes(await other.transaction((second) => claimEvents(second, NOW, 10)))).to.deep.equal(['b1']);
      });
    } finally {
      await other.destroy();
    }
  });

  it('gives events back at once when the worker that held them dies', async () => {
    await put(RECORD_A, 'a1');
    const dying = openTestPool(test.url, { poolSize: 1 });
    try {
      const tx = await dying.transaction();
      expect(await claimEvents(tx, NOW, 10)).to.have.length(1);
      expect(await test.db.transaction((second) => claimEvents(second, NOW, 10))).to.have.length(0);
      const [backend] = await rows(tx, sql`select pg_backend_pid() as pid`);
      await run(test.db, sql`select pg_terminate_backend(${Number(backend?.['pid'])}::int, 5000)`);
      expect(notes(await test.db.transaction((second) => claimEvents(second, NOW, 10)))).to.deep.equal(['a1']);
      await tx.rollback().catch((error: unknown) => expect(error).to.be.instanceOf(Error));
    } finally {
      await dying.destroy();
    }
  });

  it('keeps the order between the event of a chunk and events of its records', async () => {
    await put(RECORD_A, 'a1');
    await put([RECORD_A, RECORD_B], 'chunk');
    await put(RECORD_B, 'b1');
    await put(RECORD_C, 'c1');
    const seen: unknown[][] = [];
    for (let round = 0; round < 4; round += 1) {
      await test.db.transaction(async (tx) => {
        const events = await claimEvents(tx, NOW, 10);
        seen.push(notes(events));
        await closeEvents(
          tx,
          events.map((event) => event.id),
          NOW,
        );
      });
    }
    expect(seen).to.deep.equal([['a1', 'c1'], ['chunk'], ['b1'], []]);
  });

  it('takes one block after the other where they share a record, and forgets the records of a closed one', async () => {
    await put([RECORD_A, RECORD_B], 'one');
    await put([RECORD_B, RECORD_C], 'two');
    await put([RECORD_C], 'three');
    const seen: unknown[][] = [];
    for (let round = 0; round < 3; round += 1) {
      await test.db.transaction(async (tx) => {
        const events = await claimEvents(tx, NOW, 10);
        seen.push(notes(events));
        await closeEvents(
          tx,
          events.map((event) => event.id),
          NOW,
        );
      });
    }
    expect(seen).to.deep.equal([['one'], ['two'], ['three']]);
    expect(await rows(test.db, sql`select 1 from ${platformTable(test.db, 'event_member')}`)).to.have.length(0);
  });

  it('looks at few rows also when 100,000 events and forty blocks of 5,000 records are open', async () => {
    const idOf = (number: string): string => `('01920000-0000-7000-8000-' || lpad(to_hex(${number}), 12, '0'))::uuid`;
    // Blocks that wait to be tried again, and as many events after them: the first 2,000 of those are of their records.
    await test.db.raw(`insert into credenza.event (id, object, record_ids, kind, at, cause, actor, lease_until)
      select gen_random_uuid(), 'Thing', array(select ${idOf('b * 5000 + i')} from generate_series(1, 5000) i), 'updated', '${NOW}', '{"kind":"command"}', 't', timestamptz '${NOW}' + interval '1 hour'
      from generate_series(0, 39) b`);
    await putMembers();
    await test.db.raw(`insert into credenza.event (id, object, record_id, kind, at, after, cause, actor)
      select gen_random_uuid(), 'Thing', ${idOf('198000 + i')}, 'updated', '${NOW}', '{}', '{"kind":"command"}', 't' from generate_series(1, 100000) i`);
    const asked: { readonly sql: string; readonly bindings: readonly unknown[] }[] = [];
    const note = (query: (typeof asked)[number]): void => void asked.push(query);
    test.db.on('query', note);
    const claimed = await test.db.transaction((tx) => claimEvents(tx, NOW, 100));
    test.db.removeListener('query', note);
    expect(claimed).to.have.length(100);
    const claim = asked.find((query) => query.sql.includes('skip locked'));
    for (const analyzed of [false, true]) {
      if (analyzed) await test.db.raw('analyze credenza.event, credenza.event_member');
      const [found] = await rows(
        test.db,
        sql`${keyword(`explain (analyze, format json) ${claim?.sql.replace(/\$\d+/g, '?') ?? ''}`)}${{ ...EMPTY, values: claim?.bindings ?? [] }}`,
      );
      expect(rowsLookedAt(found?.['QUERY PLAN']), analyzed ? 'with statistics' : 'without statistics').to.be.within(2100, 10_000);
    }
  });

  it('puts a failing event back with growing pauses and lets nothing of its record pass it', async () => {
    const id = await put(RECORD_A, 'a1');
    await put(RECORD_A, 'a2');
    const pauses: number[] = [];
    for (let attempt = 0; attempt < 5; attempt += 1) {
      await test.db.transaction((tx) => deferEvent(tx, id, NOW_MS));
      const due = (
        await rows(
          test.db,
          sql`select extract(epoch from lease_until - ${NOW}::timestamptz)::int as pause from ${platformTable(test.db, 'event')} where id = ${id}::uuid`,
        )
      )[0];
      pauses.push(Number(due?.['pause']) / 60);
    }
    expect(pauses).to.deep.equal([1, 5, 30, 120, 120]);
    expect(await test.db.transaction((tx) => claimEvents(tx, NOW, 10))).to.have.length(0);
    expect(await nextEventDue(test.db, NOW)).to.equal(NOW);
    expect(notes(await test.db.transaction((tx) => claimEvents(tx, '2026-03-02T12:00:00.000Z', 10)))).to.deep.equal(['a1']);
  });

  it('keeps closed events in the log, in their order', async () => {
    const id = await put(RECORD_C, 'logged');
    await test.db.transaction(async (tx) => {
      const event = await claimEvent(tx, id);
      expect(event?.after).to.deep.equal({ note: 'logged' });
      expect(await closeEvents(tx, [id], NOW)).to.equal(1);
    });
    expect(await test.db.transaction((tx) => claimEvent(tx, id))).to.equal(null);
    const log = await listLoggedEvents(test.db, { recordId: RECORD_C, since: NOW, object: 'Thing', limit: 10 });
    expect(notes(log)).to.include('logged');
  });
});

/** Rows that the scans of a plan touched, those that they threw away among them. */
function rowsLookedAt(plan: unknown): number {
  if (Array.isArray(plan)) return plan.reduce((sum: number, part: unknown) => sum + rowsLookedAt(part), 0);
  if (typeof plan !== 'object' || plan === null) return 0;
  const node = new Map<string, unknown>(Object.entries(plan));
  const number = (name: string): number => Number(node.get(name) ?? 0);
  const touched = number('Actual Rows') + number('Rows Removed by Filter') + number('Rows Removed by Index Recheck') + number('Rows Removed by Join Filter');
  const own = /Scan/.test(String(node.get('Node Type'))) ? touched * number('Actual Loops') : 0;
  return own + rowsLookedAt(node.get('Plans')) + rowsLookedAt(node.get('Plan'));
}

describe('leases', () => {
  it('have one holder at a time, until they run out or are given back', async () => {
    const test = await makeTestDatabase();
    try {
      const later = '2026-03-02T10:01:00.000Z';
      expect(await takeLease(test.db, 'sweep', 'one', NOW, later)).to.equal(true);
      expect(await takeLease(test.db, 'sweep', 'two', NOW, later)).to.equal(false);
      expect(await takeLease(test.db, 'sweep', 'one', NOW, later)).to.equal(true);
      expect(await takeLease(test.db, 'sweep', 'two', later, '2026-03-02T10:02:00.000Z')).to.equal(true);
      await releaseLease(test.db, 'sweep', 'one');
      expect(await takeLease(test.db, 'sweep', 'one', NOW, later)).to.equal(false);
      await releaseLease(test.db, 'sweep', 'two');
      expect(await takeLease(test.db, 'sweep', 'one', NOW, later)).to.equal(true);
    } finally {
      await test.drop();
    }
  });
});
