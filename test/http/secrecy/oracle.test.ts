import { expect } from 'chai';
import pg from 'pg';
import type { MetadataSet } from '../../../src/platform/metadata/types.ts';
import { secrecySet } from './metadata.ts';
import { startProduct, type Product, type Received, type Sent } from './product.ts';
import { idOf } from './rows.ts';
import { rankTest } from './rank-test.ts';

const DEALS = 12;
const HIDDEN = 'margin';
/** No name is like this one; of the same length, so that places in errors agree. */
const UNKNOWN = 'zqvxjk';
/** Readable in rows of one's own, hidden in those of the team. */
const PARTLY = 'bonus';
const RECORDS = '/api/v1/records';

interface Side {
  readonly product: Product;
  readonly token: string;
}

/** Deals of Anna's team: she sees them, not their margin and not their bonus. The values are mirrored in the other database. */
async function startSide(set: MetadataSet, isLeft: boolean): Promise<Side> {
  const product = await startProduct(set);
  product.at(1);
  const anna = await product.user('Anna', ['owner', 'colleague', 'guest-of-deal']);
  const cara = await product.user('Cara', ['owner']);
  product.at(2);
  await product.make('Team', idOf('Team', 1), { name: 'Blue' });
  await product.make('Membership', idOf('Membership', 1), { team: idOf('Team', 1), member: anna.id });
  await product.make('Account', idOf('Account', 1), { name: 'Harbor', code: 'E-1', region: 'east', ownerId: cara.id });
  for (let at = 1; at <= DEALS; at += 1) {
    product.at(10 + at);
    const isHers = at > DEALS - 3;
    const secret = String(isLeft ? at * 8 : 100 - at * 8);
    const whose = isHers ? { ownerId: anna.id, bonus: String(at) } : { ownerId: cara.id, team: idOf('Team', 1), bonus: secret };
    const values = { name: `Deal ${String(at)}`, number: `D-${String(at)}`, amount: String(at), account: idOf('Account', 1), margin: secret, ...whose };
    await product.make('Deal', idOf('Deal', at), values);
  }
  return { product, token: anna.token };
}

const get = (path: string, parameters: Readonly<Record<string, string>>): Sent => ({
  method: 'GET',
  path: `${path}?${new URLSearchParams(parameters).toString()}`,
});
const list = (parameters: Readonly<Record<string, string>>): Sent => get(`${RECORDS}/Deal`, parameters);
const post = (path: string, body: unknown): Sent => ({ method: 'POST', path, body });
const patch = (values: Readonly<Record<string, unknown>>, version: number, at = DEALS): Sent => ({
  method: 'PATCH',
  path: `${RECORDS}/Deal/${idOf('Deal', at)}`,
  body: values,
  headers: { 'if-match': `"v${String(version)}"` },
});

