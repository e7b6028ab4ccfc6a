import { expect } from 'chai';
import { withCheckDigit } from '../../src/network/npi/npi.ts';
import type { CallContext } from '../../src/platform/access/types.ts';
import { inTransaction } from '../../src/platform/db.ts';
import type { WriteOutcome } from '../../src/platform/record/types.ts';
import { startTestApp, type TestApp } from '../support/app.ts';

describe('joining by recommendation, by several contracts', () => {
  let product: TestApp;
  let context: CallContext;

  before(async () => {
    product = await startTestApp();
    context = await product.app.contextFor({ kind: 'system', name: 'test' }, { kind: 'command', name: 'test' });
  });
  after(() => product.stop());

  const create = async (object: string, values: Readonly<Record<string, unknown>>): Promise<string> => {
    const { app } = product;
    const [outcome]: readonly WriteOutcome[] = await inTransaction(app.db, (tx) => app.engine.write(tx, context, object, [{ kind: 'create', values }]));
    if (outcome?.ok !== true) throw new Error(`The ${object} was not made.`);
    return outcome.id;
  };
  const leads = async (filter: string) => (await product.app.reader.list(product.app.db, context, { object: 'Lead', filter })).data;

  it('R004-04 a nominee becomes a lead with the referrer; one whose NPI or e-mail is known does not become a second lead', async () => {
    const known = withCheckDigit('100000500');
    const fresh = withCheckDigit('100000501');
    const referrer = await create('Lead', { npi: known, firstName: 'Ada', lastName: 'Alder', email: 'ada@practice.example' });
    await create('Nomination', { nominatedBy: referrer, name: 'Ben Birch', npi: fresh });
    await create('Nomination', { nominatedBy: referrer, name: 'Ada again', npi: known });
    await create('Nomination', { nominatedBy: referrer, name: 'Ada by mail', email: 'ada@practice.example' });
    await product.app.worker.drain();
    const nominee = await leads(`npi == '${fresh}'`);
    expect(nominee.map((lead) => [lead['name'], lead['source'], lead['referredBy'], lead['status']])).to.deep.equal([
      ['Ben Birch', 'referral', referrer, 'new'],
    ]);
    expect(await leads("email == 'ada@practice.example'")).to.have.length(1);
    expect(await leads(`referredBy == '${referrer}'`)).to.have.length(1);
  });

  it('R004-16 a provider stands in two networks by two contracts of different type', async () => {
    const provider = await create('Provider', { npi: withCheckDigit('100000600'), name: 'Carla Cedar', type: 'pcp' });
    const types = product.app.store.current().then((model) => model.valueSets.get('contract-type')?.values.map((value) => value.code) ?? []);
    const [first = '', second = ''] = await types;
    for (const [index, type] of [first, second].entries()) {
      const network = await create('Network', { name: `Network ${String(index)}`, code: `N${String(index)}`, type: 'hmo', lineOfBusiness: 'medicaid' });
      const contract = await create('Contract', { provider, network, type, title: `Agreement ${String(index)}` });
      await create('Participation', { provider, network, contract, effectiveFrom: '2027-01-01' });
    }
    const found = await product.app.reader.list(product.app.db, context, {
      object: 'Participation',
      filter: `provider == '${provider}'`,
      expand: ['network', 'contract'],
    });
    expect(found.data).to.have.length(2);
    const contracts = await product.app.reader.aggregate(product.app.db, context, {
      object: 'Contract',
      filter: `provider == '${provider}'`,
      groupBy: ['type'],
      measures: [{ as: 'n', op: 'count' }],
    });
    expect(contracts.data.map((row) => row['n'])).to.deep.equal([1, 1]);
  });

  it('R004-15 an active provider goes on being visited, served and watched: schedules name each of these', async () => {
    const model = await product.app.store.current();
    const onActive = [...model.rules.values()]
      .filter((rule) => ('schedule' in rule.on || 'date' in rule.on) && rule.enabled !== false)
      .map((rule) => rule.name);
    expect(onActive).to.include.members(['visit-plan', 'license-expiring', 'weekly-visit-report', 'case-overdue']);
    expect([...model.mailboxes.keys()]).to.include('provider-inquiries');
    expect([...model.forms.values()].some((form) => form.object === 'Application')).to.equal(true);
  });
});
