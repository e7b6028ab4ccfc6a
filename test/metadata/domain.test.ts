import { expect } from 'chai';
import { NPI_FUNCTIONS } from '../../src/network/npi/functions.ts';
import { checkRules } from '../../src/platform/automation/compile.ts';
import { findLoops } from '../../src/platform/automation/loops.ts';
import { runRuleTests } from '../../src/platform/automation/rule-tests.ts';
import { compileJs } from '../../src/platform/expression/to-js.ts';
import type { EvalContext, Row } from '../../src/platform/expression/types.ts';
import { completeIds } from '../../src/platform/metadata/assign-ids.ts';
import { loadMetadata } from '../../src/platform/metadata/load.ts';
import { checkMetadata } from '../../src/platform/model/check.ts';
import { compileModel } from '../../src/platform/model/compile.ts';
import { planPhysicalNames } from '../../src/platform/model/physical.ts';
import type { PathTransition } from '../../src/platform/metadata/types.ts';
import type { Model } from '../../src/platform/model/types.ts';
import { checkPolicies, makePolicies } from '../../src/platform/policies/policies.ts';
import { packageRoot } from '../../src/platform/root.ts';

const set = completeIds(loadMetadata([packageRoot()]));
const extensions = { functions: NPI_FUNCTIONS, checks: [checkPolicies, checkRules, runRuleTests] };
const model: Model = compileModel({ set, physical: planPhysicalNames(set, new Map()), version: 1, schema: 'check', extensions });

/** Value of an expression of the shipped metadata for one record at one moment, in the plan's zone (here UTC-5). */
function evaluate(text: string, object: string, row: Row, at: string, lists: Readonly<Record<string, readonly Row[]>> = {}): unknown {
  const context: EvalContext = {
    now: new Date(at).toISOString(),
    today: at.slice(0, 10),
    user: null,
    subject: null,
    variables: { old: row },
    one: () => null,
    many: (target) => lists[target] ?? [],
    policy: makePolicies(model).lookup,
    calendars: model.calendarLookup,
  };
  return compileJs(model.expression(text, object, { old: { kind: 'record', object } }), model.expressions)(row, context);
}

function stepValues(rule: string, index: number): Readonly<Record<string, string>> {
  const step = model.rules.get(rule)?.do[index];
  if (step?.step !== 'update') throw new Error(`Step ${String(index)} of rule ${rule} is not an update.`);
  return step.values;
}

function transition(path: string, name: string): PathTransition {
  const found = model.source.paths.get(path)?.transitions.find((entry) => entry.name === name);
  if (found === undefined) throw new Error(`There is no transition ${name} in path ${path}.`);
  return found;
}

const band = (row: Row, day: string): string | undefined => makePolicies(model).decide('visit-cadence', row, day)?.band;
const interval = (row: Row, day: string): unknown => makePolicies(model).decide('visit-cadence', row, day)?.results['interval'];
const pcp = (panelSize: number): Row => ({ type: 'pcp', panelSize });

describe('Shipped metadata', () => {
  it('has no finding of the linter, and the tests in its rules hold', () => {
    expect(checkMetadata(set, extensions)).to.deep.equal([]);
    expect([...model.rules.values()].flatMap((rule) => rule.tests ?? []).length).to.be.greaterThan(8);
  });

  it('has no rules that start each other in a circle but those that are known to end', () => {
    expect(findLoops(model).map(({ detail }) => detail)).to.deep.equal([]);
  });

  it('gives every object a layout and a view, and every path state a label of its value set', () => {
    const laidOut = new Set([...model.layouts.values()].map((layout) => layout.object));
    const viewed = new Set([...model.views.values()].map((view) => view.object));
    for (const object of model.objects.values()) {
      if (object.builtin) continue;
      expect(laidOut.has(object.name), `layout of ${object.name}`).to.equal(true);
      expect(viewed.has(object.name), `view of ${object.name}`).to.equal(true);
      const codes = object.path === null ? [] : (object.fields.get(object.path.field)?.values?.values ?? []).map((value) => value.code);
      expect(object.path?.states.map((state) => state.name) ?? []).to.have.members(codes);
    }
  });
});