/** Everything that an attacker who knows the name of a field may ask about a bound. */
const ORACLES: Readonly<Record<string, (field: string, bound: string) => Sent>> = {
  'filter <': (field, bound) => list({ filter: `${field} < ${bound}` }),
  'filter >=': (field, bound) => list({ filter: `${field} >= ${bound}`, count: 'exact' }),
  'filter ==': (field, bound) => list({ filter: `${field} == ${bound}` }),
  'filter in a choice': (field, bound) => list({ filter: `name == 'Deal 1' || ${field} > ${bound}` }),
  'filter beside an unknown name': (field, bound) => list({ filter: `${field} > ${bound} && nothing == 1` }),
  'filter of a wrong kind': (field, bound) => list({ filter: `${field} > 'x${bound}'` }),
  'filter along a reference and back': (field, bound) => list({ filter: `account.deals.exists(d, d.${field} > ${bound})` }),
  'filter by a sum': (field, bound) => get(`${RECORDS}/Account`, { filter: `deals.map(d, d.${field}).sum() > ${bound}` }),
  equality: (field, bound) => list({ [field]: bound }),
  'equality with no value': (field) => list({ [field]: 'nothing' }),
  count: (field, bound) => list({ filter: `${field} > ${bound}`, count: 'exact', limit: '1', fields: 'id' }),
  'count at most': (field, bound) => list({ filter: `${field} > ${bound}`, count: 'capped', limit: '1' }),
  estimate: (field, bound) => list({ [field]: bound, count: 'estimate', limit: '1' }),
  sort: (field) => list({ sort: field }),
  'sort downwards, one record': (field) => list({ sort: `-${field}`, limit: '1' }),
  'sort by more': (field) => list({ sort: `account,${field}` }),
  'cursor of an order': (field, bound) => list({ sort: field, cursor: Buffer.from(JSON.stringify([1, 'x', bound, idOf('Deal', 1)])).toString('base64url') }),
  fields: (field) => list({ fields: `name,${field}` }),
  'fields of one record': (field) => get(`${RECORDS}/Deal/${idOf('Deal', 1)}`, { fields: field }),
  expand: (field) => list({ expand: field }),
  query: (field, bound) => post(`${RECORDS}/Deal/query`, { filter: `${field} > ${bound}`, sort: ['name'], count: 'exact' }),
  'query equals': (field, bound) => post(`${RECORDS}/Deal/query`, { equals: { [field]: bound } }),
  'groups by it': (field) => post(`${RECORDS}/Deal/aggregate`, { groupBy: [field], measures: [{ as: 'n', op: 'count' }] }),
  'its sum': (field) => post(`${RECORDS}/Deal/aggregate`, { measures: [{ as: 'n', op: 'sum', field }] }),
  'its median of days': (field) => post(`${RECORDS}/Deal/aggregate`, { measures: [{ as: 'n', op: 'medianDays', field, since: 'openedOn' }] }),
  'days since it': (field) => post(`${RECORDS}/Deal/aggregate`, { measures: [{ as: 'n', op: 'medianDays', field: 'openedOn', since: field }] }),
  'groups of those that fit': (field, bound) =>
    post(`${RECORDS}/Deal/aggregate`, { groupBy: ['name'], filter: `${field} > ${bound}`, measures: [{ as: 'n', op: 'count' }] }),
  'export of those that fit': (field, bound) => get('/api/v1/exports/Deal', { filter: `${field} > ${bound}`, format: 'ndjson' }),
  'export of it': (field) => get('/api/v1/exports/Deal', { fields: field }),
  create: (field, bound) => post(`${RECORDS}/Deal`, { name: 'x', [field]: bound }),
  'create with a wrong value': (field) => post(`${RECORDS}/Deal`, { name: 'x', [field]: { no: 'value' } }),
  change: (field, bound) => patch({ [field]: bound }, 1),
  'change of what has changed': (field, bound) => patch({ [field]: bound }, 7),
  'change of a record that one may not change': (field, bound) => patch({ [field]: bound }, 1, 1),
  bulk: (field, bound) =>
    post(`${RECORDS}/Deal/bulk`, { mode: 'each', items: [{ kind: 'update', id: idOf('Deal', DEALS), version: 1, values: { [field]: bound } }] }),
};

/** Roads on which no field is named; the hidden value stands in what is asked. */
const BLIND: Readonly<Record<string, (bound: string) => Sent>> = {
  search: (bound) => get('/api/v1/search', { q: bound }),
  'search in a list': (bound) => list({ search: bound, count: 'exact' }),
  'a unique number': (bound) => post(`${RECORDS}/Deal`, { number: `D-${bound}` }),
  'If-Match': (bound) => patch({ city: 'Bern' }, 5 + Number(bound)),
  'change of what one may not change': (bound) => patch({ city: bound }, 1, 1),
  duplicates: (bound) => get(`${RECORDS}/Deal/${idOf('Deal', 1 + (Number(bound) % DEALS))}/duplicates`, {}),
  history: (bound) => get(`${RECORDS}/Deal/${idOf('Deal', 1 + (Number(bound) % DEALS))}/history`, {}),
  'partly hidden, filter': (bound) => list({ filter: `${PARTLY} > ${bound}`, count: 'exact' }),
  'partly hidden, not': (bound) => list({ filter: `!(${PARTLY} > ${bound})`, count: 'exact' }),
  'partly hidden, equality': (bound) => list({ [PARTLY]: bound, count: 'exact' }),
  'partly hidden, formula': (bound) => list({ filter: `reward > ${bound}`, fields: 'name,reward' }),
  'partly hidden, sum of the account': (bound) => get(`${RECORDS}/Account`, { filter: `deals.map(d, d.${PARTLY}).sum() > ${bound}` }),
  'partly hidden, groups': (bound) =>
    post(`${RECORDS}/Deal/aggregate`, { groupBy: [PARTLY], filter: `amount > ${bound} || amount != null`, measures: [{ as: 'n', op: 'max', field: PARTLY }] }),
};

