import { expect } from 'chai';
import { addDuration } from '../../../src/platform/expression/durations.ts';
import { isAppError } from '../../../src/platform/errors.ts';
import { completeIds } from '../../../src/platform/metadata/assign-ids.ts';
import { loadMetadata } from '../../../src/platform/metadata/load.ts';
import { emptySet } from '../../../src/platform/metadata/kinds.ts';
import type { MetadataSet, PolicyFile } from '../../../src/platform/metadata/types.ts';
import { compile } from '../../../src/platform/model/compile.ts';
import { planPhysicalNames } from '../../../src/platform/model/physical.ts';
import type { Model } from '../../../src/platform/model/types.ts';
import { checkPolicies, makePolicies, type Policies } from '../../../src/platform/policies/policies.ts';
import { packageRoot } from '../../../src/platform/root.ts';

function modelOf(given: MetadataSet): Model {
  const set = completeIds(given);
  return compile({ set, physical: planPhysicalNames(set, new Map()), version: 1, schema: 'credenza', extensions: {} }).model;
}

function withPolicy(file: PolicyFile): Model {
  const shipped = loadMetadata([packageRoot()]);
  return modelOf({ ...emptySet(), calendars: shipped.calendars, policies: new Map([[file.name, file]]) });
}

describe('visit cadence policy as shipped', () => {
  let policies: Policies;
  before(() => {
    policies = makePolicies(modelOf(loadMetadata([packageRoot()])));
  });
  const TODAY = '2026-02-01';
  const decide = (asOf: string, type: string, panelSize: number | null = null): { band: string; interval: unknown } | null => {
    const found = policies.decide('visit-cadence', { type, panelSize }, asOf);
    return found === null ? null : { band: found.band, interval: found.results['interval'] };
  };
  const due = (last: string, asOf: string, type: string, panelSize: number | null = null): string | null => {
    const interval = decide(asOf, type, panelSize)?.interval;
    return typeof interval === 'string' ? addDuration(last, interval) : null;
  };

  it('R000-01 a PCP with 2,000 members is visited quarterly', () => {
    expect(due('2026-01-15', TODAY, 'pcp', 2000)).to.equal('2026-04-15');
  });

  it('R000-02 a PCP with 1 to 1,999 members is visited quarterly too, by a band of its own', () => {
    const [small, large] = [decide(TODAY, 'pcp', 1999), decide(TODAY, 'pcp', 2000)];
    expect(small?.interval).to.equal('P3M');
    expect(large?.interval).to.equal('P3M');
    expect(small?.band).not.to.equal(large?.band);
  });

  it('R000-03 a specialist is visited as needed', () => {
    expect(decide(TODAY, 'specialist', 40)).to.deep.equal({ band: 'as-needed', interval: null });
  });

  it('R000-04 a hospital is visited twice a year', () => {
    expect(due('2026-02-10', TODAY, 'hospital')).to.equal('2026-08-10');
  });

  it('R000-05 an ancillary provider is visited as needed', () => {
    expect(decide(TODAY, 'ancillary')?.interval).to.equal(null);
  });

  it('R000-31 in force from 2014-11-16', () => {
    expect(decide('2014-11-15', 'pcp', 1200)).to.equal(null);
    expect(decide('2014-12-01', 'pcp', 1200)?.interval).to.equal('P1M');
    expect(decide('2014-12-01', 'pcp', 700)?.interval).to.equal('P2M');
    expect(decide('2014-12-01', 'specialist')?.interval).to.be.oneOf(['P12M', 'P1Y']);
  });

  it('R000-32 in force from 2015-02-09', () => {
    const intervals = [1000, 999, 199, 49, 9].map((members) => decide('2015-03-01', 'pcp', members)?.interval);
    expect(intervals).to.deep.equal(['P1M', 'P2M', 'P3M', 'P6M', 'P12M']);
    expect(decide('2015-02-08', 'pcp', 250)?.band).to.equal('as-needed');
  });

  it('R000-34 versions of month precision keep what the log says and take effect on its first day', () => {
    const entry = policies.versionOn('visit-cadence', '2019-08-01');
    expect(entry).to.include({ version: '2019-08', effectiveFrom: '2019-08-01', effectiveThrough: '2021-02-28' });
    expect(policies.versionOn('visit-cadence', '2019-07-31')?.version).to.equal('2019-01');
    expect(policies.versions('visit-cadence').map((version) => version.version)).to.deep.equal([
      '2014-11-16',
      '2015-02-09',
      '2016-01',
      '2019-01',
      '2019-08',
      '2021-03',
    ]);
  });

  it('R000-35 the log of 03/2021 says that wording was removed, and the procedure that names Monday 9:00 is followed', () => {
    const entry = policies.versionOn('visit-cadence', '2021-03-01');
    expect(entry).to.include({ version: '2021-03', effectiveFrom: '2021-03-01', cites: 'Provider visit policy, revision log 03/2021' });
    expect(entry?.note).to.contain('"at a minimum" and "every" were removed');
    for (const size of [1, 1999, 2000, 5000])
      expect(decide('2021-03-01', 'pcp', size)?.interval, String(size)).to.equal(decide('2021-02-28', 'pcp', size)?.interval);
    const cutOff = policies.decide('visit-report-cutoff', {}, '2021-03-01');
    expect(cutOff?.results).to.deep.equal({ mode: 'following-weekday', weekday: 1, time: '09:00' });
    expect(policies.versionOn('visit-report-cutoff', '2021-03-01')?.note).to.contain('the hour was removed while the procedure still names it');
  });

  it('every shipped policy compiles', () => {
    const model = modelOf(loadMetadata([packageRoot()]));
    expect(checkPolicies(model)).to.deep.equal([]);
    expect(model.policies.size).to.be.greaterThan(3);
  });
});

