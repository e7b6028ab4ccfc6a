import { expect } from 'chai';
import { checkRules } from '../../../src/platform/automation/compile.ts';
import { inTransaction } from '../../../src/platform/db.ts';
import { AppError } from '../../../src/platform/errors.ts';
import type { RuleFile } from '../../../src/platform/metadata/types.ts';
import { makeReader } from '../../../src/platform/query/reader.ts';
import { makeShop, type Shop } from './fixtures/shop.ts';

const CHOSEN =
  "(record.note == null || startsWith(tier, record.note)) && id != record.customer && !invites.exists(i, i.order.title == 'Never ' + record.title)";

const invite: RuleFile = {
  name: 'invite',
  on: { updated: 'Order', fields: ['queue'] },
  do: [
    {
      step: 'create',
      object: 'Invite',
      forEach: { object: 'Customer', filter: `${CHOSEN} && email != null` },
      values: { order: 'id', customer: 'each', email: 'each.email' },
    },
    { step: 'update', values: {}, counts: { quantity: { object: 'Customer', filter: `${CHOSEN} && email == null` } } },
  ],
};

describe('steps for the records that match a filter', () => {
  let shop: Shop;
  before(async () => {
    shop = await makeShop([invite]);
  });
  after(() => shop.drop());

  const order = (values: Readonly<Record<string, unknown>>): Promise<string> => shop.create('Order', { title: 'Autumn', ...values });
  const choose = async (id: string, queue: string): Promise<void> => {
    await shop.write('Order', { kind: 'update', id, values: { queue } });
    await shop.worker.drain();
  };
  const trace = async (): Promise<readonly (string | undefined)[]> => ((await shop.runs('invite'))[0]?.trace.steps ?? []).map((step) => step.reason);

  it('chooses by the fields of its own record, in sets of more than one page; a repetition adds only what is new', async () => {
    const call = await shop.context();
    const many = Array.from({ length: 1203 }, (_, n) => ({
      kind: 'create' as const,
      values: { name: `C${String(n)}`, tier: 'gold-plus', email: `c${String(n)}@example.org` },
    }));
    await inTransaction(shop.db, (tx) => shop.engine.write(tx, call, 'Customer', many, { asSystem: true, events: 'none' }));
    const own = await shop.create('Customer', { name: 'Own', tier: 'gold', email: 'own@example.org' });
    await shop.create('Customer', { name: 'No address', tier: 'gold' });
    await shop.create('Customer', { name: 'Other', tier: "sil'ver", email: 'other@example.org' });
    const id = await order({ note: 'gold', customer: own });
    await choose(id, 'a');
    expect(await countInvites(id)).to.equal(1203);
    expect(await trace()).to.deep.equal(['1203 made.', undefined]);
    expect((await shop.list('Order', `id == '${id}'`))[0]?.['quantity']).to.equal(1);
    await shop.create('Customer', { name: 'Late', tier: 'gold', email: 'late@example.org' });
    await choose(id, 'b');
    expect(await countInvites(id)).to.equal(1204);
    expect(await trace()).to.deep.equal(['1 made, 1203 left out that exist already.', undefined]);
  });

  it('takes text of the record as a value, never as part of the filter; an empty field is null', async () => {
    const quoted = await order({ note: "sil'" });
    await choose(quoted, 'a');
    expect((await shop.list('Invite', `order == '${quoted}'`)).map((entry) => entry['email'])).to.deep.equal(['other@example.org']);
    const injected = await order({ note: "x' || true || '" });
    await choose(injected, 'a');
    expect(await shop.list('Invite', `order == '${injected}'`)).to.deep.equal([]);
  });

  it('refuses, when applied, what the database cannot run, and `once`', async () => {
    const [step, ...others] = invite.do;
    if (step?.step !== 'create') throw new Error('The first step makes records.');
    const refused = async (changed: RuleFile['do'][number]): Promise<string> => {
      try {
        await shop.publish([{ ...invite, do: [changed, ...others] }]);
      } catch (error) {
        if (error instanceof AppError) return [error.message, ...error.errors.map((entry) => entry.detail)].join(' ');
        throw error;
      }
      return 'applied';
    };
    const mixed = '!record.invites.exists(i, i.customer == id)';
    expect(await refused({ ...step, forEach: { object: 'Customer', filter: mixed } })).to.contain('cannot be run by the database');
    expect(await refused({ ...step, once: 'id' })).to.contain('leave `once` out');
    expect(await refused({ ...step, forEach: { object: 'Person' } })).to.contain('no object "Person"');
    expect(checkRules(await shop.store.current())).to.deep.equal([]);
  });

  async function countInvites(id: string): Promise<unknown> {
    const query = { object: 'Invite', filter: `order == '${id}'`, measures: [{ as: 'n', op: 'count' as const }] };
    return (await makeReader().aggregate(shop.db, await shop.context(), query)).data[0]?.['n'];
  }
});
