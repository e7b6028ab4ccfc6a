import { expect } from 'chai';
import { of, startSmall, told, type Small } from './small.ts';

/** Each fact of docs/security.md, and that it is told and no more. */
describe('what is told of hidden data on purpose', () => {
  let small: Small;
  before(async () => {
    small = await startSmall();
  });
  after(() => small.product.stop());

  it('version, moment and author of the last change, of which a hidden field may be all', async () => {
    const { make, product, anna, ask } = small;
    const own = await make('Deal', { name: 'Own', ownerId: anna.id });
    const before = await ask('GET', `/records/Deal/${own}`);
    await product.change('Deal', own, { margin: '7' });
    const after = await ask('GET', `/records/Deal/${own}`);
    expect([before.headers['etag'], after.headers['etag'], of(after, 'data.version')]).to.deep.equal(['"v1"', '"v2"', 2]);
    expect(of(after, 'data.updatedAt')).not.to.equal(of(before, 'data.updatedAt'));
    const rest = (text: string): string => text.replace(/"(version|updatedAt)":("[^"]*"|\d+),/g, '');
    expect(rest(after.text)).to.equal(rest(before.text));
    const entry = of(await ask('GET', `/records/Deal/${own}/history`), 'data.0');
    expect(entry).to.deep.include({ version: 2, kind: 'updated', reason: null, changes: [] });
  });

  it('that a write which changes nothing moves no version, also of a field that one may write and not read', async () => {
    const { make, cara, product, tick } = small;
    const blind = await product.user('Blind', ['owner', 'blind']);
    const hot = await make('Deal', { name: 'Hot', isHot: true, bonus: '5', ownerId: cara.id });
    const send = async (bonus: string): Promise<readonly unknown[]> => {
      tick();
      const path = `/api/v1/records/Deal/${hot}`;
      const answer = await product.call(blind.token, { method: 'PATCH', path, body: { bonus }, headers: { 'if-match': '"v1"' } });
      return [answer.status, answer.headers['etag'], of(answer, 'data.bonus')];
    };
    expect(await send('5')).to.deep.equal([200, '"v1"', null]);
    expect(await send('6')).to.deep.equal([200, '"v2"', null]);
  });

  it('that a unique value is taken, and not by which record', async () => {
    const { make, cara, ask } = small;
    const hidden = await make('Deal', { name: 'Quokka', number: 'TAKEN', ownerId: cara.id });
    const answer = await ask('POST', '/records/Deal', { name: 'Mine', number: 'TAKEN' });
    expect([answer.status, of(answer, 'code'), of(answer, 'errors.0.pointer'), of(answer, 'detail')]).to.deep.equal([
      409,
      'conflict_unique',
      '/number',
      'Another Deal already has this Number.',
    ]);
    expect(answer.text).not.to.include(hidden).and.not.to.include('Quokka');
  });

  it('that a duplicate rule refuses a record, and not for which one', async () => {
    const { make, cara, ask } = small;
    const hidden = await make('Deal', { name: 'Quokka', note: 'word for word', ownerId: cara.id });
    const answer = await ask('POST', '/records/Deal', { name: 'Mine', note: 'word for word' });
    expect([answer.status, of(answer, 'errors.0.rule'), of(answer, 'duplicates')]).to.deep.equal([409, 'same-note', []]);
    expect(answer.text).not.to.include(hidden).and.not.to.include('Quokka');
  });

  it('that the days of a fact overlap those of another, and not which days those are', async () => {
    const { make, ask } = small;
    const account = await make('Account', { name: 'East', region: 'east' });
    await make('Term', { account, since: '2027-03-03', until: '2027-09-09', price: '99' });
    // Of an account that may be seen the term may be seen too; the price may not.
    const answer = await ask('POST', '/records/Term', { account, since: '2027-01-01' });
    expect([answer.status, of(answer, 'errors.0.code')], answer.text).to.deep.equal([409, 'overlap']);
    expect(answer.text).not.to.include('2027-03-03').and.not.to.include('2027-09-09').and.not.to.include('99"');
  });

  it('how many records hold one back from the trash, and neither which nor of which object', async () => {
    const { make, anna, ask } = small;
    const own = await make('Deal', { name: 'Held', ownerId: anna.id });
    for (const text of ['Obsidian', 'Quokka']) await make('Vault', { text, deal: own });
    const answer = await ask('DELETE', `/records/Deal/${own}`, undefined, { 'if-match': '"v1"' });
    expect([answer.status, of(answer, 'code'), of(answer, 'count')]).to.deep.equal([409, 'conflict_reference', 2]);
    expect(answer.text).not.to.match(/Vault|Obsidian|Quokka/);
  });

  it('a roll-up that the metadata declassifies; any other one over hidden records is hidden', async () => {
    const { make, cara, counter, product, ask, tick } = small;
    const account = await make('Account', { name: 'Rolled', region: 'east' });
    for (const amount of ['100', '250']) await make('Deal', { name: `For ${amount}`, account, amount, ownerId: cara.id });
    tick();
    const path = `/api/v1/records/Account/${account}`;
    const seen = await product.call(counter.token, { method: 'GET', path: `${path}?fields=name,worth` });
    expect(of(seen, 'data')).to.deep.equal({ id: account, version: 1, name: 'Rolled', worth: '350' });
    const list = await ask('GET', `/records/Account/${account}?expand=deals`);
    expect([of(list, 'data.expanded.deals.data'), of(list, 'data.bigDeals')]).to.deep.equal([[], 0]);
    for (const asked of ['fields=dealCount', 'fields=worth']) expect((await ask('GET', `/records/Account/${account}?${asked}`)).status, asked).to.equal(400);
    for (const filter of ['dealCount > 1', 'worth > 1'])
      expect((await ask('GET', `/records/Account?filter=${encodeURIComponent(filter)}`)).status).to.equal(400);
  });

  it('the numbers of a sequence, which count hidden records too', async () => {
    const { make, cara, ask } = small;
    const number = async (): Promise<unknown> => of(await ask('POST', '/records/Ticket', { subject: 'mine' }), 'data.number');
    const first = await number();
    await make('Ticket', { subject: 'hidden', ownerId: cara.id });
    const third = await number();
    const value = (text: unknown): number => Number(String(text).replace('T-', ''));
    expect(value(third) - value(first)).to.equal(2);
  });

  it('whether a check or a guard that the metadata writes holds, in its own words and without the value', async () => {
    const { make, anna, ask, product } = small;
    const ticket = await make('Ticket', { subject: 'checked', ceiling: '37', asked: '1', ownerId: anna.id });
    expect((await ask('PATCH', `/records/Ticket/${ticket}`, { asked: '37' }, { 'if-match': '"v1"' })).status).to.equal(200);
    const refused = await ask('PATCH', `/records/Ticket/${ticket}`, { asked: '38' }, { 'if-match': '"v2"' });
    expect([refused.status, of(refused, 'errors.0.detail')]).to.deep.equal([422, 'That is too much.']);
    expect(refused.text).not.to.include('37').and.not.to.include('"ceiling"');
    const team = await make('Team', { name: 'Green' });
    await make('Membership', { team, member: anna.id });
    const deal = await make('Deal', { name: 'Guarded', team, ownerId: small.cara.id, margin: '-5' });
    const states = await ask('GET', `/records/Deal/${deal}/transitions`);
    expect([of(states, 'data.0.name'), of(states, 'data.0.reasons.0.message')], states.text).to.deep.equal(['win', 'It does not pay.']);
    await product.change('Deal', deal, { margin: '5' });
    expect(of(await ask('GET', `/records/Deal/${deal}/transitions`), 'data.0.allowed')).to.equal(true);
  });

  it('nothing at all of whether a hidden record is there', async () => {
    const { make, cara, ask } = small;
    const hidden = await make('Deal', { name: 'Hidden', ownerId: cara.id });
    const absent = '00000000-0000-7000-8002-000000000009';
    const etag = { 'if-match': '"v1"' };
    const asks: readonly (readonly [string, string, unknown, Readonly<Record<string, string>>])[] = [
      ['GET', '', undefined, {}],
      ['GET', '/history', undefined, {}],
      ['GET', '/transitions', undefined, {}],
      ['GET', '?recordedAt=2027-01-02', undefined, {}],
      ['PATCH', '', { city: 'Bern' }, etag],
      ['DELETE', '', undefined, etag],
      ['POST', '/transitions/win', {}, etag],
      ['POST', '/restore', {}, etag],
      ['POST', '/undo', {}, etag],
    ];
    for (const [method, rest, body, headers] of asks) {
      const answers = [await ask(method, `/records/Deal/${hidden}${rest}`, body, headers), await ask(method, `/records/Deal/${absent}${rest}`, body, headers)];
      const [first, second] = answers.map((answer) => told(answer));
      expect(first, `${method} ${rest}`).to.deep.equal(second);
    }
  });
});