describe('policies', () => {
  const base: PolicyFile = {
    name: 'discount',
    keys: { amount: 'number', kind: 'text' },
    match: 'unique',
    results: { percent: 'number' },
    versions: [
      { effective: '2026-05', approvedBy: 'A. Approver', rows: [{ band: 'all', when: 'true', then: { percent: 9 } }] },
      {
        effective: '2026-01-01',
        approvedBy: 'A. Approver',
        cites: 'Rule 1',
        rows: [
          { band: 'large', when: 'amount >= 100', then: { percent: 5 } },
          { band: 'gift', when: "kind == 'gift'", then: { percent: 1 } },
        ],
      },
    ],
  };

  it('answers by keys, with version, band, results and what it cites; versions are ordered by day, not by place', () => {
    const policies = makePolicies(withPolicy(base));
    expect(policies.decide('discount', { amount: 100, kind: 'sale' }, '2026-02-01')).to.deep.equal({
      policy: 'discount',
      version: '2026-01-01',
      effectiveFrom: '2026-01-01',
      band: 'large',
      results: { percent: 5 },
      cites: 'Rule 1',
      floor: null,
    });
    expect(policies.decide('discount', { amount: 5, kind: 'sale' }, '2026-02-01')).to.equal(null);
    expect(policies.decide('discount', { amount: 5, kind: 'sale' }, '2025-12-31')).to.equal(null);
    expect(policies.decide('discount', { amount: 5, kind: 'sale' }, '2026-05-01')?.band).to.equal('all');
    expect(policies.lookup('discount', { amount: null, kind: 'gift' }, '2026-02-01')).to.deep.equal({ percent: 1 });
  });

  it('names both rows when two match and only one may', () => {
    const policies = makePolicies(withPolicy(base));
    expect(() => policies.decide('discount', { amount: 200, kind: 'gift' }, '2026-02-01')).to.throw(/"large" and "gift" both match/);
    const first = makePolicies(withPolicy({ ...base, match: 'first' }));
    expect(first.decide('discount', { amount: 200, kind: 'gift' }, '2026-02-01')?.band).to.equal('large');
  });

  it('R000-37 a version that nobody approved does not take effect, and the log says why', () => {
    const [newest, ...others] = base.versions;
    const policies = makePolicies(
      withPolicy({ ...base, versions: [...others, { effective: newest?.effective ?? '', rows: newest?.rows ?? [], approvedBy: ' ' }] }),
    );
    expect(policies.versionOn('discount', '2026-06-01')?.version).to.equal('2026-01-01');
    const log = policies.versions('discount');
    expect(log.map((entry) => [entry.version, entry.withheld === null, entry.effectiveThrough])).to.deep.equal([
      ['2026-01-01', true, null],
      ['2026-05', false, null],
    ]);
  });

  it('says which policies there are when asked for one that is not', () => {
    const policies = makePolicies(withPolicy(base));
    try {
      policies.decide('rebate', {}, '2026-01-01');
      expect.fail('it answered');
    } catch (error) {
      expect(isAppError(error, 'not_found') && error.message).to.contain('discount');
    }
  });
});
