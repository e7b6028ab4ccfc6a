import { expect } from 'chai';
import { checkExpression } from '../../../src/platform/expression/check.ts';
import { preload, relationsOf } from '../../../src/platform/expression/reads.ts';
import { compileJs } from '../../../src/platform/expression/to-js.ts';
import type { EvalContext, ExprType, Row } from '../../../src/platform/expression/types.ts';
import { ANNE, clinicSchema, evalContext, TEAM } from './clinic-schema.ts';

const schema = clinicSchema();

function evaluate(text: string, row: Row = {}, context: Partial<EvalContext> = {}, variables: Readonly<Record<string, ExprType>> = {}): unknown {
  return compileJs(checkExpression(text, schema, { object: 'Person', variables }), schema)(row, evalContext(context));
}

describe('expressions in JavaScript', () => {
  const answers: readonly (readonly [string, unknown])[] = [
    // Equality is "not distinct"; order with null is false; negation is plain.
    ['null == null', true],
    ['status == null', true],
    ["status != 'a'", true],
    ['size < 1', false],
    ['!(size < 1)', true],
    ['!active', true],
    ['size in [1, null]', false],
    ['null in [null]', false],
    // Exact decimals.
    ['0.1 + 0.2 == 0.3', true],
    ['0.1 + 0.2', '0.3'],
    ['9007199254740993 + 0', '9007199254740993'],
    ['1 / 3', '0.333333333333'],
    ['2 / 3', '0.666666666667'],
    ['0.000000000005 / 10', 0],
    ['0.000000000015 / 10', '0.000000000002'],
    ['6 / 3', 2],
    ['1 / 0', null],
    ['size + 1', null],
    ['1000000000000000000 * 1000000000000000000', null],
    ['round(2.5) == 3 && round(-2.5) == -3', true],
    ['round(1.005, 2)', '1.01'],
    ['floor(-0.5)', -1],
    ['ceil(-0.5)', 0],
    ['max(1, 2.5, -3)', '2.5'],
    ["number(' 12.50 ')", '12.5'],
    ["number('12,5')", null],
    ['text(1.50)', '1.5'],
    // Text.
    ["'a' + null", null],
    ["size('🙂x')", 2],
    ["substring('🙂xyz', 1, 3)", 'xy'],
    ["padLeft('7', 3, '0')", '007'],
    ["'A-B'.lower().replace('-', '')", 'ab'],
    ["'Éa'.lower()", 'Éa'],
    ["join(split('a,b', ','), '; ')", 'a; b'],
    ["'b' in split('a,b', ',')", true],
    // Days.
    ["addMonths(date('2026-01-31'), 1)", '2026-02-28'],
    ["addDuration(date('2024-01-31'), 'P1M1D')", '2024-03-01'],
    ["addDuration(date('2026-03-31'), '-P1M')", '2026-02-28'],
    ["monthsBetween(date('2026-01-31'), date('2026-02-28'))", 1],
    ["monthsBetween(date('2026-02-28'), date('2026-01-31'))", -1],
    ["endOfQuarter(date('2026-05-02'))", '2026-06-30'],
    ["nextWeekday(date('2026-06-29'), 1)", '2026-07-06'],
    ["weekday(date('2026-06-30'))", 2],
    ["addDays(date('9999-12-31'), 1)", null],
    ["days(today(), date('2026-07-04'))", 4],
    ['dayOf(now())', '2026-06-30'],
    ["at(date('2026-03-08'), '02:30')", '2026-03-08T07:00:00.000Z'],
    ["addDuration(now(), 'PT4H')", '2026-07-01T02:15:00.000Z'],
    ["addBusinessDays(date('2026-07-02'), 1, 'plan')", '2026-07-06'],
    ["addBusinessDays(date('2026-07-04'), 0, 'plan')", '2026-07-06'],
    ["businessDaysBetween(date('2026-07-02'), date('2026-07-06'), 'plan')", 1],
    ["endOfBusinessDay(date('2026-07-06'))", '2026-07-06T21:00:00.000Z'],
    ["endOfBusinessDay(addBusinessDays(dayOf(now()), 1, 'plan'), 'plan')", '2026-07-01T21:00:00.000Z'],
    ["hours(instant('2026-01-01T00:00:00Z'), instant('2026-01-01T01:30:00+00:00'))", '1.5'],
    ['coalesce(null, status, "x")', 'x'],
    ["has(status) ? 'yes' : 'no'", 'no'],
    // Related records that are not there.
    ['team.budget == null', true],
    ['badges.count()', 0],
    ['badges.sum(b, b.points)', 0],
    ['badges.avg(b, b.points)', null],
    ['badges.all(b, false)', true],
  ];
  for (const [text, answer] of answers) {
    it(`${text} is ${JSON.stringify(answer)}`, () => {
      expect(evaluate(text)).to.equal(answer);
    });
  }

  it('takes numbers as numbers or as the text of numeric columns', () => {
    for (const size of [2.5, '2.5', '2.50']) expect(evaluate('size * 2 == 5 && size > 2 && size in [2.5]', { size })).to.equal(true);
    expect(evaluate('size > 9007199254740992', { size: '9007199254740993' })).to.equal(true);
  });

  it('orders text by its sort key', () => {
    expect(evaluate("name < 'B'", { name: 'álvarez' })).to.equal(true);
    expect(evaluate("name < 'unit 10'", { name: 'Unit 9' })).to.equal(true);
  });

  it('reads a reference as an id, and follows it', () => {
    const one = (object: string, id: string): Row | null => (object === 'Team' && id === TEAM ? { id: TEAM, name: 'North' } : null);
    expect(evaluate(`team == '${TEAM.toUpperCase()}' && team.id == team && team.name == 'North'`, { team: TEAM }, { one })).to.equal(true);
    expect(evaluate('user == id', { id: ANNE }, {}, { user: { kind: 'uuid' } })).to.equal(true);
  });

  it('asks policies and named variables', () => {
    const policy = (name: string, input: Row, asOf: string): Row => ({
      interval: 'P3M',
      visits: '4',
      amount: Number(input['size'] ?? 0) * 2,
      asked: `${name} ${asOf}`,
    });
    expect(evaluate("addDuration(date('2026-01-31'), policy('cadence', this).interval)", {}, { policy })).to.equal('2026-04-30');
    expect(evaluate("policy('cadence', this, dueOn).visits", { dueOn: null }, { policy })).to.equal(null);
    expect(evaluate("policy('fee', {'size': size + 1, 'region': 'MA'}).amount", { size: 4 }, { policy })).to.equal(10);
    const old: Row = { status: 'a' };
    expect(evaluate('old.status != status', { status: 'b' }, { variables: { old } }, { old: { kind: 'record', object: 'Person' } })).to.equal(true);
  });

  it('runs a formula of a related record with that record as its root', () => {
    const people: Row = { id: ANNE, dueOn: '2026-07-04', team: TEAM };
    const typed = checkExpression('person.daysLeft == 4 && person.badges.exists(x, x.person.daysLeft == 4 && x.points == points)', schema, { object: 'Badge' });
    const badge: Row = { id: TEAM, person: ANNE, points: 3 };
    const context = evalContext({ one: () => people, many: () => [{ ...badge, points: 1 }, badge] });
    expect(compileJs(typed, schema)(badge, context)).to.equal(true);
  });

  it('preloads each relation with one query, shorter paths first', async () => {
    const typed = [checkExpression("team.name == 'x' || badges.exists(b, b.person.team.budget > 1)", schema, { object: 'Person' })];
    expect(relationsOf(typed, schema).map((load) => load.path.join('.'))).to.deep.equal(['team', 'badges', 'badges.person', 'badges.person.team']);
    const asked: string[] = [];
    const loaded = await preload(typed, schema, [{ id: ANNE, team: null }], {
      byIds: (object, ids) => {
        asked.push(`${object} ${String(ids.length)}`);
        return Promise.resolve(ids.map((id) => ({ id, team: TEAM, budget: 5 })));
      },
      byReference: (object, via, ids) => {
        asked.push(`${object}.${via} ${String(ids.length)}`);
        return Promise.resolve([{ id: TEAM, person: ANNE }]);
      },
    });
    expect(asked).to.deep.equal(['Badge.person 1', 'Person 1', 'Team 1']);
    expect(typed.map((item) => compileJs(item, schema)({ id: ANNE, team: null }, evalContext(loaded)))).to.deep.equal([true]);
  });

  it('a value of the wrong shape is as good as none', () => {
    for (const size of ['abc', Number.NaN, {}, [], true]) expect(evaluate('size == null && !(size > 0)', { size })).to.equal(true);
    expect(evaluate('dueOn < today()', { dueOn: 5 })).to.equal(false);
    expect(evaluate('addDays(dueOn, 1) == null', { dueOn: 'soon' })).to.equal(true);
  });
});
