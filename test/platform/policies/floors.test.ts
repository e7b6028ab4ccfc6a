import { expect } from 'chai';
import fc from 'fast-check';
import { EXTENSIONS } from '../../../src/extensions.ts';
import { completeIds } from '../../../src/platform/metadata/assign-ids.ts';
import { emptySet } from '../../../src/platform/metadata/kinds.ts';
import { loadMetadata } from '../../../src/platform/metadata/load.ts';
import type { PolicyFile, PolicyFloor, PolicyRow } from '../../../src/platform/metadata/types.ts';
import { compile } from '../../../src/platform/model/compile.ts';
import { planPhysicalNames } from '../../../src/platform/model/physical.ts';
import type { Model } from '../../../src/platform/model/types.ts';
import { checkStrictFloors, floorFindings, remarkFloors } from '../../../src/platform/policies/floor-findings.ts';
import { isLooser } from '../../../src/platform/policies/floors.ts';
import { makePolicies } from '../../../src/platform/policies/policies.ts';
import { packageRoot } from '../../../src/platform/root.ts';
import { remarksOn } from '../../../src/platform/schema/remarks.ts';

const calendars = loadMetadata([packageRoot()]).calendars;

function modelOf(...files: readonly PolicyFile[]): Model {
  const set = completeIds({ ...emptySet(), calendars, policies: new Map(files.map((file) => [file.name, file])) });
  return compile({ set, physical: planPhysicalNames(set, new Map()), version: 1, schema: 'credenza', extensions: {} }).model;
}

const policy = (name: string, rows: readonly PolicyRow[], more: Partial<PolicyFile> = {}): PolicyFile => ({
  name,
  keys: { size: 'number', kind: 'text' },
  match: 'first',
  results: { interval: 'duration?', share: 'number?', asks: 'boolean?' },
  versions: [{ effective: '2020-01', approvedBy: 'A', rows }],
  ...more,
});
const row = (band: string, when: string, then: PolicyRow['then']): PolicyRow => ({ band, when, then });
const floorOf = (results: PolicyFloor['results'], more: Partial<PolicyFloor> = {}): Partial<PolicyFile> => ({ floor: { policy: 'law', results, ...more } });

const LAW = policy('law', [
  row('large', 'size >= 100', { interval: 'P3M', share: 95, asks: true }),
  row('small', "size >= 10 && kind != 'exempt'", { interval: 'P6M' }),
]);
const PLAN = [row('huge', 'size >= 1000', { interval: 'P1M', share: 98, asks: true }), row('any', 'true', { interval: 'P4M', share: 90, asks: false })];
const HELD = { interval: 'least', share: 'greatest', asks: 'greatest' } as const;

