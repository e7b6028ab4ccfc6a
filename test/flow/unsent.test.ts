import { expect } from 'chai';
import { isNpi } from '../../src/network/npi/npi.ts';
import { inTransaction } from '../../src/platform/db.ts';
import { deliveriesAbout, insertSuppression } from '../../src/platform/mail/mail.sql.ts';
import type { WriteItem } from '../../src/platform/record/types.ts';
import { platformTable, rows, sql } from '../../src/platform/sql.ts';
import { makeWorld, type World } from './support/world.ts';

const at = (name: string): string => `${name}@practice.example`;

describe('Members of a campaign whose mail did not go', function () {
  this.timeout(60_000);
  let world: World;
  const members = new Map<string, string>();

  const write = async (object: string, item: WriteItem): Promise<string> => {
    const context = await world.app.contextFor({ kind: 'system', name: 'test' }, { kind: 'command', name: 'test' });
    const [outcome] = await inTransaction(world.app.db, (tx) => world.app.engine.write(tx, context, object, [item], { asSystem: true }));
    if (outcome?.ok !== true) throw new Error(`${object} was not written: ${outcome?.message ?? ''}`);
    return outcome.id;
  };
  const suppress = (address: string): Promise<unknown> =>
    inTransaction(world.app.db, (tx) => insertSuppression(tx, address, 'unsubscribe', world.app.clock.now(), null));
  const member = async (name: string): Promise<Readonly<Record<string, unknown>>> => world.teams.recruiting.get('CampaignMember', members.get(name) ?? '');
  const writtenTo = async (): Promise<readonly unknown[]> => {
    const report = (await world.teams.administrator.call('GET', '/reports/funnel')).body['data'] as { readonly rows: readonly Record<string, unknown>[] };
    return report.rows.filter((row) => row['label'] === 'Written to').map((row) => row['count']);
  };
  /** Counted by the mails themselves: members with one that the mail server had, or may have had. */
  const recount = async (): Promise<unknown> => {
    const delivery = platformTable(world.app.db, 'mail_delivery');
    const [row] = await rows(
      world.app.db,
      sql`select count(distinct about_id)::int as n from ${delivery} where about_object = 'CampaignMember' and (state in ('sent', 'unknown') or (state = 'bounced' and attempt > 0))`,
    );
    return row?.['n'];
  };

  before(async () => {
    world = await makeWorld('2026-03-02T12:00:00.000Z');
    const campaign = await write('Campaign', { kind: 'create', values: { name: 'Small', channel: 'email', audience: 'list', invitation: 'Join us.' } });
    const names = ['good', 'refused', 'opted-out', 'leaves', 'given-up', 'doubt', 'again', 'lost'];
    const npis = Array.from({ length: 1000 }, (_, index) => String(1_003_000_000 + index)).filter(isNpi);
    const addresses = [...names.map(at), 'none@m\u00fcnchen.example'];
    for (const [index, email] of addresses.entries()) {
      const lead = await write('Lead', {
        kind: 'create',
        values: { npi: npis[index], entityType: 'individual', firstName: 'Ada', lastName: 'Alder', name: email, email },
      });
      members.set(email.split('@')[0] ?? '', await write('CampaignMember', { kind: 'create', values: { campaign, lead, email } }));
    }
    world.refused.add(at('refused'));
    await suppress(at('opted-out'));
    for (const name of ['leaves', 'given-up']) world.mailRules.set(at(name), 450);
    for (const name of ['doubt', 'again', 'lost']) world.mailRules.set(at(name), 'drop-after-data');
    await write('Campaign', { kind: 'transition', id: campaign, transition: 'start', values: { startsOn: '2026-03-02' } });
    await world.until('2026-03-02T13:00:00Z');
  });
  after(() => world.close());

  it('R004-02 are not counted as written to, and say why', async () => {
    expect(await member('good')).to.include({ status: 'sent', sentOn: '2026-03-02', mailState: null });
    expect(await member('refused')).to.include({ status: 'bounced', sentOn: '2026-03-02', mailState: 'bounced' });
    expect((await member('refused'))['mailReason']).to.contain('550');
    expect(await member('opted-out')).to.include({ status: 'not-sent', sentOn: null, attemptedOn: '2026-03-02', mailState: 'suppressed' });
    expect((await member('opted-out'))['mailReason']).to.contain('opted out');
    expect(await member('none')).to.include({ status: 'bounced', sentOn: null, mailState: 'failed', mailReason: 'This is not one plain e-mail address.' });
    const unknown = (await world.teams.administrator.call('GET', '/mail/deliveries?state=unknown')).body['data'] as readonly Record<string, unknown>[];
    expect(unknown.map((mail) => mail['recipient'])).to.have.members(['doubt', 'again', 'lost'].map(at));
    for (const name of ['doubt', 'again', 'lost']) expect(await member(name), name).to.include({ status: 'sent', sentOn: '2026-03-02', mailState: null });

    expect(await member('leaves'), 'the server asked for patience').to.include({ status: 'sent', mailState: null });
    await suppress(at('leaves'));
    await world.until('2026-03-02T14:00:00Z');
    expect(await member('leaves')).to.include({ status: 'not-sent', sentOn: null, mailState: 'suppressed' });
    await world.until('2026-03-06T13:00:00Z');
    expect(await member('given-up')).to.include({ status: 'not-sent', sentOn: null, mailState: 'failed' });
    expect((await member('given-up'))['mailReason']).to.contain('three days');

    expect(await writtenTo()).to.deep.equal([5]);
    expect(await recount()).to.equal(5);
  });

  it('R004-02 are counted again when the mail is sent once more, and not any more when it comes out that it did not arrive', async () => {
    const settle = async (name: string, as: string): Promise<void> => {
      const [delivery] = await deliveriesAbout(world.app.db, members.get(name) ?? '');
      expect((await world.teams.administrator.call('POST', `/mail/deliveries/${delivery?.id ?? ''}/settle`, { as })).status).to.equal(204);
    };
    await settle('doubt', 'sent');
    expect(await member('doubt')).to.include({ status: 'sent', sentOn: '2026-03-02', mailState: null });
    await settle('lost', 'failed');
    expect(await member('lost')).to.include({ status: 'not-sent', sentOn: null, mailState: 'failed' });
    expect(await writtenTo()).to.deep.equal([4]);
    world.mailRules.clear();
    await settle('again', 'queued');
    await settle('given-up', 'queued');
    await world.settle();
    expect(await member('given-up')).to.include({ status: 'sent', sentOn: '2026-03-06', remindOn: '2026-03-13', mailState: 'queued' });
    expect(await member('again')).to.include({ status: 'sent', sentOn: '2026-03-02' });
    expect(await writtenTo()).to.deep.equal([5]);
    expect(await recount()).to.equal(5);
  });

  it('R004-02 keep what the first mail came to when the reminder does not go', async () => {
    await suppress(at('good'));
    await world.until('2026-03-10T13:00:00Z');
    for (const name of ['good', 'doubt']) expect(await member(name)).to.include({ status: 'sent', sentOn: '2026-03-02', remindedOn: '2026-03-09' });
    const found = await deliveriesAbout(world.app.db, members.get('good') ?? '');
    expect(found.map(({ template, state }) => [template, state])).to.deep.equal([
      ['mail/campaign-reminder', 'suppressed'],
      ['mail/campaign-invitation', 'sent'],
    ]);
  });
});
