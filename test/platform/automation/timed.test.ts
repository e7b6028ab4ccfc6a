import { expect } from 'chai';
import type { RuleFile } from '../../../src/platform/metadata/types.ts';
import { findRuns } from '../../../src/platform/automation/findings.sql.ts';
import { runDue } from '../../../src/platform/automation/run-due.ts';
import { anchorRange, cronComplaint, fireInstant, localText, occurrencesUntil } from '../../../src/platform/automation/occurrences.ts';
import { nextCronInstant } from '../../../src/platform/calendar/recurrence.ts';
import { AppError } from '../../../src/platform/errors.ts';
import { systemClock } from '../../../src/platform/clock.ts';
import type { WriteItem } from '../../../src/platform/record/types.ts';
import { openTestPool } from '../../support/database.ts';
import { makeShop, type Shop } from './fixtures/shop.ts';

const todo = (subject: string): RuleFile['do'] => [{ step: 'create', object: 'Todo', values: { subject, order: 'id' } }];
const lone: RuleFile['do'] = [{ step: 'create', object: 'Todo', values: { subject: 'text(now())' } }];

describe('rules that start by schedule', () => {
  const zone = 'America/New_York';
  let shop: Shop;
  const until = (instant: string): Promise<unknown> => runDue({ db: shop.db, clock: shop.clock, worker: shop.worker, until: instant });
  afterEach(() => shop.drop());

  it('run at their local time through a change of the clocks: never twice, never left out', async () => {
    shop = await makeShop([{ name: 'night', on: { schedule: '30 2 * * *', zone }, do: lone, missed: 'all' }], { start: '2026-03-06T12:00:00.000Z' });
    await until('2026-03-10T12:00:00.000Z');
    expect((await shop.runs('night')).map((run) => run.dueAt).reverse()).to.deep.equal([
      '2026-03-07T07:30:00.000Z',
      // 02:30 does not exist on this day: the first instant after the gap
      '2026-03-08T07:00:00.000Z',
      '2026-03-09T06:30:00.000Z',
      '2026-03-10T06:30:00.000Z',
    ]);
    expect((await shop.list('Todo')).map((found) => found['subject'])).to.have.length(4);
  });

  it('run once in the hour that happens twice', async () => {
    shop = await makeShop([{ name: 'night', on: { schedule: '30 1 * * *', zone }, do: lone, missed: 'all' }], { start: '2026-10-31T12:00:00.000Z' });
    await until('2026-11-02T12:00:00.000Z');
    expect((await shop.runs('night')).map((run) => run.dueAt).reverse()).to.deep.equal(['2026-11-01T05:30:00.000Z', '2026-11-02T06:30:00.000Z']);
  });

  it('make up for missed occurrences as the rule says: all, the last one, or none', async () => {
    const rule = (name: string, missed: 'all' | 'once' | 'skip'): RuleFile => ({ name, on: { schedule: '0 9 * * *', zone }, do: lone, missed });
    shop = await makeShop([rule('every', 'all'), rule('last', 'once'), rule('none', 'skip')], { start: '2026-03-02T15:00:00.000Z' });
    await shop.worker.drain();
    // the process was away for four days
    shop.clock.advanceTo('2026-03-06T15:00:00.000Z');
    await shop.worker.drain();
    expect(await shop.runs('every')).to.have.length(4);
    const last = await shop.runs('last');
    expect(last.map((run) => run.dueAt)).to.deep.equal(['2026-03-06T14:00:00.000Z']);
    expect(last[0]?.trace.missed).to.equal(3);
    expect(await shop.runs('none')).to.have.length(0);
    shop.clock.advanceTo('2026-03-09T13:05:00.000Z');
    await shop.worker.drain();
    expect((await shop.runs('none')).map((run) => run.dueAt)).to.deep.equal(['2026-03-09T13:00:00.000Z']);
  });

  it('run for each record that the filter and the condition choose', async () => {
    shop = await makeShop([
      {
        name: 'sweep',
        on: { schedule: '0 * * * *', zone, for: { object: 'Order', filter: 'quantity > 1' } },
        when: 'note == null',
        do: todo("'Sweep ' + title"),
      },
    ]);
    await shop.worker.drain();
    await shop.create('Order', { title: 'a', quantity: 2 });
    await shop.create('Order', { title: 'b', quantity: 1 });
    await shop.create('Order', { title: 'c', quantity: 3, note: 'done' });
    await until('2026-03-02T16:30:00.000Z');
    expect((await shop.list('Todo')).map((found) => found['subject'])).to.deep.equal(['Sweep a']);
    const [run] = await shop.runs('sweep');
    expect(run?.runKey).to.contain(':schedule:2026-03-02T11:00:America/New_York:');
  });

  it('that cannot be looked at are tried again later, lose nothing and hold up no other', async () => {
    shop = await makeShop([
      { name: 'a-bad', on: { schedule: '0 * * * *', zone, for: { object: 'Order', filter: "title == 'x'" } }, do: todo("'Bad'"), missed: 'all' },
      { name: 'b-good', on: { schedule: '0 * * * *', zone }, do: lone, missed: 'all' },
    ]);
    await shop.worker.drain();
    await shop.create('Order', { title: 'x' });
    await shop.db.raw("alter table credenza.rule_run add constraint nothing_bad check (rule <> 'a-bad')");
    shop.clock.advanceTo('2026-03-02T16:00:10.000Z');
    await shop.worker.drain();
    expect(await shop.runs('a-bad')).to.have.length(0);
    expect(await shop.runs('b-good')).to.have.length(1);
    await shop.db.raw('alter table credenza.rule_run drop constraint nothing_bad');
    await until('2026-03-02T16:10:00.000Z');
    expect((await shop.runs('a-bad')).map((run) => [run.dueAt, run.state])).to.deep.equal([['2026-03-02T16:00:00.000Z', 'done']]);
  });

  it('make each occurrence once, whoever looks: two workers, a restart, a second publication', async () => {
    const rules: readonly RuleFile[] = [{ name: 'hourly', on: { schedule: '0 * * * *', zone }, do: lone, missed: 'all' }];
    shop = await makeShop(rules);
    await shop.worker.drain();
    const other = openTestPool(shop.url);
    try {
      const second = shop.second(other);
      for (const hour of ['16', '17', '18']) {
        shop.clock.advanceTo(`2026-03-02T${hour}:00:30.000Z`);
        await Promise.all([shop.worker.drain(), second.drain()]);
        await shop.publish(rules);
      }
      expect((await shop.runs('hourly')).map((run) => run.state)).to.deep.equal(['done', 'done', 'done']);
    } finally {
      await other.destroy();
    }
  });

  const turns: readonly { readonly zone: string; readonly from: string; readonly hours: number }[] = [
    { zone: 'America/New_York', from: '2026-11-01T03:45:00.000Z', hours: 5 },
    { zone: 'Australia/Sydney', from: '2026-04-04T13:45:00.000Z', hours: 5 },
    // set back by half an hour
    { zone: 'Australia/Lord_Howe', from: '2026-04-04T13:45:00.000Z', hours: 4 },
  ];
  for (const turn of turns) {
    it(`count elapsed time where clocks are set back, once for each occurrence: ${turn.zone}`, async () => {
      const patterns: Readonly<Record<string, string>> = { 'half-hours': '*/30 * * * *', hours: '0 * * * *', quarters: '*/15 1-2 * * *', fixed: '45 1 * * *' };
      const rules = Object.entries(patterns).map(([name, schedule]): RuleFile => ({ name, on: { schedule, zone: turn.zone }, do: lone, missed: 'all' }));
      shop = await makeShop(rules, { start: turn.from });
      await shop.worker.drain();
      const end = new Date(Date.parse(turn.from) + turn.hours * 3_600_000).toISOString();
      const other = openTestPool(shop.url);
      const fired = async (name: string): Promise<readonly string[]> => (await shop.runs(name)).map((run) => run.dueAt).sort();
      const expected = (name: string): readonly string[] => {
        const pattern = patterns[name] ?? '';
        return occurrencesUntil(pattern, turn.zone, nextCronInstant(pattern, turn.zone, turn.from) ?? end, end, 100).list;
      };
      try {
        const second = shop.second(other);
        // twice in each half hour, by two workers
        for (let at = Date.parse(turn.from); at <= Date.parse(end); at += 15 * 60_000) {
          shop.clock.advanceTo(new Date(at).toISOString());
          await Promise.all([shop.worker.drain(), second.drain()]);
        }
        for (const name of Object.keys(patterns)) expect(await fired(name), name).to.deep.equal(expected(name));
        const every = Array.from({ length: turn.hours * 2 }, (_, index) => new Date(Date.parse(turn.from) + (index * 30 + 15) * 60_000).toISOString());
        expect(await fired('half-hours'), 'counted without the library').to.deep.equal(every);
        expect(await fired('fixed')).to.have.length(1);
        const before = (await shop.runs()).length;
        await shop.db.raw('update credenza.rule_schedule set scanned_to = ?::timestamptz, next_due = ?::timestamptz', [turn.from, turn.from]);
        await Promise.all([shop.worker.drain(), second.drain()]);
        expect(await shop.runs(), 'scanned again').to.have.length(before);
        expect((await shop.runs()).every((run) => run.state === 'done')).to.equal(true);
        expect((await findRuns(shop.db, turn.from, end)).repeated).to.deep.equal([]);
      } finally {
        await other.destroy();
      }
    });
  }

  it('keep the keys that runs had before the hour that comes twice was told apart', () => {
    const zone = 'America/New_York';
    expect(localText('2026-03-08T07:00:00.000Z', zone)).to.equal('2026-03-08T03:00');
    expect(localText('2026-11-01T05:30:00.000Z', zone)).to.equal('2026-11-01T01:30');
    expect(localText('2026-11-01T06:30:00.000Z', zone)).to.equal('2026-11-01T01:30-05:00');
    expect(localText('2026-11-01T07:00:00.000Z', zone)).to.equal('2026-11-01T02:00');
    expect(localText('2026-04-04T14:30:00.000Z', 'Australia/Lord_Howe')).to.equal('2026-04-05T01:30');
    expect(localText('2026-04-04T15:00:00.000Z', 'Australia/Lord_Howe')).to.equal('2026-04-05T01:30+10:30');
  });
});

