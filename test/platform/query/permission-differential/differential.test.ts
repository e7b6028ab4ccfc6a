import { expect } from 'chai';
import { compareAll } from './compare.ts';

/** Questions a run; PERMISSION_CASES (100000 for the whole) and PERMISSION_SEED say otherwise. */
const CASES = Number(process.env['PERMISSION_CASES'] ?? '2000');
const SEED = Number(process.env['PERMISSION_SEED'] ?? '20270301');

describe('what somebody sees of random packages', () => {
  it(`is what a naive evaluator says, for ${String(CASES)} random questions`, async function () {
    this.timeout(Math.max(180_000, CASES * 90));
    const { cases, worlds, refused, rows, kinds, wrong } = await compareAll({ cases: CASES, seed: SEED, most: 5 });
    const shares = Object.entries(kinds).map(([kind, number]) => `${kind} ${String(number)}`);
    process.stdout.write(
      `      ${String(cases)} questions over ${String(worlds)} packages (seed ${String(SEED)}): ${shares.join(', ')}; ${String(rows)} rows answered, ${String(refused)} questions refused as hidden; ${String(wrong.length)} differ\n`,
    );
    expect(wrong.join('\n')).to.equal('');
    expect(cases).to.equal(CASES);
    expect(rows).to.be.greaterThan(cases);
    expect(refused).to.be.greaterThan(cases / 20);
  });
});