describe('Visit policy', () => {
  const dueText = stepValues('visit-due', 0)['nextVisitDueOn'] ?? '';
  const due = (row: Row, at: string): unknown => evaluate(dueText, 'Provider', row, at);

  it('R000-01 R000-02 large and small PCP panels have bands of their own and are visited quarterly', () => {
    expect([band(pcp(2000), '2026-03-01'), band(pcp(1999), '2026-03-01')]).to.deep.equal(['pcp-large', 'pcp']);
    expect([interval(pcp(2000), '2026-03-01'), interval(pcp(1999), '2026-03-01')]).to.deep.equal(['P3M', 'P3M']);
    expect(due({ ...pcp(2000), orientationOn: '2025-01-01', lastCountedVisitOn: '2026-01-15' }, '2026-01-16T12:00:00Z')).to.equal('2026-04-15');
  });

  it('R000-03 R000-05 specialists and ancillary providers are visited as needed', () => {
    for (const type of ['specialist', 'ancillary']) {
      expect(interval({ type, panelSize: 0 }, '2026-03-01')).to.equal(null);
      expect(due({ type, panelSize: 0, orientationOn: '2026-01-10' }, '2026-03-01T12:00:00Z')).to.equal(null);
    }
  });

  it('R000-04 hospitals are visited twice a year', () => {
    expect(due({ type: 'hospital', panelSize: 0, orientationOn: '2025-01-01', lastCountedVisitOn: '2026-02-10' }, '2026-02-11T12:00:00Z')).to.equal(
      '2026-08-10',
    );
  });

  it('R000-06 the schedule starts with the orientation', () => {
    expect(due({ ...pcp(500), orientationOn: null }, '2026-03-01T12:00:00Z')).to.equal(null);
    expect(due({ ...pcp(500), orientationOn: '2026-03-01' }, '2026-03-01T12:00:00Z')).to.equal('2026-06-01');
  });

  it('R000-07 an override is monthly until it ends', () => {
    const override = { type: 'specialist', panelSize: 0, orientationOn: '2026-01-05', visitOverrideInterval: 'P1M', visitOverrideUntil: '2026-12-31' };
    expect(due({ ...override, lastCountedVisitOn: '2026-05-05' }, '2026-05-06T12:00:00Z')).to.equal('2026-06-05');
    expect(due({ ...override, lastCountedVisitOn: '2026-12-05' }, '2026-12-06T12:00:00Z')).to.equal(null);
  });

  it('R000-08 a changed panel leaves the due date that was given', () => {
    const when = model.rules.get('visit-due')?.when ?? '';
    const before = { status: 'active', ...pcp(1500), orientationOn: '2026-01-01', nextVisitDueOn: '2026-07-01' };
    const asks = (row: Row, old: Row): unknown => {
      const typed = model.expression(when, 'Provider', { old: { kind: 'record', object: 'Provider' } });
      return compileJs(typed, model.expressions)(row, {
        now: '2026-05-01T12:00:00.000Z',
        today: '2026-05-01',
        user: null,
        subject: null,
        variables: { old },
        one: () => null,
        many: () => [],
        policy: () => null,
        calendars: model.calendarLookup,
      });
    };
    expect(asks({ ...before, panelSize: 2100 }, before)).to.equal(false);
    expect(asks({ ...before, panelSize: 2100, nextVisitDueOn: null }, before)).to.equal(true);
  });

  it('R000-31 the policy of 2014-11-16', () => {
    expect([1200, 700].map((size) => interval(pcp(size), '2014-12-01'))).to.deep.equal(['P1M', 'P2M']);
    expect(interval({ type: 'specialist', panelSize: 0 }, '2014-12-01')).to.equal('P12M');
    expect(makePolicies(model).decide('visit-cadence', pcp(1200), '2014-11-15')).to.equal(null);
  });

  it('R000-32 the policy of 2015-02-09', () => {
    expect([1000, 999, 199, 49, 9].map((size) => interval(pcp(size), '2015-03-01'))).to.deep.equal(['P1M', 'P2M', 'P3M', 'P6M', 'P12M']);
    expect([200, 50, 10].map((size) => interval(pcp(size), '2015-03-01'))).to.deep.equal(['P2M', 'P3M', 'P6M']);
  });

  it('R000-34 the log keeps month precision and its reference', () => {
    const log = makePolicies(model).versions('visit-cadence');
    expect(log.map((entry) => entry.version)).to.deep.equal(['2014-11-16', '2015-02-09', '2016-01', '2019-01', '2019-08', '2021-03']);
    for (const entry of log) expect(entry.cites).to.be.a('string').and.not.equal('');
  });
});

