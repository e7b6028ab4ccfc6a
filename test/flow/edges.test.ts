import { expect } from 'chai';
import { inTransaction } from '../../src/platform/db.ts';
import { deliveriesAbout } from '../../src/platform/mail/mail.sql.ts';
import type { WriteItem } from '../../src/platform/record/types.ts';
import { addresses, makeWorld, type World } from './support/world.ts';

const NPI = '1003006008';

describe('What seldom happens', function () {
  this.timeout(60_000);
  let world: World;
  before(async () => {
    world = await makeWorld('2026-03-02T15:00:00.000Z');
  });
  after(() => world.close());

  const write = async (object: string, item: WriteItem): Promise<string> => {
    const context = await world.app.contextFor({ kind: 'system', name: 'test' }, { kind: 'command', name: 'test' });
    const [outcome] = await inTransaction(world.app.db, (tx) => world.app.engine.write(tx, context, object, [item], { asSystem: true }));
    if (outcome?.ok !== true) throw new Error(`${object} was not written: ${outcome?.message ?? ''}`);
    return outcome.id;
  };
  const person = { npi: NPI, entityType: 'individual', firstName: 'Ada', lastName: 'Alder' };
  const apply = async (): Promise<string> => {
    const values = { ...person, providerType: 'pcp', email: 'ada@practice.example', attestationName: 'Ada Alder', attestedAt: '2026-03-02T14:00:00.000Z' };
    const id = await write('Application', { kind: 'create', values });
    const license = { application: id, type: 'physician', state: 'MA', number: `L${id.slice(-6)}` };
    await write('License', { kind: 'create', values: license });
    await world.settle();
    await write('Application', { kind: 'transition', id, transition: 'submit' });
    await world.settle();
    return id;
  };

  it('R004-05 a provider who applies again is linked to the record that exists, with what the application brought', async () => {
    const carl = world.teams.credentialing;
    for (const [status, later] of [
      ['active', 'active'],
      ['terminated', 'applicant'],
    ] as const) {
      const known = await carl.find('Provider', `npi == '${NPI}'`);
      const provider =
        known.length > 0
          ? String(known[0]?.['id'])
          : await write('Provider', { kind: 'create', values: { ...person, name: 'Ada Alder', type: 'pcp', status } });
      if (known.length > 0) await write('Provider', { kind: 'transition', id: provider, transition: 'terminate', values: { terminationReason: 'voluntary' } });
      const application = await apply();
      expect(await carl.get('Application', application)).to.include({ provider, status: 'submitted' });
      expect(await carl.find('Provider', `npi == '${NPI}'`)).to.have.length(1);
      expect(await carl.get('Provider', provider)).to.include({ status: later });
      expect(await carl.one('License', `application == '${application}'`)).to.include({ provider });
      expect((await carl.find('Verification', `application == '${application}'`)).length).to.be.greaterThan(3);
      await write('Application', { kind: 'transition', id: application, transition: 'withdraw' });
      await world.settle();
    }
    world.mails();
  });

  it('R003-03 an automatic reply is filed, and neither acknowledged nor counted as acknowledged', async () => {
    const adam = world.teams.advocate;
    const mail = { from: 'office@practice.example', to: 'inquiries@plan.example', text: 'I am back on Monday.' };
    await world.write({ ...mail, subject: 'Out of office', headers: { 'Auto-Submitted': 'auto-replied' } });
    await world.settle();
    const filed = await adam.one('Case', "this.subject == 'Out of office'");
    expect(filed).to.include({ automatic: true, acknowledgedAt: null, status: 'open' });
    expect((await adam.find('Message', `case == '${String(filed['id'])}'`)).map((message) => [message['direction'], message['automatic']])).to.deep.equal([
      ['in', true],
    ]);
    expect(addresses(world.mails())).to.deep.equal([]);
    await world.write({ ...mail, subject: 'A question' });
    await world.settle();
    expect(await adam.one('Case', "this.subject == 'A question'")).to.include({ automatic: false, acknowledgedAt: '2026-03-02T15:00:00.000Z' });
    expect(addresses(world.mails())).to.have.length(1);
  });

  it('R004-02 a member whose address is none counts as bounced with the reason, the other members get their mail', async () => {
    const campaign = await write('Campaign', { kind: 'create', values: { name: 'Small', channel: 'email', audience: 'list', invitation: 'Join us.' } });
    const member = async (npi: string, email: string): Promise<string> => {
      const lead = await write('Lead', { kind: 'create', values: { ...person, npi, name: `Lead ${npi}`, email } });
      return write('CampaignMember', { kind: 'create', values: { campaign, lead, email } });
    };
    const [bad, good] = [await member('1003000126', 'praxis@m\u00fcnchen.example'), await member('1003000142', 'good@practice.example')];
    await write('Campaign', { kind: 'transition', id: campaign, transition: 'start', values: { startsOn: '2026-03-02' } });
    world.mails();
    await world.until('2026-03-02T18:00:00.000Z');
    const { recruiting } = world.teams;
    expect(await recruiting.get('CampaignMember', bad)).to.include({ status: 'bounced' });
    expect(await recruiting.get('CampaignMember', good)).to.include({ status: 'sent' });
    expect(addresses(world.mails()).map((mail) => mail.split(':')[0])).to.deep.equal(['good@practice.example']);
    const found = await deliveriesAbout(world.app.db, bad);
    expect(found.map(({ state, lastError }) => ({ state, lastError }))).to.deep.equal([
      { state: 'failed', lastError: 'This is not one plain e-mail address.' },
    ]);
  });

  it('R000-10 a visit is held and reported by a specialist of provider relations only', async () => {
    const { relations, recruiting, network } = world.teams;
    const provider = await write('Provider', { kind: 'create', values: { ...person, npi: '1003000134', name: 'Bea Birch', type: 'pcp', status: 'active' } });
    const visit = await relations.create('Visit', { provider, channel: 'office', purpose: 'routine', specialist: recruiting.id });
    const id = String(visit['id']);
    const refused = await relations.refused('Visit', id, 'hold');
    expect(refused.status).to.equal(409);
    expect(refused.body['detail']).to.contain('The specialist is not of provider relations.');
    expect((await network.refused('Visit', id, 'hold')).status).to.equal(403);
    await relations.update('Visit', id, { specialist: relations.id });
    expect(await relations.move('Visit', id, 'hold')).to.include({ status: 'held', specialist: relations.id });
  });
});
