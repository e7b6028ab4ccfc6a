import { expect } from 'chai';
import { AppError } from '../../../src/platform/errors.ts';
import { checkExpression, type CheckOptions } from '../../../src/platform/expression/check.ts';
import { readsOf } from '../../../src/platform/expression/reads.ts';
import { LIMITS } from '../../../src/platform/expression/source.ts';
import { clinicSchema } from './clinic-schema.ts';

const schema = clinicSchema();

function check(text: string, options: CheckOptions = { object: 'Person' }): ReturnType<typeof checkExpression> {
  return checkExpression(text, schema, options);
}

function errorOf(text: string, options?: CheckOptions): AppError {
  try {
    check(text, options);
  } catch (error) {
    if (error instanceof AppError) return error;
    throw error;
  }
  throw new Error(`No error for ${text}`);
}

describe('checkExpression', () => {
  it('gives the type of what it checked', () => {
    expect(check('size >= 2000').type).to.deep.equal({ kind: 'boolean' });
    expect(check('size / 3').type).to.deep.equal({ kind: 'number' });
    expect(check("name + '!'").type).to.deep.equal({ kind: 'text' });
    expect(check('team').type).to.deep.equal({ kind: 'uuid' });
    expect(check("split(name, ' ')").type).to.deep.equal({ kind: 'list', of: { kind: 'text' } });
    expect(check('badges.max(b, b.endsOn)').type).to.deep.equal({ kind: 'date' });
    expect(check("policy('cadence', this).interval").type).to.deep.equal({ kind: 'duration' });
  });

  it('names the place and the nearest known name', () => {
    const error = errorOf("size > 1 &&\n  statu == 'x'");
    expect(error.code).to.equal('invalid_expression');
    expect(error.extra).to.include({ line: 2, column: 3, start: 14, end: 19 });
    expect(error.errors).to.deep.equal([
      { pointer: '', code: 'unknown_name', detail: "There is no 'statu' in Person. (line 2, column 3)", fix: "Did you mean 'status'?" },
    ]);
    expect(errorOf('team.bugdet > 1').errors[0]?.fix).to.equal("Did you mean 'budget'?");
    expect(errorOf("strtsWith(name, 'a')").errors[0]?.fix).to.equal("Did you mean 'startsWith'?");
    expect(errorOf('badges.exist(b, true)').errors[0]?.fix).to.equal("Did you mean 'exists'?");
    expect(errorOf("policy('cadence', this).intervall").errors[0]?.fix).to.equal("Did you mean 'interval'?");
  });

  const refused: readonly (readonly [string, string])[] = [
    ['', 'The expression is empty'],
    ['size >', 'cannot be read'],
    ["status = 'a'", "Write '==' to compare"],
    ["dueOn < '2026-01-01'", "date('2026-01-31')"],
    ['seenAt > dueOn', 'dayOf('],
    ["dueOn == 'x'", 'cannot compare date with text'],
    ['size + name', 'cannot be used with number and text'],
    ['dueOn + 1', 'addDays'],
    ['!size', "'!' takes a condition"],
    ['status && active', "'&&' takes a condition"],
    ["status < 'b'", 'sortable'],
    ['active < active', 'cannot compare'],
    ["team == 'abc'", 'is not a record id'],
    ['badges', 'leads to many Badge records'],
    ['badges.state', 'leads to many Badge records'],
    ['badges.exists(b)', 'is written badges.exists(x, condition)'],
    ['badges.exists(b, b.points)', 'takes a condition'],
    ['badges.sum(b, b.state)', 'works on number'],
    ['badges.exists(b, badges.exists(b, true))', 'already names something'],
    ['tags.map(t, tags.map(t, t).size())', 'already names something'],
    ['name.foo', 'has no parts'],
    ["date('2026-02-30')", 'is not a day'],
    ["addDuration(dueOn, 'P2BD')", "addDuration(day, 'P2BD', 'calendar')"],
    ["dueOn + duration('PT1H')", 'A day has no hours'],
    ["seenAt + duration('P1M')", 'Months are added to days'],
    ["addDuration(dueOn, 'P2BD', name)", 'literal'],
    ['dueOn - today()', 'days(from, to)'],
    ['seenAt - now()', 'hours(from, to)'],
    ["duration('P1M') < duration('P2M')", 'months(...)'],
    ["duration('P1M') + 1", 'cannot be used with duration and number'],
    ["addDuration(dueOn, 'PT1H')", 'A day has no hours'],
    ["addDuration(seenAt, 'P1M')", 'Months are added to days'],
    ["addBusinessDays(dueOn, 1, 'moon')", "no calendar 'moon'"],
    ['addBusinessDays(dueOn, 1, name)', 'literal'],
    ["policy('nothing', this).x", "no policy 'nothing'"],
    ["policy('cadence', team).visits", 'asked with a Person record'],
    ["policy('fee', {'size': 1}).amount", "also needs 'region'"],
    ["policy('fee', {'size': 'a', 'region': 'MA'}).amount", 'is a number'],
    ["policy('fee', {'sice': 1, 'region': 'MA'}).amount", "Did you mean 'size'?"],
    ["['a', 1]", 'one kind'],
    ["name in 'abc'", 'contains('],
    ['active ? 1 : name', 'must be of one kind'],
    ["coalesce(1, 'a')", 'must be of one kind'],
    ['name[0]', 'substring('],
    ['tags[size] == 1', 'cannot compare text with number'],
    ['name.exists(x, true)', "split(text, ',')"],
    ['tags.exists(t)', 'is written list.exists(x, condition)'],
    ['tags.exists(t, t)', 'takes a condition'],
    ['tags.filter(t, size(t))', 'takes a condition'],
    ['tags.map(t, [t])', 'a list of single values'],
    ['badges.map(b, this.tags)', 'a list of single values'],
    ['badges.map(b, b.points > 1, b.points)', 'comes last'],
    ['badges.sum(b, b.points > 1, b.points)', 'The condition comes last'],
    ['sum(tags)', 'list of number'],
    ['tags + 1', "list + ['a']"],
    ['containsAny(tags, [1])', 'containsAny cannot be called with'],
    ['1 in tags', 'cannot look for number'],
    ["b'abc' == name", 'Bytes'],
    ["name == 'a\\u0000'", 'NUL'],
    ['12345678901234567890123456789012345678 > 1', 'not a number that can be used'],
    ["round('a')", 'round cannot be called with (text)'],
    ['user == id', "no 'user'"],
    ['`size`', 'cannot be read'],
    ["name == 'a", 'no closing quote'],
    ['(size > 1', "A ')' is missing"],
    ['size > 1]', "There is a ']' too many"],
    ['size > 1 and active', "'&&'"],
    ['size <> 1', "'!='"],
    ['name == \u2018a\u2019', 'straight quotes'],
    ['package > 1', 'this.package'],
    ['badges.exists(1, true)', 'a name of your choice'],
  ];
  for (const [text, message] of refused) {
    it(`refuses ${text === '' ? 'nothing' : text}`, () => {
      expect(errorOf(text).message).to.contain(message);
    });
  }

  it('points at the word that is wrong, wherever it stands', () => {
    const at = (text: string): string => {
      const { start, end } = errorOf(text).extra;
      return text.slice(Number(start), Number(end));
    };
    expect(at('size > 1 && team.bugdet > 2')).to.equal('bugdet');
    expect(at('active || badges.exsts(b, true)')).to.equal('exsts');
    expect(at("active || tags.exsts(t, t == 'a')")).to.equal('exsts');
    expect(at('days(dueOn, today()) > addDays(status, 1)')).to.equal('status');
    expect(at("addBusinessDays(dueOn, 1, 'moon') == null")).to.equal("'moon'");
    expect(at('badges.exists(b, b.endsOn > b.state)')).to.equal('b.endsOn > b.state');
    expect(at('size > 1 &')).to.equal('&');
    const { extra } = errorOf('size > 1\n  && (active\n  || 🙂)');
    expect([extra['line'], extra['column']]).to.deep.equal([3, 6]);
  });

  it('suggests policies and calendars too', () => {
    const named = { ...schema, policyNames: ['cadence', 'fee'], calendarNames: ['plan'] };
    const fixOf = (text: string): string | undefined => {
      try {
        checkExpression(text, named, { object: 'Person' });
      } catch (error) {
        if (error instanceof AppError) return error.errors[0]?.fix;
        throw error;
      }
      return undefined;
    };
    expect(fixOf("policy('cadense', this).visits")).to.equal("Did you mean 'cadence'?");
    expect(fixOf("isBusinessDay(dueOn, 'plam')")).to.equal("Did you mean 'plan'?");
    expect(fixOf('foo(1)')).to.equal(undefined);
  });

  it('gives lists and durations their types', () => {
    expect(check('badges.map(b, b.points)').type).to.deep.equal({ kind: 'list', of: { kind: 'number' } });
    expect(check('badges.map(b, b.person)').type).to.deep.equal({ kind: 'list', of: { kind: 'uuid' } });
    expect(check('tags.map(t, size(t) > 1)').type).to.deep.equal({ kind: 'list', of: { kind: 'boolean' } });
    expect(check('badges.map(b, b.endsOn).sort().first()').type).to.deep.equal({ kind: 'date' });
    expect(check("tags.filter(t, t != 'a')[0]").type).to.deep.equal({ kind: 'text' });
    expect(check("seenAt + duration('PT1H')").type).to.deep.equal({ kind: 'instant' });
    expect(check("-duration('P1M') * 2 + duration('P1D')").type).to.deep.equal({ kind: 'duration' });
    expect(check('size(badges) + badges.count()').type).to.deep.equal({ kind: 'number' });
    expect(readsOf(check('badges.map(b, b.state).exists(s, s == status)'))).to.have.members(['badges[]', 'badges[].state', 'status']);
    expect(check("['a'].map(x, policy('cadence', this).visits > 1)").sqlObstacle).to.contain('policy');
  });

  it('accepts what is large but not too large', () => {
    expect(() => check(Array.from({ length: 300 }, () => 'size > 1').join(' && '))).not.to.throw();
    expect(() => check(`size in [${Array.from({ length: LIMITS.listItems }, () => '1').join(',')}]`)).not.to.throw();
  });

  it('declared names win over fields, and this.name is the field', () => {
    const variables = { subject: { kind: 'uuid' } } as const;
    expect(check('subject', { object: 'Person', variables }).type).to.deep.equal({ kind: 'uuid' });
    expect(readsOf(check('subject == this.team', { object: 'Person', variables }))).to.deep.equal(['team']);
    expect(readsOf(check('this.subject == null', { object: 'Person', variables }))).to.deep.equal(['subject']);
  });

  it('works without an object, over variables', () => {
    const mail = { kind: 'struct', members: { from: { kind: 'text' }, size: { kind: 'number' } } } as const;
    expect(check("mail.from.endsWith('.org') && mail.size > 3", { object: null, variables: { mail } }).type.kind).to.equal('boolean');
    expect(errorOf('mail.form', { object: null, variables: { mail } }).errors[0]?.fix).to.equal("Did you mean 'from'?");
  });

  it('lists what is read, formulas and their inputs too', () => {
    expect(readsOf(check("team.name == 'a' && daysLeft > 1 && badges.exists(b, b.state == status)"))).to.have.members([
      'team',
      'team.name',
      'daysLeft',
      'dueOn',
      'badges[]',
      'badges[].state',
      'status',
    ]);
    expect(readsOf(check("policy('cadence', this).visits > 1"))).to.deep.equal(['id']);
  });

  it('says what depends on the clock and what SQL cannot do', () => {
    expect(check('daysLeft > 1').usesClock).to.equal(true);
    expect(check('dueOn == null').usesClock).to.equal(false);
    expect(check("policy('cadence', this).visits > 1").sqlObstacle).to.contain("policy('cadence'");
    expect(check("at(dueOn, '08:00') > now()").sqlObstacle).to.contain('at(');
    expect(check("at(today(), '08:00') > now()").sqlObstacle).to.equal(null);
    const variables = { old: { kind: 'record', object: 'Person' } } as const;
    expect(check('old.status != status', { object: 'Person', variables }).sqlObstacle).to.contain("'old'");
  });
});
