import { expect } from 'chai';
import { checkExpression } from '../../../src/platform/expression/check.ts';
import { preload, relationsOf } from '../../../src/platform/expression/reads.ts';
import { compileJs } from '../../../src/platform/expression/to-js.ts';
import type { EvalContext, ExprType, Row } from '../../../src/platform/expression/types.ts';
import { ANNE, TEAM, clinicSchema, evalContext } from './clinic-schema.ts';

const schema = clinicSchema();

function evaluate(text: string, row: Row = {}, context: Partial<EvalContext> = {}, variables: Readonly<Record<string, ExprType>> = {}): unknown {
  return compileJs(checkExpression(text, schema, { object: 'Person', variables }), schema)(row, evalContext(context));
}

describe('expressions in JavaScript', () => {
  const answers: readonly (readonly [string, unknown])[] = [
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
    ["'a' + null", null],
    ["size('🙂x')", 2],
    ["substring('🙂xyz', 1, 3)", 'xy'],
    ["padLeft('7', 3, '0')", '007'],
    ["'A-B'.lower().replace('-', '')", 'ab'],
    ["'Éa'.lower()", 'Éa'],
    ["join(split('a,b', ','), '; ')", 'a; b'],
    ["'b' in split('a,b', ',')", true],
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
    ["date('2026-03-31') - duration('P1M')", '2026-02-28'],
    ["duration('P1M') + date('2026-01-31')", '2026-02-28'],
    ["now() - duration('PT15M')", '2026-06-30T22:00:00.000Z'],
    ["duration('P1Y') + duration('P2M3D') + duration('PT90M')", 'P1Y2M3DT1H30M'],
    ["duration('P1M') - duration('P1M')", 'P0D'],
    ["duration('P2BD') + duration('P3BD')", 'P5BD'],
    ["duration('P2BD') + duration('P3D')", null],
    ["duration('PT90M') * 3", 'PT4H30M'],
    ["2 * duration('-P6M')", '-P1Y'],
    ["duration('P6M') * 1.5", null],
    ["-duration('-P2W')", 'P2W'],
    ["days(duration('P1M'))", null],
    ["duration('P12M') == duration('P1Y')", false],
    ["months(duration('P12M')) == months(duration('P1Y'))", true],
    ["addDuration(date('2026-07-02'), 'P0BD', 'plan')", '2026-07-02'],
    ["addDuration(date('2026-07-06'), '-P2BD', 'plan')", '2026-07-01'],
    ["addDuration(date('2026-07-06'), coalesce('soon', null), 'plan') == null", true],
    ['7 % 3', 1],
    ['-7 % 3', -1],
    ['7.5 % 2', '1.5'],
    ['1 % 0', null],
    ['1000000000000000000000000000000000 % 7', 6],
    ["['a', 'b'][0] + ['a', 'b'][1]", 'ab'],
    ["['a'][0 - 1]", null],
    ["['a', null, 'b'].exists(x, x == null)", true],
    ["[].exists(x, x == 'a') || ![].all(x, x == 'a')", false],
    ['tags.exists(t, true) || !tags.all(t, false)', false],
    ["'a' in ['a', 'b'].filter(x, x != 'a')", false],
    ['[3, 1, 2].sort().map(n, n * n).sum()', 14],
    ["[1, 2, 3].map(n, text(n * 10), n > 1).join(',')", '20,30'],
    ['distinct([1, 1.0, 2]).size()', 2],
    ["containsAll(['a'], []) && !containsAll(['a'], [null])", true],
    ["concat(tags, ['a'])", null],
    ["split('a,b', ',').exists(x, ['b', 'c'].exists(y, x == y))", true],
    ["join(['b', 'a'].map(x, ['1', '2'].map(y, x + y).join('+')), '; ')", 'b1+b2; a1+a2'],
    ['team.budget == null', true],
    ['badges.count()', 0],
    ['badges.sum(b, b.points)', 0],
    ['badges.avg(b, b.points)', null],
    ['badges.all(b, false)', true],
    ['badges.map(b, b.points).size()', 0],
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

  it('lists values of related records in the order of their ids, without nulls', () => {
    const badges = [
      { id: 'c', state: 'MA', points: 3 },
      { id: 'a', state: 'RI', points: '0.5' },
      { id: 'b', state: null, points: 1 },
    ];
    const context = { many: () => badges };
    expect(evaluate('badges.map(b, b.state)', { id: ANNE }, context)).to.deep.equal(['RI', 'MA']);
    expect(evaluate('badges.map(b, b.points, b.points < 2)', { id: ANNE }, context)).to.deep.equal(['0.5', 1]);
    expect(evaluate('badges.map(b, b.points).avg()', { id: ANNE }, context)).to.equal('1.5');
    expect(evaluate("badges.exists(b, ['MA', 'CT'].exists(s, s == b.state && tags.contains(s)))", { id: ANNE, tags: ['MA'] }, context)).to.equal(true);
  });

  it('makes no text above 100,000 characters and no list above 1,000 elements', () => {
    const name = 'ab,'.repeat(30_000);
    expect(evaluate('size(name + name)', { name })).to.equal(null);
    expect(evaluate("size(replace(name, ',', ', '))", { name })).to.equal(null);
    expect(evaluate("size(name.replace('ab', ''))", { name })).to.equal(30_000);
    expect(evaluate("split(name, ',')", { name })).to.equal(null);
    expect(evaluate("split(left(name, 2998), ',').size()", { name })).to.equal(1000);
    expect(evaluate("(split(left(name, 2998), ',') + ['a']).size()", { name })).to.equal(null);
    expect(evaluate("split(left(name, 2998), ',').map(x, left(name, 101)).size()", { name })).to.equal(null);
    expect(evaluate("size(padLeft('x', 100001, 'a'))", { name })).to.equal(null);
    expect(evaluate('size(name + name)', { name: '🙂'.repeat(50_000) })).to.equal(100_000);
    expect(evaluate("size(name + name + 'x')", { name: '🙂'.repeat(50_000) })).to.equal(null);
  });

  it('computes a constant side once a day and instant, and anew on another', () => {
    const typed = checkExpression('dueOn <= addDays(today(), 30)', schema, { object: 'Person' });
    const run = compileJs(typed, schema);
    const row = { dueOn: '2026-07-30' };
    expect([run(row, evalContext()), run(row, evalContext({ today: '2026-06-29' })), run(row, evalContext())]).to.deep.equal([true, false, true]);
  });

  it('a value of the wrong shape is as good as none', () => {
    for (const size of ['abc', Number.NaN, {}, [], true]) expect(evaluate('size == null && !(size > 0)', { size })).to.equal(true);
    expect(evaluate('dueOn < today()', { dueOn: 5 })).to.equal(false);
    expect(evaluate('addDays(dueOn, 1) == null', { dueOn: 'soon' })).to.equal(true);
  });
});
