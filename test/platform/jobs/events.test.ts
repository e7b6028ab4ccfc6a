import { expect } from 'chai';
import { uuidV7 } from '../../../src/platform/ids.ts';
import { claimEvent, claimEvents, closeEvents, deferEvent, listLoggedEvents, nextEventDue } from '../../../src/platform/jobs/events.ts';
import { releaseLease, takeLease } from '../../../src/platform/jobs/leases.ts';
import { platformTable, rows, run, sql } from '../../../src/platform/sql.ts';
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
    return id;
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