describe('Visits', () => {
  const hold = transition('visit', 'hold').set ?? {};
  const report = transition('visit', 'report');
  const cutoff = (heldAt: string): string => String(evaluate(hold['reportDueAt'] ?? '', 'Visit', { heldAt }, heldAt));
  const counted = (heldAt: string, at: string, channel = 'office'): unknown =>
    evaluate(report.set?.['counted'] ?? '', 'Visit', { heldAt, channel, reportDueAt: cutoff(heldAt) }, at);

  it('R000-13 thirteen standing items in their order, two of them optional', () => {
    const steps = model.rules.get('visit-agenda')?.do ?? [];
    const topics = steps.map((step) => (step.step === 'create' ? step.values['topic'] : null));
    expect(topics).to.deep.equal(
      [
        'demographics',
        'billing',
        'claims',
        'drug-list',
        'roster',
        'portal',
        'performance',
        'policy-updates',
        'referral-gaps',
        'case-management',
        'survey',
        'questions',
        'next-visit',
      ].map((topic) => `'${topic}'`),
    );
    expect(steps.map((step) => (step.step === 'create' ? step.values['number'] : null))).to.deep.equal(
      Array.from({ length: 13 }, (_, index) => String(index + 1)),
    );
    expect(steps.flatMap((step, index) => (step.step === 'create' && step.values['optional'] === 'true' ? [index + 1] : []))).to.deep.equal([3, 13]);
  });

  it('R000-11 office and telephone count, e-mail does not', () => {
    const held = '2026-11-18T15:00:00.000Z';
    expect(['office', 'telephone', 'email'].map((channel) => counted(held, '2026-11-18T20:00:00Z', channel))).to.deep.equal([true, true, false]);
  });

  it('R000-15 R000-16 the report needs attendees, discussion and the demographics check', () => {
    expect(report.required).to.include.members(['attendees', 'discussion']);
    const guard = report.guards?.find((entry) => entry.name === 'demographics-checked')?.assert ?? '';
    const items = (result: string | null): Record<string, Row[]> => ({ VisitItem: [{ id: 'i', topic: 'demographics', result }] });
    expect(evaluate(guard, 'Visit', { id: 'v' }, '2026-11-18T20:00:00Z', items(null))).to.equal(false);
    expect(evaluate(guard, 'Visit', { id: 'v' }, '2026-11-18T20:00:00Z', items('confirmed'))).to.equal(true);
  });

  it('R000-19 R000-20 the report counts until Monday 09:00 after the visit', () => {
    expect(cutoff('2026-11-18T15:00:00.000Z')).to.equal('2026-11-23T14:00:00.000Z');
    expect(cutoff('2026-11-23T15:00:00.000Z')).to.equal('2026-11-30T14:00:00.000Z');
    expect([counted('2026-11-18T15:00:00.000Z', '2026-11-23T14:00:00.000Z'), counted('2026-11-18T15:00:00.000Z', '2026-11-23T14:00:01.000Z')]).to.deep.equal([
      true,
      false,
    ]);
  });

  it('R000-33 in 2016 the report was due at 09:00 of the next day', () => {
    expect(cutoff('2016-02-02T15:00:00.000Z')).to.equal('2016-02-03T14:00:00.000Z');
    expect(counted('2016-02-02T15:00:00.000Z', '2016-02-03T14:01:00.000Z')).to.equal(false);
  });
});

describe('Inquiries', () => {
  const from = (receivedAt: string): unknown => evaluate(stepValues('case-received', 0)['countedFrom'] ?? '', 'Case', { receivedAt }, receivedAt);
  const dueAt = (countedFrom: unknown): unknown =>
    evaluate(stepValues('case-clock', 0)['responseDueAt'] ?? '', 'Case', { countedFrom }, '2026-11-25T21:30:00Z');
  const counts = (message: Row): unknown =>
    makePolicies(model).decide('response-counting', { direction: 'out', channel: 'email', body: 'text', ...message }, '2026-11-25')?.results['counts'];

  it('R003-15 the response is due at the end of the next business day', () => {
    expect(from('2026-11-25T21:30:00.000Z')).to.equal('2026-11-25');
    expect(dueAt('2026-11-25')).to.equal('2026-11-27T22:00:00.000Z');
    expect(dueAt(from('2026-11-25T23:30:00.000Z'))).to.equal('2026-11-30T22:00:00.000Z');
    expect(dueAt(from('2026-11-28T15:00:00.000Z'))).to.equal('2026-12-01T22:00:00.000Z');
  });

  it('R003-16 an interim answer needs the expected day', () => {
    const check = model.objects.get('Message')?.checks.find((entry) => entry.name === 'interim-says-when')?.assert ?? '';
    expect(evaluate(check, 'Message', { kind: 'interim' }, '2026-11-25T12:00:00Z')).to.equal(false);
    expect([counts({ kind: 'interim', expectedResolutionOn: '2026-12-04' }), counts({ kind: 'interim' })]).to.deep.equal([true, false]);
  });

  it('R003-17 R003-18 calls and acknowledgements are no response', () => {
    expect([
      counts({ kind: 'call', channel: 'phone' }),
      counts({ kind: 'substantive', channel: 'phone' }),
      counts({ kind: 'acknowledgement' }),
      counts({ kind: 'substantive' }),
    ]).to.deep.equal([false, false, false, true]);
  });

  it('R003-19 R003-20 R003-21 the tiers of the resolution stand in the policy', () => {
    const policy = makePolicies(model).decide('response-time', {}, '2026-11-25')?.results ?? {};
    expect([1, 2, 3].map((tier) => [policy[`tier${String(tier)}Within`], policy[`tier${String(tier)}Share`]])).to.deep.equal([
      [2, 95],
      [5, 98],
      [15, 100],
    ]);
  });

  it('R003-07 the acknowledgement has plan, phone and case number', () => {
    const text = model.templates.get('mail/case-acknowledgement') ?? '';
    for (const name of ['{{plan.name}}', '{{plan.phone}}', '{{this.number}}']) expect(text).to.contain(name);
  });
});

