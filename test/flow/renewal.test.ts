import { expect } from 'chai';
import { asJson, asList, type Answer, type Json } from './support/staff.ts';
import { makeWorld, type World } from './support/world.ts';

const TOPICS = { priorAuthorization: 'As agreed.', reimbursement: 'As agreed.', claims: 'As agreed.', rates: 'As agreed.', disputes: 'As agreed.' };

describe('a contract that comes to its last day, and the one after it', function () {
  this.timeout(240_000);
  let world: World;
  let provider: unknown;
  let network: unknown;
  before(async () => {
    world = await makeWorld('2026-03-02T14:00:00Z');
    const { administrator } = world.teams;
    const person = { name: 'Ana Brandt', entityType: 'individual', type: 'pcp', firstName: 'Ana', lastName: 'Brandt', npi: '1234567893' };
    provider = (await administrator.create('Provider', person))['id'];
    network = (await administrator.create('Network', { name: 'West', code: 'WEST', type: 'hmo', lineOfBusiness: 'commercial' }))['id'];
  });
  after(() => world.close());

  const cora = () => world.teams.contracting;
  const show = (id: string): Promise<Json> => cora().get('Contract', id);
  const ruleOf = ({ status, body }: Answer) => [status, asList(body['errors'])[0]?.['rule']];
  const participation = (id: string): Promise<Json> => cora().one('Participation', `contract == '${id}'`);

  /** Signs for the plan as the console does: the evidence and the execution are one. */
  async function signForPlan(id: string): Promise<Answer> {
    const { contentHash } = await show(id);
    const body = { name: 'Paula Plan', title: 'Director of contracting', consent: true, seenHash: contentHash };
    const answer = await cora().call('POST', `/forms/contract-signing/signing/${id}`, body);
    await world.settle();
    return answer;
  }

  /** A contract that was rendered, sent and signed by the provider. */
  async function agreed(more: Json): Promise<string> {
    const signer = { signerName: 'Ana Brandt', signerEmail: 'ana@practice.example' };
    const id = String((await cora().create('Contract', { provider, network, type: 'participation', ...TOPICS, ...signer, ...more }))['id']);
    await cora().move('Contract', id, 'send');
    await world.settle();
    const { contentHash } = await show(id);
    const evidence = { party: 'provider', signerName: 'Ana Brandt', consentText: 'I agree.', signedAt: '2026-03-02T14:00:00Z', contractVersion: 1 };
    await world.teams.administrator.create('Signature', { contract: id, documentHash: contentHash, ...evidence });
    await cora().move('Contract', id, 'provider-sign');
    await world.settle();
    return id;
  }

  let old = '';
  let next = '';

  it('the one in force stands on its last day to its last minute; its successor waits, and whoever signs it is told for what', async () => {
    old = await agreed({ effectiveFrom: '2026-03-02', endsOn: '2026-03-31' });
    expect((await signForPlan(old)).status).to.equal(200);
    next = await agreed({ effectiveFrom: '2026-04-01', endsOn: '2027-03-31' });
    await world.until('2026-04-01T03:59:00Z');
    expect(await show(old)).to.include({ status: 'executed', inForce: true });
    const early = await signForPlan(next);
    expect(ruleOf(early)).to.deep.equal([409, 'none-in-force']);
    expect(JSON.stringify(early.body)).to.contain('Another contract of this provider is in force in this network.').and.contain('in the night after the day');
    expect(await cora().find('Signature', `contract == '${next}' && party == 'plan'`), 'nothing of it is kept').to.deep.equal([]);
    expect(await show(next)).to.include({ status: 'provider-signed', inForce: null });
    expect(asJson((await cora().transitions('Contract', next)).get('execute'))['allowed']).to.equal(false);
  });

  it('it is ended at midnight where the plan is, with its participation; the successor is in force on its first day', async () => {
    await world.until('2026-04-01T04:00:00Z');
    expect(await show(old)).to.include({ status: 'ended', inForce: null, endsOn: '2026-03-31', endReason: 'Its last day has passed.' });
    expect(await participation(old)).to.include({ effectiveFrom: '2026-03-02', effectiveThrough: '2026-03-31', endReason: 'contract-ended' });
    const signed = await signForPlan(next);
    expect(signed.status, JSON.stringify(signed.body)).to.equal(200);
    expect(await show(next)).to.include({ status: 'executed', executedOn: '2026-04-01', inForce: true });
    expect(await participation(next)).to.include({ effectiveFrom: '2026-04-01', effectiveThrough: null });
    expect((await cora().find('Contract', `provider == '${String(provider)}' && inForce == true`)).map((found) => found['id'])).to.deep.equal([next]);
  });

  it('it is ended after days without a worker too, and where its last day was written down late', async () => {
    await cora().update('Contract', next, { endsOn: '2026-04-10', endReason: 'Notice was given.' });
    await world.sleepUntil('2026-04-14T15:00:00Z');
    expect(await show(next)).to.include({ status: 'ended', endReason: 'Notice was given.' });
    const late = await agreed({ effectiveFrom: '2026-04-14' });
    expect((await signForPlan(late)).status).to.equal(200);
    await cora().update('Contract', late, { effectiveFrom: '2026-04-11', endsOn: '2026-04-13' });
    await world.until('2026-04-15T03:59:00Z');
    expect(await show(late)).to.include({ status: 'executed' });
    await world.until('2026-04-15T04:00:00Z');
    expect(await show(late)).to.include({ status: 'ended', inForce: null });
  });

  it('one whose last day passed before everybody had signed is not executed', async () => {
    const over = await agreed({ effectiveFrom: '2026-04-01', endsOn: '2026-04-14' });
    expect(ruleOf(await signForPlan(over))).to.deep.equal([409, 'not-over']);
  });

  it('one without a network is drafted, not sent; once it was sent it keeps one', async () => {
    const draft = await cora().create('Contract', { provider, type: 'participation', ...TOPICS });
    const id = String(draft['id']);
    const values = { effectiveFrom: '2026-05-01', signerName: 'Ana Brandt', signerEmail: 'ana@practice.example' };
    expect(JSON.stringify((await cora().refused('Contract', id, 'send', values)).body)).to.contain('/network');
    await cora().update('Contract', id, { network });
    await cora().move('Contract', id, 'send', values);
    await world.settle();
    const cleared = await cora().call('PATCH', `/records/Contract/${id}`, { network: null }, { 'if-match': `"v${String((await show(id))['version'])}"` });
    expect([cleared.status, asList(cleared.body['errors'])[0]?.['pointer']], JSON.stringify(cleared.body)).to.deep.equal([422, '/network']);
    await cora().move('Contract', id, 'void', { voidReason: 'Drawn up by mistake.' });
  });
});