describe('rules that start by a date of a record', () => {
  let shop: Shop;
  const until = (instant: string): Promise<unknown> => runDue({ db: shop.db, clock: shop.clock, worker: shop.worker, until: instant });
  const remind = (more: Partial<RuleFile> = {}): RuleFile => ({
    name: 'remind',
    on: { date: 'Order.dueOn', offsets: ['-P7D', 'P0D'], at: '08:00' },
    when: "status == 'new'",
    do: todo("'Due ' + text(dueOn)"),
    ...more,
  });
  const fired = async (): Promise<unknown[]> => (await shop.runs('remind')).map((run) => `${run.dueAt} ${run.anchor ?? ''} ${run.state}`).reverse();
  afterEach(() => shop.drop());

  it('fire at the local time of the day, across a change of the clocks, only while the condition holds', async () => {
    shop = await makeShop([remind()]);
    await shop.worker.drain();
    const id = await shop.create('Order', { title: 'a', dueOn: '2026-03-12', quantity: 1 });
    const packed = await shop.create('Order', { title: 'b', dueOn: '2026-03-12', quantity: 1 });
    await shop.write('Order', { kind: 'transition', id: packed, transition: 'pack' });
    await until('2026-03-20T00:00:00.000Z');
    expect(await fired()).to.deep.equal(['2026-03-05T13:00:00.000Z 2026-03-12 -P7D done', '2026-03-12T12:00:00.000Z 2026-03-12 P0D done']);
    expect((await shop.runs('remind')).every((run) => run.recordId === id)).to.equal(true);
  });

  it('fire anew when the date is moved, and not again for a date they fired for', async () => {
    shop = await makeShop([remind()]);
    await shop.worker.drain();
    const id = await shop.create('Order', { title: 'a', dueOn: '2026-03-12' });
    await until('2026-03-06T00:00:00.000Z');
    await shop.write('Order', { kind: 'update', id, values: { dueOn: '2026-03-20' } });
    await until('2026-03-14T00:00:00.000Z');
    await shop.publish([remind({ label: 'Renamed' })]);
    await until('2026-03-15T00:00:00.000Z');
    expect(await fired()).to.deep.equal(['2026-03-05T13:00:00.000Z 2026-03-12 -P7D done', '2026-03-13T12:00:00.000Z 2026-03-20 -P7D done']);
  });

  it('count months to their end and business days by the calendar', async () => {
    shop = await makeShop([remind({ on: { date: 'Order.dueOn', offsets: ['P1M', 'P2BD'], at: '09:00' } })], { start: '2026-01-02T12:00:00.000Z' });
    await shop.worker.drain();
    await shop.create('Order', { title: 'a', dueOn: '2026-01-31' });
    await shop.create('Order', { title: 'b', dueOn: '2026-01-16' });
    await until('2026-03-10T00:00:00.000Z');
    expect(await fired()).to.deep.equal([
      // Monday the 19th is a holiday
      '2026-01-21T14:00:00.000Z 2026-01-16 P2BD done',
      '2026-02-03T14:00:00.000Z 2026-01-31 P2BD done',
      '2026-02-16T14:00:00.000Z 2026-01-16 P1M done',
      '2026-02-28T14:00:00.000Z 2026-01-31 P1M done',
    ]);
  });

  it('after a standstill run the last of several for a record, all, or none, and note the others', async () => {
    const missed = async (policy: 'once' | 'all' | 'skip'): Promise<unknown[]> => {
      shop = await makeShop([remind({ missed: policy })]);
      await shop.worker.drain();
      await shop.create('Order', { title: 'a', dueOn: '2026-03-12' });
      shop.clock.advanceTo('2026-03-15T12:00:00.000Z');
      await shop.worker.drain();
      const found = await fired();
      if (policy !== 'skip') await shop.drop();
      return found;
    };
    expect(await missed('once')).to.deep.equal(['2026-03-05T13:00:00.000Z 2026-03-12 -P7D skipped', '2026-03-12T12:00:00.000Z 2026-03-12 P0D done']);
    expect(await missed('all')).to.deep.equal(['2026-03-05T13:00:00.000Z 2026-03-12 -P7D done', '2026-03-12T12:00:00.000Z 2026-03-12 P0D done']);
    expect(await missed('skip')).to.deep.equal(['2026-03-05T13:00:00.000Z 2026-03-12 -P7D skipped', '2026-03-12T12:00:00.000Z 2026-03-12 P0D skipped']);
  });

  it('do not lose a record whose write was under way while its moment passed', async () => {
    shop = await makeShop([remind()], { start: '2026-03-05T12:59:59.000Z' });
    await shop.worker.drain();
    const call = await shop.context();
    // the write began before 08:00 and becomes visible after the scan at 08:00
    const writing = await shop.db.transaction();
    await shop.engine.write(writing, call, 'Order', [{ kind: 'create', values: { title: 'late', dueOn: '2026-03-12' } }], { asSystem: true });
    shop.clock.advanceTo('2026-03-05T13:00:00.000Z');
    await shop.worker.drain();
    expect(await fired()).to.deep.equal([]);
    await writing.commit();
    await shop.worker.drain();
    expect(await fired()).to.deep.equal(['2026-03-05T13:00:00.000Z 2026-03-12 -P7D done']);
    const past = await shop.create('Order', { title: 'after', dueOn: '2026-03-12' });
    await shop.worker.drain();
    expect((await shop.runs('remind')).some((run) => run.recordId === past)).to.equal(false);
  });

  it('see the records of an import that was under way while their moment passed', async () => {
    shop = await makeShop([remind()], { start: '2026-03-05T12:59:59.000Z' });
    await shop.worker.drain();
    const known = await shop.create('Order', { title: 'known', quantity: 1 });
    await shop.worker.drain();
    const call = await shop.context();
    const create = (title: string, dueOn: string | null): WriteItem => ({ kind: 'create', values: { title, dueOn } });
    // an import writes one event for a whole block of records
    const writing = await shop.db.transaction();
    const options = { asSystem: true, events: 'chunk' } as const;
    const outcomes = await shop.engine.write(
      writing,
      call,
      'Order',
      [
        create('a', '2026-03-12'),
        create('b', '2026-03-20'),
        create('c', null),
        create('d', '2026-03-12'),
        { kind: 'update', id: known, values: { dueOn: '2026-03-12' } },
      ],
      options,
    );
    shop.clock.advanceTo('2026-03-05T13:00:00.000Z');
    await shop.worker.drain();
    await writing.commit();
    await shop.worker.drain();
    const [a, , , d] = outcomes.map((outcome) => (outcome.ok ? outcome.id : outcome.message));
    expect((await shop.runs('remind')).map((run) => run.recordId)).to.have.members([a, d, known]);
    expect(new Set(await fired())).to.deep.equal(new Set(['2026-03-05T13:00:00.000Z 2026-03-12 -P7D done']));
    const late = await shop.db.transaction((tx) => shop.engine.write(tx, call, 'Order', [create('e', '2026-03-12')], options));
    await shop.worker.drain();
    expect(late[0]?.ok).to.equal(true);
    expect(await shop.runs('remind'), 'call.now is before the moment, so this one counts too').to.have.length(4);
    const after = await shop.context();
    await shop.db.transaction((tx) => shop.engine.write(tx, after, 'Order', [create('f', '2026-03-12')], options));
    await shop.worker.drain();
    expect(await shop.runs('remind'), 'one that was written later is not made up for').to.have.length(4);
  });
});