describe('Recruiting to activation', () => {
  const guard = (path: string, name: string, entry: string): string => transition(path, name).guards?.find((item) => item.name === entry)?.assert ?? '';

  it('R004-07 approval waits for each required verification', () => {
    const text = guard('application', 'approve', 'all-verified');
    const holds = (...states: string[]): unknown =>
      evaluate(text, 'Application', { id: 'a' }, '2026-03-01T12:00:00Z', {
        Verification: states.map((status, index) => ({ id: String(index), required: index < 2, status })),
      });
    expect([holds('verified', 'waived', 'pending'), holds('verified', 'pending'), holds('failed', 'verified')]).to.deep.equal([true, false, false]);
  });

  it('R004-08 a contract is sent with all five topics agreed', () => {
    expect(transition('contract', 'send').required).to.include.members(['priorAuthorization', 'reimbursement', 'claims', 'rates', 'disputes']);
  });

  it('R004-10 a signature of an earlier version does not execute the contract', () => {
    const text = guard('contract', 'execute', 'signed-by-provider');
    const contract = { id: 'c', contractVersion: 2, contentHash: 'b' };
    const signed = (contractVersion: number, documentHash: string): unknown =>
      evaluate(text, 'Contract', contract, '2026-03-01T12:00:00Z', { Signature: [{ id: 's', party: 'provider', contractVersion, documentHash }] });
    expect([signed(1, 'a'), signed(2, 'a'), signed(2, 'b')]).to.deep.equal([false, false, true]);
  });

  it('R004-13 activation needs contract, credentialing and clear sanctions', () => {
    expect(transition('provider', 'activate').guards?.map((entry) => entry.name)).to.deep.equal([
      'contract-executed',
      'credentialing-approved',
      'sanctions-clear',
    ]);
    expect(
      ['clear', 'hit', 'unscreened', null].map((sanctionStatus) =>
        evaluate(guard('provider', 'activate', 'sanctions-clear'), 'Provider', { sanctionStatus }, '2026-03-01T12:00:00Z'),
      ),
    ).to.deep.equal([true, false, false, false]);
  });

  it('R004-17 recruiting does not read disclosures, contracting does not decide credentialing', () => {
    const restricted = [...(model.objects.get('Application')?.fields.values() ?? [])]
      .filter((field) => field.sensitive === 'restricted')
      .map((field) => field.name);
    expect(restricted).to.have.length(16);
    for (const [name, file] of model.permissions) {
      const grant = file.objects?.['Application'];
      const reads = restricted.filter((field) => grant?.fields?.includes(field) === true);
      expect(reads.length > 0, `${name} reads disclosures`).to.equal(['credentialing', 'provider'].includes(name));
      expect(grant?.transitions?.includes('approve') === true, `${name} approves`).to.equal(name === 'credentialing');
      expect(grant?.transitions?.includes('*') === true, `${name} may do every transition`).to.equal(false);
    }
  });

  it('R004-18 the funnel has its six stages', () => {
    expect(model.reports.get('funnel')?.stages?.map((stage) => stage.label)).to.deep.equal([
      'Written to',
      'Answered',
      'Applied',
      'Credentialed',
      'Contracted',
      'Active',
    ]);
  });
});