describe('floors of policies', () => {
  it('hold where the policy is looser, and the decision says which floor', () => {
    const policies = makePolicies(modelOf(LAW, policy('plan', PLAN, floorOf(HELD))));
    const decide = (size: number, kind = 'any') => policies.decide('plan', { size, kind }, '2026-01-01');
    expect(decide(2000)).to.deep.include({ band: 'huge', results: { interval: 'P1M', share: 98, asks: true }, floor: null });
    expect(decide(500)).to.deep.include({
      band: 'any',
      results: { interval: 'P3M', share: 95, asks: true },
      floor: { policy: 'law', version: '2020-01', band: 'large', results: ['interval', 'share', 'asks'] },
    });
    expect(decide(50), 'the plan is stricter, and the floor demands nothing of the rest').to.deep.include({
      results: { interval: 'P4M', share: 90, asks: false },
      floor: null,
    });
    expect(decide(50, 'exempt')?.floor).to.equal(null);
    expect(policies.decide('plan', { size: 500, kind: 'any' }, '2019-12-31')).to.equal(null);
  });

  it('hold where the policy says nothing, and are noted with each use', () => {
    const policies = makePolicies(modelOf(LAW, policy('plan', [row('huge', 'size >= 1000', { interval: 'P1M', share: 98, asks: true })], floorOf(HELD))));
    expect(policies.decide('plan', { size: 500, kind: 'any' }, '2026-01-01')).to.deep.include({
      band: 'large',
      results: { interval: 'P3M', share: 95, asks: true },
    });
    expect(policies.decide('plan', { size: 1, kind: 'any' }, '2026-01-01')).to.equal(null);
    const uses: unknown[] = [];
    policies.lookup('plan', { size: 500, kind: 'any' }, '2026-01-01', (use) => void uses.push(use));
    expect(uses).to.deep.include({ policy: 'law', version: '2020-01', band: 'large', record: null });
  });

  it('are checked when metadata is: where a policy is looser is said, and refused when the floor is strict', () => {
    const warned = modelOf(LAW, policy('plan', PLAN, floorOf({ interval: 'least' })));
    expect(checkStrictFloors(warned)).to.deep.equal([]);
    const [remark, ...more] = remarkFloors(warned);
    expect(more).to.deep.equal([]);
    expect(remark?.detail).to.contain('Version 2020-01 of the policy plan is looser than its floor for');
    expect(remark?.detail).to.contain('interval "P4M" of row "any", where law demands "P3M" (row "large")');
    expect(remarksOn(warned, EXTENSIONS).map(({ code }) => code)).to.include('looser_than_floor');
    const [error] = checkStrictFloors(modelOf(LAW, policy('plan', PLAN, floorOf({ interval: 'least' }, { strict: true }))));
    expect([error?.code, error?.pointer]).to.deep.equal(['looser_than_floor', 'metadata/policies/plan.json#/versions/0']);
    const strictEnough = [row('large', 'size >= 100', { interval: 'P90D' }), row('any', 'true', { interval: 'P5M' })];
    expect(
      floorFindings(modelOf(LAW, policy('plan', strictEnough, floorOf({ interval: 'least' })))).length,
      '90 days from 1 January are before 1 April',
    ).to.equal(0);
  });

  it('that are none are refused: an unknown policy, other keys, another kind of result, a circle', () => {
    const codes = (...files: readonly PolicyFile[]): readonly string[] => checkStrictFloors(modelOf(...files)).map(({ code }) => code);
    expect(codes(policy('plan', PLAN, floorOf(HELD)))).to.deep.equal(['unknown_policy']);
    expect(
      codes({ ...LAW, keys: { size: 'number' }, versions: [{ effective: '2020', rows: [row('all', 'size > 1', {})] }] }, policy('plan', PLAN, floorOf(HELD))),
    ).to.deep.equal(['wrong_type']);
    expect(codes({ ...LAW, results: { ...LAW.results, share: 'text?' } }, policy('plan', PLAN, floorOf({ share: 'least' })))).to.deep.equal(['wrong_type']);
    const both = policy('law', [row('a', 'size > 1', { share: 1 }), row('b', 'size > 2', { share: 2 })], { match: 'unique' });
    expect(remarkFloors(modelOf(both, policy('plan', PLAN, floorOf({ share: 'greatest' }))))[0]?.detail).to.contain('rows "a" and "b" both match');
    expect(codes({ ...LAW, floor: { policy: 'plan', results: HELD } }, policy('plan', PLAN, floorOf(HELD)))).to.deep.equal(['circle', 'circle']);
  });

  it('durations are compared by where they lead: months, days, hours and business days', () => {
    const model = modelOf(LAW);
    const looser = (own: string, floor: string, day = '2026-02-01') => isLooser(model, 'least', own, floor, day);
    expect([looser('P30D', 'P1M'), looser('P30D', 'P1M', '2026-01-01'), looser('P28D', 'P1M')]).to.deep.equal([true, false, false]);
    expect([looser('P5BD', 'P7D'), looser('P6BD', 'P7D'), looser('P4BD', 'P7D')], 'a week has five business days').to.deep.equal([false, true, false]);
    expect([looser('PT25H', 'P1D'), looser('PT23H', 'P1D'), looser('P1DT1H', 'PT25H')]).to.deep.equal([true, false, false]);
    expect(looser('soon', 'P1D')).to.equal(null);
  });

  it('finds a case among more than are tried, for each value is tried about as often as the others', () => {
    const keys = { a: 'number', b: 'number', c: 'number', d: 'number' } as const;
    const tiers = [1, 5, 9, 13, 17]
      .map((value) => `a != ${String(value)} && b != ${String(value)} && c != ${String(value)} && d != ${String(value)}`)
      .join(' && ');
    const law = { ...policy('law', [row('all', 'true', { interval: 'P3M' })]), keys };
    const plan = {
      ...policy(
        'plan',
        [row('rest', tiers, { interval: 'P1M' }), row('d is nine', 'd == 9', { interval: 'P6M' }), row('other', 'true', { interval: 'P2M' })],
        floorOf({ interval: 'least' }),
      ),
      keys,
    };
    expect(remarkFloors(modelOf(law, plan)).map(({ code }) => code)).to.deep.equal(['looser_than_floor']);
  });

  it('no input is looser than the floor once it is applied, and findings name a case exactly when there is one', () => {
    const size = fc.integer({ min: 0, max: 40 });
    const months = fc.integer({ min: 1, max: 12 });
    const table = fc.array(fc.record({ at: size, months }), { minLength: 1, maxLength: 4 });
    const rowsOf = (bands: readonly { readonly at: number; readonly months: number }[]): readonly PolicyRow[] =>
      bands.map((band, index) => row(`r${String(index)}`, `size >= ${String(band.at)}`, { interval: `P${String(band.months)}M` }));
    fc.assert(
      fc.property(table, table, (own, demanded) => {
        const model = modelOf(policy('law', rowsOf(demanded)), policy('plan', rowsOf(own), floorOf({ interval: 'least' })));
        const policies = makePolicies(model);
        const first = (bands: typeof own, value: number): number | null => bands.find((band) => value >= band.at)?.months ?? null;
        let isEverLooser = false;
        for (let value = -1; value <= 42; value += 1) {
          const [mine, limit] = [first(own, value), first(demanded, value)];
          const months = policies.decide('plan', { size: value, kind: 'x' }, '2026-01-01')?.results['interval'] ?? null;
          const expected = limit === null ? mine : mine === null ? limit : Math.min(mine, limit);
          expect(months).to.equal(expected === null ? null : `P${String(expected)}M`);
          isEverLooser ||= limit !== null && (mine === null || mine > limit);
        }
        expect(floorFindings(model).length > 0).to.equal(isEverLooser);
      }),
      { numRuns: Number(process.env['FLOOR_RUNS'] ?? 60) },
    );
  });
});
