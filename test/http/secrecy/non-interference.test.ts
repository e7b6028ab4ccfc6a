import { expect } from 'chai';
import { drawCall, drawFrom, KINDS, type Call, type Cursors } from './calls.ts';
import { secrecySet } from './metadata.ts';
import { startProduct, type Product, type Received } from './product.ts';
import { fillDatabase, type People } from './rows.ts';

/** Calls a run; SECRECY_CALLS and SECRECY_SEED say otherwise. */
const CALLS = Number(process.env['SECRECY_CALLS'] ?? '5000');
const SEED = Number(process.env['SECRECY_SEED'] ?? '20270101');

describe('two databases that differ in hidden data only', () => {
  let left: Product;
  let right: Product;
  let people: People;
  let others: People;

  before(async function () {
    this.timeout(120_000);
    const set = secrecySet();
    left = await startProduct(set);
    right = await startProduct(set);
    [people, others] = await Promise.all([fillDatabase(left, 'left'), fillDatabase(right, 'right')]);
  });
  after(async () => {
    await left.stop();
    await right.stop();
  });

  const ask = (who: 'anna' | 'ben' | 'cara', call: Call): Promise<readonly [Received, Received]> =>
    Promise.all([left.call(people[who].token, call), right.call(others[who].token, call)]);

  it('differ: who sees what is hidden gets other answers', async () => {
    for (const path of ['/api/v1/records/Deal?count=exact', '/api/v1/records/Ticket', '/api/v1/search?q=Obsidian']) {
      const [here, there] = await ask('cara', { kind: 'list', method: 'GET', path });
      expect([here.status, there.status]).to.deep.equal([200, 200]);
      expect(here.text, path).not.to.equal(there.text);
    }
  });

  it(`answer ${String(CALLS)} calls byte for byte alike`, async function () {
    this.timeout(Math.max(120_000, CALLS * 60));
    const draw = drawFrom(SEED);
    const cursors: Cursors = [];
    const asked = new Map<string, { calls: number; ok: number }>(KINDS.map(([kind]) => [kind, { calls: 0, ok: 0 }]));
    const leaks: string[] = [];
    for (let number = 0; number < CALLS && leaks.length < 20; number += 1) {
      const who = draw(4) === 0 ? 'ben' : 'anna';
      const call = drawCall(draw, cursors);
      for (const product of [left, right]) product.at(10_000 + number);
      const [here, there] = await ask(who, call);
      const tally = asked.get(call.kind) ?? { calls: 0, ok: 0 };
      tally.calls += 1;
      if (here.status < 400) tally.ok += 1;
      if (JSON.stringify(here) !== JSON.stringify(there))
        leaks.push(`call ${String(number)} by ${who}: ${JSON.stringify(call)}\n  ${shown(here)}\n  ${shown(there)}`);
      expect(here.status, `${JSON.stringify(call)} ${here.text}`).to.be.lessThan(500);
      remember(cursors, call, here);
    }
    const lines = [...asked].map(([kind, { calls, ok }]) => `        ${kind}: ${String(calls)}, ${String(ok)} of them answered with data`);
    process.stdout.write(`      seed ${String(SEED)}\n${lines.join('\n')}\n`);
    expect(leaks.length, leaks.join('\n')).to.equal(0);
    if (CALLS >= 2_000) for (const [kind, { ok }] of asked) if (kind !== 'refused write') expect(ok, kind).to.be.greaterThan(0);
  });

  function remember(cursors: Cursors, { path, method }: Call, { status, text }: Received): void {
    const next = status === 200 && method === 'GET' && path.startsWith('/api/v1/records/') ? /"page":\{"next":"([^"]+)"/.exec(text)?.[1] : undefined;
    if (next !== undefined) cursors.push({ path: path.replace(/&cursor=.*$/, ''), cursor: next });
  }
});

function shown({ status, headers, text }: Received): string {
  return `${String(status)} ${JSON.stringify(headers['etag'] ?? null)} ${text.slice(0, 1_500)}`;
}