/** The bounds of a binary search between 0 and 100, whichever way it turns. */
const BOUNDS = ['50', '25', '75', '12', '37', '62', '88', '8', '16', '92', '84', '96'];

describe('an attacker who knows the name of a hidden field', () => {
  let left: Side;
  let right: Side;
  before(async function () {
    this.timeout(120_000);
    const set = secrecySet();
    left = await startSide(set, true);
    right = await startSide(set, false);
  });
  after(async () => {
    await left.product.stop();
    await right.product.stop();
  });

  let second = 5_000;
  const both = async (sent: Sent): Promise<readonly [Received, Received]> => {
    second += 1;
    for (const { product } of [left, right]) product.at(second);
    return [await left.product.call(left.token, sent), await right.product.call(right.token, sent)];
  };
  /** Status, headers and body, with the name that was asked for as `*`. */
  const worded = ({ status, headers, text }: Received, name: string): string =>
    JSON.stringify([status, { ...headers, etag: undefined, 'content-length': undefined, 'x-request-id': undefined }, text])
      .replaceAll(name, '*')
      .replace(/requestId[^,}]*/g, '');

  it('learns no bit by a binary search on any road, and is answered as for an unknown name', async function () {
    this.timeout(120_000);
    const leaks: string[] = [];
    let calls = 0;
    for (const [road, make] of Object.entries(ORACLES)) {
      for (const bound of BOUNDS) {
        const [here, there] = await both(make(HIDDEN, bound));
        const [unknown] = await both(make(UNKNOWN, bound));
        calls += 4;
        if (worded(here, HIDDEN) !== worded(there, HIDDEN)) leaks.push(`${road} ${bound}: ${here.text}\n  ${there.text}`);
        if (worded(here, HIDDEN) !== worded(unknown, UNKNOWN)) leaks.push(`${road} ${bound}: ${worded(here, HIDDEN)}\n  unknown: ${worded(unknown, UNKNOWN)}`);
        if (here.status < 400 || here.status >= 500) leaks.push(`${road} ${bound}: answered with ${String(here.status)} ${here.text}`);
      }
    }
    process.stdout.write(`      ${String(calls)} calls on ${String(Object.keys(ORACLES).length)} roads\n`);
    expect(leaks.slice(0, 6).join('\n')).to.equal('');
  });

  it('learns no bit where no hidden field is named, or one that is hidden in these rows only', async function () {
    this.timeout(120_000);
    const leaks: string[] = [];
    for (const [road, make] of Object.entries(BLIND)) {
      for (const bound of BOUNDS) {
        const [here, there] = await both(make(bound));
        if (worded(here, '\n') !== worded(there, '\n')) leaks.push(`${road} ${bound}: ${here.text}\n  ${there.text}`);
        expect(here.status, `${road} ${here.text}`).to.be.lessThan(500);
      }
    }
    expect(leaks.slice(0, 6).join('\n')).to.equal('');
  });

  it('reads nothing in a cursor, whatever the list is ordered by', async () => {
    for (const sort of [PARTLY, `-${PARTLY}`, `-reward,${PARTLY}`, 'name', '-updatedAt']) {
      let cursor: string | undefined;
      for (let page = 0; page < DEALS; page += 1) {
        const [here, there] = await both(list({ sort, limit: '1', fields: 'name', ...(cursor === undefined ? {} : { cursor }) }));
        expect(here.status, here.text).to.equal(200);
        const next = /"next":"([^"]+)"/.exec(here.text)?.[1];
        expect(/"next":"([^"]+)"/.exec(there.text)?.[1], sort).to.equal(next);
        if (next === undefined) break;
        const parts: unknown = JSON.parse(Buffer.from(next, 'base64url').toString('utf8'));
        const id = Array.isArray(parts) ? String(parts.at(-1)) : '';
        const isHers = Number(id.slice(-12)) > DEALS - 3;
        if (sort.includes(PARTLY) && !isHers && Array.isArray(parts))
          expect(parts.slice(2, -1), sort).to.satisfy((keys: readonly unknown[]) => keys.every((key) => key === null));
        cursor = next;
      }
    }
  });

  it('makes the database work alike: the same statements, as many of them', async () => {
    for (const [road, make] of Object.entries(ORACLES)) {
      const asked = [
        await statementsOf(left, make(HIDDEN, '50')),
        await statementsOf(right, make(HIDDEN, '50')),
        await statementsOf(left, make(UNKNOWN, '50')),
      ];
      expect(asked[1], road).to.deep.equal(asked[0]);
      expect(asked[2], road).to.deep.equal(asked[0]);
    }
    for (const [road, make] of Object.entries(BLIND)) expect(await statementsOf(right, make('50')), road).to.deep.equal(await statementsOf(left, make('50')));
    expect(await statementsOf(left, list({ fields: 'name' }))).to.not.deep.equal(await statementsOf(left, list({ fields: 'name', filter: 'amount > 3' })));
  });

  it('is answered as fast for a hidden name as for an unknown one, and for one value as for another', async function () {
    this.timeout(300_000);
    const sum =
      (side: Side, field: string): (() => Promise<unknown>) =>
      () =>
        side.product.call(side.token, list({ filter: `${field} > 50`, count: 'exact' }));
    const pairs: readonly (readonly [string, () => Promise<unknown>, () => Promise<unknown>])[] = [
      ['hidden and unknown name', sum(left, HIDDEN), sum(left, UNKNOWN)],
      ['two values of a hidden field', sum(left, HIDDEN), sum(right, HIDDEN)],
      ['two values of a partly hidden field', sum(left, PARTLY), sum(right, PARTLY)],
    ];
    for (const [name, one, other] of pairs) expect(await isTold(one, other), name).to.equal(false);
    const more: () => Promise<unknown> = async () => [await sum(left, PARTLY)(), await sum(left, PARTLY)()];
    expect(await isTold(sum(left, PARTLY), more), 'twice the work is noticed').to.equal(true);
  });

  /**
   * Whether times tell the two apart: twice over, with new samples, ranks must differ by more than five standard deviations and
   * medians by more than a quarter. If there is no difference, ranks alone differ so in 6 of 10 million tests, twice over in 4 of 10^13.
   */
  async function isTold(one: () => Promise<unknown>, other: () => Promise<unknown>): Promise<boolean> {
    for (let round = 0; round < 2; round += 1) {
      const { deviations, ratio } = rankTest(...(await timesOf(one, other)));
      if (Math.abs(deviations) <= 5 || Math.abs(ratio - 1) <= 0.25) return false;
    }
    return true;
  }

  async function timesOf(one: () => Promise<unknown>, other: () => Promise<unknown>): Promise<readonly [readonly number[], readonly number[]]> {
    const times: readonly [number[], number[]] = [[], []];
    for (let number = 0; number < 170; number += 1) {
      for (const at of number % 2 === 0 ? ([0, 1] as const) : ([1, 0] as const)) {
        const from = performance.now();
        await (at === 0 ? one : other)();
        // The first ones find nothing planned yet.
        if (number >= 20) times[at].push(performance.now() - from);
      }
    }
    return times;
  }
});

interface Tapped {
  query(...given: readonly unknown[]): unknown;
}

/** The boundary to the driver: every statement of the process goes through its method. */
const driver = (): Tapped => pg.Client.prototype;

async function statementsOf({ product, token }: Side, sent: Sent): Promise<readonly string[]> {
  const found: string[] = [];
  const tapped = driver();
  const plain = tapped.query;
  // Once before, so that nothing is planned or looked up for the first time.
  await product.call(token, sent);
  tapped.query = function (this: unknown, ...given: readonly unknown[]): unknown {
    const [first] = given;
    const text = typeof first === 'object' && first !== null && 'text' in first ? String(first.text) : String(first);
    // Which version of the metadata is in force, or announced, is looked up by a clock of the process, whatever is asked.
    if (!/"metadata_(announced|version)"/.test(text)) found.push(text);
    return plain.apply(this, [...given]);
  };
  try {
    await product.call(token, sent);
  } finally {
    tapped.query = plain;
  }
  return found;
}
