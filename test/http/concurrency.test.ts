import { expect } from 'chai';
import fc from 'fast-check';
import { metadataDirectories } from '../../src/extensions.ts';
import { loadMetadata } from '../../src/platform/metadata/load.ts';
import { objectFile } from '../platform/schema/builders.ts';
import { at, startTestApp, type Answer, type Client, type TestApp } from '../support/app.ts';

const ROOT = '/api/v1/records/Purse';
const CLIENTS = 8;
/** Transactions of each client; more of them by the environment, for a long search. */
const EACH = Number(process.env['HISTORY_TRANSACTIONS'] ?? 120);
/** Seconds for which clients go on instead of a number of transactions, as HISTORY_SECONDS=60. */
const SECONDS = Number(process.env['HISTORY_SECONDS'] ?? 0);
const PURSES = 6;
const FILLED = 1_000;

interface Purse {
  readonly id: string;
  readonly version: number;
  readonly balance: number;
  readonly turns: number;
}

describe('many writers at once', function () {
  this.timeout(600_000);
  let product: TestApp;
  let admin: Client;

  before(async () => {
    product = await startTestApp();
    const shipped = loadMetadata(metadataDirectories([]));
    const purse = objectFile('Purse', { name: { type: 'string' }, balance: { type: 'integer' }, turns: { type: 'integer' } });
    await product.app.store.apply({ ...shipped, objects: new Map([...shipped.objects, ['Purse', purse]]) }, 'test');
    await product.app.store.load();
    admin = await product.caller('administrator');
  });
  after(() => product.stop());

  const made = async (name: string): Promise<string> => {
    const answer = await admin('POST', ROOT, { name, balance: FILLED, turns: 0 });
    expect(answer.status, answer.text).to.equal(201);
    return String(at(answer.body, 'data.id'));
  };
  const purseOf = (record: unknown): Purse => ({
    id: String(at(record, 'id')),
    version: Number(at(record, 'version')),
    balance: Number(at(record, 'balance')),
    turns: Number(at(record, 'turns')),
  });
  const listed = (answer: Answer): readonly Purse[] => {
    const data = at(answer.body, 'data');
    if (!Array.isArray(data)) throw new Error(answer.text);
    return data.map(purseOf);
  };
  const read = async (id: string): Promise<Purse> => purseOf(at((await admin('GET', `${ROOT}/${id}`)).body, 'data'));

  it('lose no update: of 100 clients that change one record, those accepted are counted by its version', async () => {
    const id = await made('one');
    const answers = await Promise.all(
      Array.from({ length: 100 }, async () => {
        const { version, turns } = await read(id);
        return admin('PATCH', `${ROOT}/${id}`, { turns: turns + 1 }, { 'if-match': `"v${String(version)}"` });
      }),
    );
    const accepted = answers.filter(({ status }) => status === 200).length;
    for (const answer of answers.filter(({ status }) => status !== 200)) {
      expect(answer.status, answer.text).to.equal(412);
      expect(at(answer.body, 'code')).to.equal('conflict_version');
    }
    expect(accepted).to.be.greaterThan(0);
    expect(await read(id)).to.deep.equal({ id, version: accepted + 1, balance: FILLED, turns: accepted });
    const blind = await admin('PATCH', `${ROOT}/${id}`, { turns: 0 });
    expect([blind.status, at(blind.body, 'code')]).to.deep.equal([428, 'precondition_required']);
    expect(await read(id)).to.include({ turns: accepted });
  });

  it(`have one history: ${String(CLIENTS)} clients with random transactions, ${SECONDS > 0 ? `${String(SECONDS)} s` : `${String(EACH)} each`}`, async () => {
    const ids = await Promise.all(Array.from({ length: PURSES }, (_, index) => made(`p${String(index)}`)));
    const ours = `filter=${encodeURIComponent(ids.map((id) => `id == '${id}'`).join(' || '))}`;
    const moved = new Map(ids.map((id) => [id, 0]));
    const turned = new Map(ids.map((id) => [id, 0]));
    let [written, lost, looked] = [0, 0, 0];
    const add = (counts: Map<string, number>, id: string, by: number): void => void counts.set(id, (counts.get(id) ?? 0) + by);

    const step = fc.record({
      kind: fc.constantFrom('move', 'move', 'turn', 'list', 'sum', 'half' as const),
      from: fc.nat(PURSES - 1),
      to: fc.nat(PURSES - 1),
      amount: fc.integer({ min: 1, max: 50 }),
    });
    const end = performance.now() + SECONDS * 1_000;
    function* steps(client: number) {
      for (let round = 0; round === 0 || performance.now() < end; round += 1)
        for (const drawn of fc.sample(step, { numRuns: EACH, seed: 20_270_601 + client + CLIENTS * round }))
          if (SECONDS === 0 || performance.now() < end) yield drawn;
    }
    const work = async (client: number): Promise<void> => {
      for (const { kind, from, to, amount } of steps(client)) {
        const [giver = '', taker = ''] = [ids[from], ids[from === to ? (to + 1) % PURSES : to]];
        if (kind === 'list') {
          const purses = listed(await admin('GET', `${ROOT}?${ours}`));
          expect(
            purses.reduce((sum, purse) => sum + purse.balance, 0),
            'a list sees whole transactions',
          ).to.equal(PURSES * FILLED);
          looked += 1;
        } else if (kind === 'sum') {
          const query = { filter: ids.map((id) => `id == '${id}'`).join(' || '), measures: [{ as: 'all', op: 'sum', field: 'balance' }] };
          const sums = await admin('POST', `${ROOT}/aggregate`, query);
          expect(at(sums.body, 'data.0.all'), 'a sum sees whole transactions').to.equal(String(PURSES * FILLED));
          looked += 1;
        } else if (kind === 'turn') {
          const { version, turns } = await read(giver);
          const answer = await admin('PATCH', `${ROOT}/${giver}`, { turns: turns + 1 }, { 'if-match': `"v${String(version)}"` });
          expect([200, 412], answer.text).to.include(answer.status);
          if (answer.status === 200) add(turned, giver, 1);
          if (answer.status === 200) written += 1;
          else lost += 1;
        } else {
          const [left, right] = [await read(giver), await read(taker)];
          const change = (purse: Purse, by: number): unknown => ({
            op: 'update',
            id: purse.id,
            version: purse.version,
            values: { balance: purse.balance + by },
          });
          // A half one asks for something impossible at its end: nothing of it may be seen, ever.
          const wrong = kind === 'half' ? [{ op: 'create', values: { balance: 'much' } }] : [];
          const answer = await admin('POST', `${ROOT}/bulk`, { mode: 'atomic', items: [change(left, -amount), change(right, amount), ...wrong] });
          if (answer.status === 200) {
            expect(kind).to.equal('move');
            add(moved, giver, -amount);
            add(moved, taker, amount);
            written += 1;
          } else {
            expect([409, 412, 422], answer.text).to.include(answer.status);
            lost += 1;
          }
        }
      }
    };
    await Promise.all(Array.from({ length: CLIENTS }, (_, client) => work(client)));

    for (const id of ids) {
      const now = await read(id);
      expect(now).to.include({ balance: FILLED + (moved.get(id) ?? 0), turns: turned.get(id) ?? 0 });
      const history = at((await admin('GET', `${ROOT}/${id}/history`)).body, 'data');
      if (!Array.isArray(history)) throw new Error('no history');
      expect(history.map((entry: unknown) => at(entry, 'version'))).to.deep.equal(Array.from({ length: now.version }, (_, index) => now.version - index));
      // From the newest to the oldest: what a version made of a field is what the one after it began with.
      const later = new Map<string, unknown>([
        ['balance', now.balance],
        ['turns', now.turns],
      ]);
      for (const entry of history) {
        const changes = at(entry, 'changes');
        for (const change of Array.isArray(changes) ? changes : []) {
          const field = String(at(change, 'field'));
          expect(at(change, 'to'), `${field} of version ${String(at(entry, 'version'))}`).to.equal(later.get(field));
          later.set(field, at(change, 'from'));
        }
      }
      expect([...later.values()], 'what it began with').to.deep.equal([FILLED, 0]);
    }
    process.stdout.write(
      `      ${String(written)} transactions written, ${String(lost)} refused, ${String(looked)} reads of the whole; every history without a gap\n`,
    );
    expect(written).to.be.greaterThan(CLIENTS * 5);
  });
});
