import { Readable } from 'node:stream';
import { expect } from 'chai';
import { runCommand } from '../../src/cli/main.ts';
import { inTransaction } from '../../src/platform/db.ts';
import { stopEvent } from '../../src/platform/jobs/stopped-events.sql.ts';
import { platformTable, rows, run, sql } from '../../src/platform/sql.ts';
import { at, startTestApp, type Client, type TestApp } from '../support/app.ts';

const RUNS = '/api/v1/automation/runs';
const MAIL = '/api/v1/mail/deliveries';

describe('runs that failed and mail that may not have arrived', () => {
  let test: TestApp;
  let admin: Client;
  before(async () => {
    test = await startTestApp();
    admin = await test.caller('administrator');
  });
  after(() => test.stop());

  const states = async (table: string): Promise<readonly unknown[]> =>
    (await rows(test.app.db, sql`select state from ${platformTable(test.app.db, table)}`)).map((row) => row['state']);
  const setMail = (state: string): Promise<number> =>
    run(test.app.db, sql`update ${platformTable(test.app.db, 'mail_delivery')} set state = ${state}, sent_at = null`);
  const credenza = async (...words: readonly string[]): Promise<{ readonly code: number; readonly out: string; readonly said: string }> => {
    let out = '';
    let said = '';
    const io = {
      out: (text: string) => void (out += text),
      say: (text: string) => void (said += `${text}\n`),
      stdin: Readable.from([]),
      isTerminal: false,
      directory: '/nowhere',
    };
    const code = await runCommand([...words], io, { DATABASE_URL: test.app.config.databaseUrl ?? '', LOG_LEVEL: 'silent' });
    return { code, out, said };
  };

  it('are listed, done again and settled by administrators, over HTTP and by commands', async () => {
    const made = await admin('POST', '/api/v1/records/Application', { providerType: 'pcp', entityType: 'individual', email: 'a@practice.example' });
    expect(made.status, made.text).to.equal(201);
    await test.app.worker.drain();
    const { db } = test.app;
    expect(await states('rule_run')).to.deep.equal(['done']);
    expect(at((await admin('GET', RUNS)).body, 'data')).to.deep.equal([]);

    const fail = (): Promise<number> =>
      run(db, sql`update ${platformTable(db, 'rule_run')} set state = 'failed', error = 'The relay was closed.', finished_at = created_at`);
    await fail();
    const listed = await admin('GET', `${RUNS}?state=failed`);
    expect([at(listed.body, 'data.0.rule'), at(listed.body, 'data.0.error'), at(listed.body, 'data.0.recordId')]).to.deep.equal([
      'application-created',
      'The relay was closed.',
      at(made.body, 'data.id'),
    ]);
    expect(at((await admin('GET', `${RUNS}?state=quarantined`)).body, 'data')).to.deep.equal([]);
    expect((await admin('GET', `${RUNS}?state=done`)).status).to.equal(400);
    const replay = `${RUNS}/${String(at(listed.body, 'data.0.id'))}/replay`;
    expect((await admin('POST', replay)).status).to.equal(204);
    expect((await admin('POST', replay)).status, 'it is no failed run any more').to.equal(404);
    await test.app.worker.drain();
    expect(await states('rule_run')).to.deep.equal(['done']);
    expect(await states('mail_delivery'), 'the mail of a run goes once').to.deep.equal(['captured']);

    await fail();
    const shown = await credenza('rule', 'runs', '--json');
    expect(at(JSON.parse(shown.out), '0.id'), shown.said).to.equal(at(listed.body, 'data.0.id'));
    expect((await credenza('rule', 'runs')).out).to.contain('The relay was closed.');
    expect((await credenza('rule', 'replay', String(at(listed.body, 'data.0.id')))).code).to.equal(0);
    expect(await states('rule_run')).to.deep.equal(['ready']);
    expect((await credenza('rule', 'replay', 'x')).code).to.equal(2);
    await test.app.worker.drain();
  });

  it('changes that cannot be handled are listed, replayed and passed by administrators, over HTTP and by commands', async () => {
    const { db } = test.app;
    const stop = async (): Promise<string> => {
      const made = await admin('POST', '/api/v1/records/Task', { subject: 'Stopped', queue: 'credentialing' });
      expect(made.status, made.text).to.equal(201);
      const [event] = await rows(db, sql`select id from ${platformTable(db, 'event')} where record_id = ${String(at(made.body, 'data.id'))}::uuid`);
      const id = String(event?.['id']);
      await inTransaction(db, (tx) => stopEvent(tx, id, 'Two rows fit.', test.app.clock.now()));
      return id;
    };
    const EVENTS = '/api/v1/automation/events';
    const [first, second] = [await stop(), await stop()];
    const listed = await admin('GET', EVENTS);
    expect([at(listed.body, 'data.0.error'), at(listed.body, 'data.0.waiting'), at(listed.body, 'data.0.object')]).to.deep.equal(['Two rows fit.', 0, 'Task']);
    const post = async (path: string): Promise<number> => (await admin('POST', `${EVENTS}/${path}`)).status;
    expect([await post(`${first}/replay`), await post(`${first}/replay`), await post('x/pass')]).to.deep.equal([204, 404, 404]);
    expect(at(JSON.parse((await credenza('event', 'list', '--json')).out), '0.id')).to.equal(second);
    expect((await credenza('event', 'list')).out).to.contain('Two rows fit.');
    expect((await credenza('event', 'pass', second)).code).to.equal(0);
    expect(at((await admin('GET', EVENTS)).body, 'data')).to.deep.equal([]);
    await test.app.worker.drain();
    expect(await rows(db, sql`select id from ${platformTable(db, 'event')}`)).to.deep.equal([]);
  });

  it('accounts that mail is fetched from are shown with what could not be filed', async () => {
    const { db } = test.app;
    await run(
      db,
      sql`insert into ${platformTable(db, 'mail_fetch')} (account, uid_validity, uid, due_at, failures, failed_at, failure)
          values ('provider-inquiries', '7', 12, '2026-03-02T15:02:00Z', 2, '2026-03-02T15:00:00Z', 'ECONNREFUSED: no server')`,
    );
    await run(
      db,
      sql`insert into ${platformTable(db, 'mail_unfiled')} (account, uid_validity, uid, reason, bytes, first_at) values ('provider-inquiries', '7', 3, 'It could not be read.', 99, '2026-03-01T15:00:00Z')`,
    );
    const listed = await admin('GET', '/api/v1/mail/accounts');
    expect(at(listed.body, 'data'), listed.text).to.deep.equal([
      {
        account: 'provider-inquiries',
        fetchedAt: null,
        failedAt: '2026-03-02T15:00:00.000Z',
        failure: 'ECONNREFUSED: no server',
        failures: 2,
        dueAt: '2026-03-02T15:02:00.000Z',
        unfiled: [{ uid: '3', reason: 'It could not be read.', bytes: 99, attempts: 1, firstAt: '2026-03-01T15:00:00.000Z', nextAt: null }],
      },
    ]);
    expect((await (await test.caller('recruiting'))('GET', '/api/v1/mail/accounts')).status).to.equal(403);
    expect(at(JSON.parse((await credenza('mail', 'accounts', '--json')).out), '0.unfiled.0.uid')).to.equal('3');
    expect((await credenza('mail', 'accounts')).out)
      .to.contain('ECONNREFUSED')
      .and.to.contain('It could not be read.');
  });

  it('an unknown mail is settled once, as sent, as failed, or to be sent again', async () => {
    await setMail('unknown');
    const listed = await admin('GET', MAIL);
    expect([at(listed.body, 'data.0.recipient'), at(listed.body, 'data.0.state')]).to.deep.equal(['a@practice.example', 'unknown']);
    const id = String(at(listed.body, 'data.0.id'));
    const settle = async (as: string): Promise<number> => (await admin('POST', `${MAIL}/${id}/settle`, { as })).status;
    expect(await settle('lost')).to.equal(400);
    expect([await settle('sent'), await settle('failed'), await settle('queued')]).to.deep.equal([204, 404, 404]);
    expect(await states('mail_delivery')).to.deep.equal(['sent']);
    await setMail('unknown');
    expect([await settle('failed'), await settle('sent'), await settle('queued')]).to.deep.equal([204, 404, 204]);
    await test.app.worker.drain();
    expect(await states('mail_delivery'), 'without a relay it is captured again').to.deep.equal(['captured']);
    expect(at((await admin('GET', `${MAIL}?state=failed`)).body, 'data')).to.deep.equal([]);

    await setMail('unknown');
    expect((await credenza('mail', 'list')).out).to.contain('a@practice.example');
    expect((await credenza('mail', 'settle', id)).code).to.equal(2);
    expect((await credenza('mail', 'settle', id, '--as', 'sent')).code).to.equal(0);
    expect((await credenza('mail', 'settle', id, '--as', 'sent')).code).to.equal(1);
    expect(await states('mail_delivery')).to.deep.equal(['sent']);
  });

  it('are for administrators only', async () => {
    const other = await test.caller('recruiting');
    const id = '0190b6f0-0000-7000-8000-000000000001';
    for (const [method, path, body] of [
      ['GET', RUNS, undefined],
      ['POST', `${RUNS}/${id}/replay`, undefined],
      ['GET', MAIL, undefined],
      ['POST', `${MAIL}/${id}/settle`, { as: 'sent' }],
    ] as const) {
      expect((await other(method, path, body)).status, path).to.equal(403);
      expect((await test.guest(method, path, body)).status, path).to.equal(401);
    }
    expect((await admin('POST', `${RUNS}/${id}/replay`)).status).to.equal(404);
    expect((await admin('POST', `${MAIL}/x/settle`, { as: 'sent' })).status).to.equal(404);
  });
});
