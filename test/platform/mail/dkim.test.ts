import { createPublicKey, generateKeyPairSync, randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { loadConfig } from '../../../src/config.ts';
import { inTransaction } from '../../../src/platform/db.ts';
import { isAppError } from '../../../src/platform/errors.ts';
import { makeFileStore } from '../../../src/platform/files/store.ts';
import { makeMailQueue } from '../../../src/platform/mail/queue.ts';
import { makeMailSender, type MailSender } from '../../../src/platform/mail/sender.ts';
import type { MailQueue } from '../../../src/platform/mail/types.ts';
import { checkDkim } from '../../support/dkim.ts';
import { makeSmtpSink, type SinkRule, type SmtpSink } from '../../support/smtp-sink.ts';
import { CONFIG, makeDesk, states, type Desk } from './fixtures/desk.ts';

const pem = (bits: number): string => generateKeyPairSync('rsa', { modulusLength: bits }).privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();

describe('signatures of outgoing mail (DKIM)', () => {
  const privateKey = pem(2048);
  const publicKey = createPublicKey(privateKey);
  let desk: Desk;
  let sink: SmtpSink;
  let rules = new Map<string, SinkRule>();
  let sender: MailSender;
  let keys = 0;
  const files = makeFileStore({ newId: randomUUID });
  const key = { domain: 'plan.example', selector: 's2026', privateKey };

  const queue = (to: string, mailClass: 'campaign' | 'transactional', by: MailQueue = desk.queue): Promise<unknown> =>
    inTransaction(desk.db, (tx) =>
      by.queue(tx, desk.context(), {
        template: 'mail/invite',
        to,
        class: mailClass,
        key: `d${String((keys += 1))}`,
        data: { record: { name: 'Zo\u00eb Mu\u00f1oz', day: '2026-03-05' } },
        about: null,
      }),
    );

  before(async () => {
    desk = await makeDesk();
    sink = await makeSmtpSink({ rules: (recipient) => rules.get(recipient) ?? 'accept' });
    sender = makeMailSender({ smtpUrl: sink.url, clock: desk.clock, log: desk.log, files, dkim: key });
  });
  after(async () => {
    sender.close();
    await sink.close();
    await desk.drop();
  });
  beforeEach(async () => {
    rules = new Map();
    sink.messages.length = 0;
    await desk.db.raw('truncate credenza.mail_delivery, credenza.mail_suppression');
  });

  it('hold for the mail as it arrived, and cover the one-click unsubscription (RFC 8058)', async () => {
    await queue('ann@practice.example', 'campaign');
    await queue('bob@practice.example', 'transactional');
    expect(await sender.sendDue(desk.db)).to.include({ sent: 2 });
    const [campaign, other] = ['ann', 'bob'].map((name) => sink.messages.find((message) => message.to.includes(`${name}@practice.example`))?.raw ?? '');
    const found = checkDkim(campaign ?? '', publicKey);
    expect(found).to.include({ domain: 'plan.example', selector: 's2026', bodyHolds: true, headersHold: true });
    expect(found?.fields).to.include.members(['from', 'to', 'subject', 'date', 'message-id', 'content-type', 'list-unsubscribe', 'list-unsubscribe-post']);
    expect(checkDkim(other ?? '', publicKey)).to.include({ bodyHolds: true, headersHold: true });

    const changed = (from: string | RegExp, to: string) => {
      const text = (campaign ?? '').replace(from, to);
      expect(text, String(from)).not.to.equal(campaign);
      return checkDkim(text, publicKey);
    };
    expect(changed('HELLO', 'HALLO')).to.include({ bodyHolds: false, headersHold: true });
    expect(changed(/\/portal\/unsubscribe\//, '/portal/elsewhere/')).to.include({ headersHold: false });
    expect(changed('List-Unsubscribe=One-Click', 'List-Unsubscribe=No')).to.include({ headersHold: false });
    expect(checkDkim(campaign ?? '', createPublicKey(pem(2048)))).to.include({ headersHold: false });
  });

  it('leave it as certain as before when a mail is in doubt: only once its text began to leave', async () => {
    for (const [name, rule] of [
      ['before', 'drop'],
      ['after', 'drop-after-data'],
      ['later', 450],
      ['never', 550],
    ] as const) {
      rules.set(`${name}@practice.example`, rule);
      await queue(`${name}@practice.example`, 'campaign');
    }
    expect(await sender.sendDue(desk.db)).to.include({ requeued: 2, unknown: 1, bounced: 1, sent: 0 });
    expect(await states(desk.db)).to.deep.equal({ queued: 2, unknown: 1, bounced: 1 });
  });

  it('or https links that are missing are told once, when campaign mail leaves', async () => {
    const plain = makeMailQueue({ newId: randomUUID, config: { ...CONFIG, publicUrl: () => 'http://plan.example' } });
    const unsigned = makeMailSender({ smtpUrl: sink.url, clock: desk.clock, log: desk.log, files });
    const from = desk.logged().length;
    await queue('one@practice.example', 'transactional', plain);
    await unsigned.sendDue(desk.db);
    expect(desk.logged().slice(from), 'nobody opts out of a mail about a matter').to.deep.equal([]);
    for (const name of ['two', 'three']) {
      await queue(`${name}@practice.example`, 'campaign', plain);
      await unsigned.sendDue(desk.db);
    }
    const told = desk.logged().slice(from);
    expect(told.map((line) => ['DKIM_KEY_FILE', 'PUBLIC_URL'].filter((setting) => line.includes(setting)))).to.deep.equal([['DKIM_KEY_FILE'], ['PUBLIC_URL']]);
    await queue('four@practice.example', 'campaign');
    await sender.sendDue(desk.db);
    expect(desk.logged().slice(from)).to.have.length(2);
    unsigned.close();
  });
});

describe('settings of signatures', () => {
  let directory = '';
  const file = (name: string, text: string): string => {
    writeFileSync(join(directory, name), text);
    return join(directory, name);
  };
  const wrong = (environment: Record<string, string>): string => {
    try {
      loadConfig(environment, '/nowhere');
    } catch (error) {
      if (isAppError(error, 'config_invalid')) return error.errors.map(({ pointer, detail }) => `${pointer} ${detail}`).join(' ');
      throw error;
    }
    return '';
  };

  before(() => {
    directory = mkdtempSync(join(tmpdir(), 'credenza-dkim-'));
  });
  after(() => rmSync(directory, { recursive: true, force: true }));

  it('name key and selector, and take the domain of the sender', () => {
    const path = file('good.pem', pem(2048));
    const config = loadConfig({ DKIM_KEY_FILE: path, DKIM_SELECTOR: 's2026', MAIL_FROM: 'Network <network@mail.plan.example>' }, '/nowhere');
    expect(config.dkim).to.include({ domain: 'mail.plan.example', selector: 's2026' });
    expect(loadConfig({ DKIM_KEY_FILE: path, DKIM_SELECTOR: 's', DKIM_DOMAIN: 'plan.example' }, '/nowhere').dkim?.domain).to.equal('plan.example');
    expect(loadConfig({}, '/nowhere').dkim).to.equal(null);
  });

  it('are refused at the start when nothing could be signed with them', () => {
    const path = file('good.pem', pem(2048));
    const curve = generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
    const with_ = (key: string): string => wrong({ DKIM_KEY_FILE: key, DKIM_SELECTOR: 's' });
    expect(with_(join(directory, 'none.pem'))).to.contain('cannot be read');
    expect(with_(file('text.pem', 'no key'))).to.contain('no private key');
    expect(with_(file('short.pem', pem(1024)))).to.contain('has 1024 bits');
    expect(with_(file('curve.pem', curve))).to.contain('no RSA key');
    expect(wrong({ DKIM_KEY_FILE: path })).to.contain('both or neither');
    expect(wrong({ DKIM_SELECTOR: 's' })).to.contain('both or neither');
    expect(wrong({ DKIM_KEY_FILE: path, DKIM_SELECTOR: 'a b', DKIM_DOMAIN: 'x;d=evil' }))
      .to.contain('/DKIM_SELECTOR')
      .and.to.contain('/DKIM_DOMAIN');
  });
});