describe('occurrences', () => {
  it('refuse patterns and zones that are not understood', () => {
    expect(cronComplaint('0 8 * * 1-5', 'America/New_York')).to.equal(null);
    expect(cronComplaint('0 8 * *', 'America/New_York')).to.be.a('string');
    expect(cronComplaint('0 8 * * *', 'America/Nowhere')).to.contain('America/Nowhere');
    expect(cronComplaint('0 8 31 2 *', 'America/New_York')).to.contain('never');
  });

  it('keep only the newest when there are very many', () => {
    const found = occurrencesUntil('* * * * *', 'UTC', '2026-01-01T00:00:00.000Z', '2026-01-01T00:09:00.000Z', 3);
    expect(found).to.deep.equal({
      list: ['2026-01-01T00:07:00.000Z', '2026-01-01T00:08:00.000Z', '2026-01-01T00:09:00.000Z'],
      next: '2026-01-01T00:10:00.000Z',
      dropped: 7,
    });
  });

  it('every anchor that fires on a day lies in the range that is searched for that day', async () => {
    const shop = await makeShop([]);
    try {
      const calendars = (await shop.store.current()).calendarLookup;
      let tried = 0;
      for (const offset of ['P0D', '-P30D', 'P1M', '-P1M', 'P3M', '-P12M', 'P2BD', '-P10BD', 'P25BD', 'P2W']) {
        for (let day = Date.parse('2027-10-01'); day < Date.parse('2028-03-15'); day += 86_400_000) {
          const anchor = new Date(day).toISOString().slice(0, 10);
          const at = fireInstant({ date: 'Order.dueOn', offsets: [offset], at: '12:00' }, offset, anchor, calendars);
          const fires = at?.slice(0, 10) ?? '';
          const range = anchorRange(offset, fires, fires);
          expect(range.from <= anchor && anchor <= range.to, `${offset} of ${anchor} fires on ${fires}, searched ${range.from} to ${range.to}`).to.equal(true);
          tried += 1;
        }
      }
      expect(tried).to.be.greaterThan(1500);
    } finally {
      await shop.drop();
    }
  });
});

describe('doing what is due', () => {
  it('goes ahead of time only with a clock that can be moved', async () => {
    const shop = await makeShop([]);
    try {
      const failure = await runDue({ db: shop.db, clock: systemClock, worker: shop.worker, until: '9999-01-01T00:00:00.000Z' }).then(
        () => null,
        (error: unknown) => error,
      );
      expect(failure).to.be.instanceOf(AppError);
      const now = await runDue({ db: shop.db, clock: systemClock, worker: shop.worker });
      expect(now.moments).to.equal(1);
    } finally {
      await shop.drop();
    }
  });
});
