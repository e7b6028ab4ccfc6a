import { Writable } from 'node:stream';
import { expect } from 'chai';
import { makeDeliveryTransition } from '../../../src/platform/automation/actions.ts';
import { inTransaction } from '../../../src/platform/db.ts';
import { makeLog } from '../../../src/platform/log.ts';
import type { DeliverySummary } from '../../../src/platform/mail/mail.sql.ts';
import { ident, rows, run, sql } from '../../../src/platform/sql.ts';
import { at, startTestApp, type Client, type TestApp } from '../../support/app.ts';

describe('what became of a mail is told to its record', () => {
  let test: TestApp;
  let admin: Client;
  let lead = '';
  let campaign = '';
  const lines: string[] = [];
  const log = makeLog(
    'warn',
    new Writable({
      write(chunk, _encoding, done) {
        lines.push(String(chunk));
        done();
      },
    }),
  );

  before(async () => {
    test = await startTestApp();
    admin = await test.caller('administrator');
    lead = await create('Lead', {
      npi: '1234567893',
      name: 'Ada Byron',
      firstName: 'Ada',
      lastName: 'Byron',
      entityType: 'individual',
      email: 'ada@practice.example',
    });
    campaign = await create('Campaign', { name: 'Spring', channel: 'email', invitation: 'standard' });
  });
  after(() => test.stop());

  async function create(object: string, values: Readonly<Record<string, unknown>>): Promise<string> {
    const answer = await admin('POST', `/api/v1/records/${object}`, values);
    expect(answer.status, answer.text).to.equal(201);
    return String(at(answer.body, 'data.id'));
  }

  async function member(): Promise<string> {
    await run(test.app.db, sql`delete from ${ident('credenza', await table('CampaignMember'))}`);
    return create('CampaignMember', { campaign, lead, email: 'ada@practice.example' });
  }
  const table = async (object: string): Promise<string> => (await test.app.store.current()).objects.get(object)?.table ?? '';
  const told = (id: string): Promise<void> => {
    const context = () => test.app.contextFor({ kind: 'system', name: 'mail' }, { kind: 'command', name: 'test' });
    const delivery: DeliverySummary = {
      id,
      class: 'campaign',
      template: 'mail/test',
      recipient: 'ada@practice.example',
      subject: 'Join us',
      about: { object: 'CampaignMember', id },
      group: null,
      state: 'sent',
      attempt: 1,
      lastError: null,
      createdAt: '2026-01-01T00:00:00.000Z',
      sentAt: null,
    };
    return inTransaction(test.app.db, async (tx) => {
      await makeDeliveryTransition({ engine: test.app.engine, context, log }, 'unsubscribe')(tx, delivery);
      await run(tx, sql`insert into credenza.mail_suppression (address, reason, at) values (${id}, 'unsubscribe', now())`);
    });
  };
  const status = async (id: string): Promise<unknown> => at((await admin('GET', `/api/v1/records/CampaignMember/${id}`)).body, 'data.status');

  it('moves the record', async () => {
    const id = await member();
    await told(id);
    expect(await status(id)).to.equal('unsubscribed');
    expect(lines).to.have.length(0);
  });

  it('keeps the opt-out when the record cannot be moved, and says so without naming anybody', async () => {
    const id = await member();
    const column = (await test.app.store.current()).objects.get('CampaignMember')?.fields.get('campaign')?.column ?? '';
    // A record as an older version of the metadata allowed it: what is required now was not.
    const members = await table('CampaignMember');
    const required = await rows(
      test.app.db,
      sql`select conname as name from pg_constraint where conrelid = ${`credenza.${members}`}::regclass and contype = 'c'`,
    );
    for (const { name } of required) await run(test.app.db, sql`alter table ${ident('credenza', members)} drop constraint ${ident(String(name))}`);
    await run(test.app.db, sql`update ${ident('credenza', members)} set ${ident(column)} = null where id = ${id}::uuid`);
    await told(id);
    expect(await rows(test.app.db, sql`select 1 from credenza.mail_suppression where address = ${id}`)).to.have.length(1);
    expect(await status(id)).to.equal('planned');
    expect(lines).to.have.length(1);
    expect(lines[0]).to.contain(id).and.to.contain('validation_failed').and.not.to.contain('ada@');
  });
});
