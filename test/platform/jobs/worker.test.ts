import { once } from 'node:events';
import { EventEmitter } from 'node:events';
import { PassThrough } from 'node:stream';
import { expect } from 'chai';
import { systemClock } from '../../../src/platform/clock.ts';
import { AppError } from '../../../src/platform/errors.ts';
import { makeWorker } from '../../../src/platform/jobs/worker.ts';
import { makeLog } from '../../../src/platform/log.ts';
import { rows, sql } from '../../../src/platform/sql.ts';
import { makeTestDatabase, type TestDatabase } from '../../support/database.ts';

describe('the worker', () => {
  let test: TestDatabase;
  before(async () => {
    test = await makeTestDatabase();
  });
  after(() => test.drop());

  it('drains handler after handler until nothing is left, and counts what each did', async () => {
    let left = 3;
    let follow = 0;
    const worker = makeWorker({
      db: test.db,
      clock: systemClock,
      log: makeLog('silent'),
      handlers: [
        { name: 'first', run: () => Promise.resolve(left > 0 ? ((left -= 1), (follow += 2), 1) : 0) },
        { name: 'second', run: () => Promise.resolve(follow > 0 ? ((follow -= 1), 1) : 0) },
      ],
    });
    expect(await worker.drain()).to.deep.equal({ first: 3, second: 6 });
    expect(await worker.drain()).to.deep.equal({ first: 0, second: 0 });
  });

  it('lets a failure out of a drain', async () => {
    const worker = makeWorker({
      db: test.db,
      clock: systemClock,
      log: makeLog('silent'),
      handlers: [{ name: 'bad', run: () => Promise.reject(new AppError('internal', 'no')) }],
    });
    const failure = await worker.drain().then(
      () => null,
      (error: unknown) => error,
    );
    expect(failure).to.be.instanceOf(AppError);
  });

  it('beats by itself once started, logs a failure without stopping, answers a poke, and stops', async () => {
    const heard = new EventEmitter();
    const sink = new PassThrough();
    let lines = '';
    sink.on('data', (chunk: Buffer) => (lines += chunk.toString('utf8')));
    let runs = 0;
    const worker = makeWorker({
      db: test.db,
      clock: systemClock,
      log: makeLog('error', sink),
      handlers: [
        { name: 'bad', run: () => Promise.reject(new AppError('internal', 'no luck')) },
        { name: 'good', run: () => ((runs += 1), heard.emit('run'), Promise.resolve(0)) },
      ],
    });
    const first = once(heard, 'run');
    worker.start();
    await first;
    const second = once(heard, 'run');
    worker.poke();
    await second;
    await worker.stop();
    const after = runs;
    worker.poke();
    expect(runs).to.equal(after);
    expect(lines).to.contain('no luck').and.to.contain('"handler":"bad"');
  });

  it('asks once a beat what waits, and runs only that', async () => {
    const heard = new EventEmitter();
    let waits = false;
    const runs = { asked: 0, other: 0 };
    const worker = makeWorker({
      db: test.db,
      clock: systemClock,
      log: makeLog('silent'),
      handlers: [
        { name: 'asked', run: () => ((waits = false), (runs.asked += 1), heard.emit('asked'), Promise.resolve(0)), waiting: () => sql`${waits}::boolean` },
        { name: 'other', run: () => ((runs.other += 1), heard.emit('other'), Promise.resolve(0)) },
      ],
    });
    worker.start();
    // The first beat runs everything.
    for (let beat = 0; beat < 3; beat += 1) await once(heard, 'other');
    expect(runs.asked).to.equal(1);
    waits = true;
    await once(heard, 'asked');
    expect(runs.asked).to.equal(2);
    worker.poke();
    await once(heard, 'asked');
    await worker.stop();
    expect(runs.asked).to.equal(3);
  });

  it('logs what the database refused without what it was sent', async () => {
    const heard = new EventEmitter();
    const sink = new PassThrough();
    let lines = '';
    sink.on('data', (chunk: Buffer) => (lines += chunk.toString('utf8')));
    const worker = makeWorker({
      db: test.db,
      clock: systemClock,
      log: makeLog('error', sink),
      handlers: [
        { name: 'bad', run: async (db) => Number((await rows(db, sql`select ${'Ada - Byron'}::text::date`)).length) },
        { name: 'good', run: () => (heard.emit('run'), Promise.resolve(0)) },
      ],
    });
    const first = once(heard, 'run');
    worker.start();
    await first;
    await worker.stop();
    expect(lines)
      .to.contain('SQLSTATE 22007')
      .and.not.to.match(/Ada|Byron/);
  });
});
