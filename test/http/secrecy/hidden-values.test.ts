import { expect } from 'chai';
import { inTransaction } from '../../../src/platform/db.ts';
import { platformTable, run, sql } from '../../../src/platform/sql.ts';
import { idOf } from './rows.ts';
import { of, startSmall, told, type Small } from './small.ts';

describe('what is hidden is told by no side road', () => {
  let small: Small;
  before(async () => {
    small = await startSmall();
  });
  after(() => small.product.stop());

  it('leaves out the reason where a change is left out', async () => {
    const { make, product, anna, ask } = small;
    const own = await make('Deal', { name: 'Own', ownerId: anna.id });
    await product.change('Deal', own, { amount: '5' }, 'Counted again.');
    await product.change('Deal', own, { margin: '7', city: 'Bern' }, 'It earns 7 now.');
    const history = await ask('GET', `/records/Deal/${own}/history`);
    expect([of(history, 'data.0.reason'), of(history, 'data.0.changes.0.field'), of(history, 'data.1.reason')]).to.deep.equal([null, 'city', 'Counted again.']);
    expect(history.text).not.to.include('earns');
  });

  it('speaks alike of a hidden record and of none when a reference to one of several objects is a bare id', async () => {
    const { make, cara, ask } = small;
    const hidden = await make('Deal', { name: 'Hidden', ownerId: cara.id });
    const about = (id: string): ReturnType<Small['ask']> => ask('POST', '/records/Remark', { text: 'x', about: id, deal: id });
    const [there, absent] = [await about(hidden), await about(idOf('Deal', 99_999))];
    expect(told(there)).to.deep.equal(told(absent));
    expect([there.status, of(there, 'errors.1.fix')]).to.deep.equal([422, 'Choose an existing record.']);
  });

  it('takes bare ids of records that may be seen, and asks records that point at one of several objects', async () => {
    const { make, anna, ask } = small;
    const own = await make('Deal', { name: 'Spoken of', ownerId: anna.id });
    const made = await ask('POST', '/records/Remark', { text: 'About it', about: own, deal: own });
    expect(made.status, made.text).to.equal(201);
    expect(of(made, 'data.about')).to.deep.equal({ object: 'Deal', id: own });
    const found = await ask('GET', `/records/Deal?fields=name&filter=${encodeURIComponent("mentions.exists(m, m.text == 'About it')")}`);
    expect(of(found, 'data'), found.text).to.deep.equal([{ id: own, version: 1, name: 'Spoken of' }]);
  });

  it('guesses a count only where the guess is made of what the caller sees', async () => {
    const { product, make, auditor, tick } = small;
    const account = await make('Account', { name: 'West', region: 'west', tier: 'gold' });
    const context = await product.app.contextFor({ kind: 'system', name: 'test' }, { kind: 'command', name: 'test' });
    for (let part = 0; part < 3; part += 1) {
      const items = Array.from({ length: 400 }, (_, at) => ({ kind: 'create' as const, values: { name: `Item ${String(at)}`, size: 1, account } }));
      await inTransaction(product.app.db, (tx) => product.app.engine.write(tx, context, 'Item', items, { mode: 'atomic' }));
    }
    await run(product.app.db, sql`analyze`);
    const counted = async (more: string): Promise<unknown> => {
      tick();
      return of(await product.call(auditor.token, { method: 'GET', path: `/api/v1/records/Item?limit=1&count=estimate${more}` }), 'meta');
    };
    expect(await counted('')).to.deep.equal({ count: 1_200, countIsEstimate: true });
    expect(await counted('&size=1')).to.deep.equal({ count: 1_200, countIsEstimate: true });
    const capped = { count: 1_000, countIsCapped: true };
    expect(await counted(`&filter=${encodeURIComponent("account.name != 'x'")}`)).to.deep.equal(capped);
    expect(await counted(`&filter=${encodeURIComponent("accountRegion != 'x'")}`)).to.deep.equal(capped);
    expect(await counted('&search=item')).to.deep.equal(capped);
  });

  it('lists pairs that may be seen, however many hidden ones are newer', async () => {
    const { make, product, anna, cara, ask } = small;
    for (const ownerId of [anna.id, anna.id]) await make('Deal', { name: 'Twin', city: 'Zug', ownerId });
    const hidden = await make('Deal', { name: 'Far', ownerId: cara.id });
    await run(
      product.app.db,
      sql`insert into ${platformTable(product.app.db, 'duplicate_pair')} (id, object, rule, first_id, second_id, score, found_at)
          select gen_random_uuid(), 'Deal', 'alike', gen_random_uuid(), ${hidden}::uuid, 1, '2028-01-01T00:00:00Z'::timestamptz + n * interval '1 second' from generate_series(1, 1100) as n`,
    );
    const listed = await ask('GET', '/duplicates?object=Deal');
    expect(listed.status, listed.text).to.equal(200);
    const pairs = of(listed, 'data');
    expect(Array.isArray(pairs) ? pairs.length : listed.text).to.equal(1);
    expect(of(listed, 'data.0.records.0.name')).to.match(/^Twin/);
  });

  it('keeps to itself why a hidden record cannot lose its reference', async () => {
    const { make, anna, cara, ask } = small;
    const own = await make('Deal', { name: 'Held', ownerId: anna.id });
    await make('Ticket', { subject: 'bound', deal: own, ownerId: cara.id });
    const refused = await ask('DELETE', `/records/Deal/${own}`, undefined, { 'if-match': '"v1"' });
    expect([refused.status, of(refused, 'detail')]).to.deep.equal([409, 'Another record that points here cannot lose its reference.']);
  });

  it('names the fields that clash only where they may be read', async () => {
    const { make, product, anna, ask } = small;
    const own = await make('Deal', { name: 'Clash', ownerId: anna.id });
    await product.change('Deal', own, { bonus: '5', city: 'Zug' });
    const stale = await ask('PATCH', `/records/Deal/${own}`, { bonus: '6', city: 'Bern' }, { 'if-match': '"v1"' });
    expect([stale.status, of(stale, 'clashing')]).to.deep.equal([412, ['city', 'bonus']]);
    const blind = await product.user('Blind', ['owner', 'blind']);
    const hot = await make('Deal', { name: 'Hot', isHot: true, ownerId: small.cara.id });
    await product.change('Deal', hot, { bonus: '5', city: 'Zug' });
    const sent = { method: 'PATCH', path: `/api/v1/records/Deal/${hot}`, body: { bonus: '6', city: 'Bern' }, headers: { 'if-match': '"v1"' } };
    const other = await product.call(blind.token, sent);
    expect([other.status, of(other, 'clashing'), of(other, 'current.bonus')], other.text).to.deep.equal([412, ['city'], null]);
  });

  it('moves no hidden value by a merge to where it may be read', async () => {
    const { product, make, anna, ask, tick } = small;
    tick();
    const survivor = await make('Deal', { name: 'Stays', ownerId: anna.id });
    const source = await make('Deal', { name: 'Goes', ownerId: anna.id, city: 'Chur', bonus: '77' });
    const merge = (): ReturnType<Small['ask']> =>
      ask('POST', `/records/Deal/${survivor}/merge`, { sources: [{ id: source, version: 1 }], preview: true }, { 'if-match': '"v1"' });
    const open = await merge();
    expect([of(open, 'data.city'), of(open, 'data.bonus')], open.text).to.deep.equal(['Chur', '77']);
    // Somebody who may delete what goes but may read its bonus in rows of her own only.
    const keeper = await product.user('Keeper', ['owner', 'blind']);
    const kept = await make('Deal', { name: 'Hers', ownerId: keeper.id });
    const hot = await make('Deal', { name: 'Hot', isHot: true, ownerId: anna.id, city: 'Chur', bonus: '88' });
    tick();
    const answer = await product.call(keeper.token, {
      method: 'POST',
      path: `/api/v1/records/Deal/${kept}/merge`,
      body: { sources: [{ id: hot, version: 1 }], preview: true },
      headers: { 'if-match': '"v1"' },
    });
    expect([of(answer, 'data.city'), of(answer, 'data.bonus')], answer.text).to.deep.equal(['Chur', null]);
  });

  it('tells of the duplicate that may be seen as if there were no hidden one', async () => {
    const { make, anna, cara, ask } = small;
    const own = await make('Deal', { name: 'First', serial: 'S-1', ownerId: anna.id });
    await make('Deal', { name: 'Quokka', note: 'the same', ownerId: cara.id });
    const alone = await ask('POST', '/records/Deal', { name: 'Second', serial: 'S-1', note: 'another' });
    const both = await ask('POST', '/records/Deal', { name: 'Second', serial: 'S-1', note: 'the same' });
    expect(told(both)).to.deep.equal(told(alone));
    expect([both.status, of(both, 'errors.0.rule'), of(both, 'duplicates.0.id'), of(both, 'duplicates.1')]).to.deep.equal([409, 'same-serial', own, undefined]);
  });
});
