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
    ['badges.exists(b, badges.exists(b, true))', 'already names a record'],
    ['name.foo', 'has no parts'],
    ["date('2026-02-30')", 'is not a day'],
    ["addDuration(dueOn, 'P2BD')", 'addBusinessDays'],
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
    ['size % 2', "'%' is not part of the language"],
    ['tags[0]', 'is not part of the language'],
    ["tags.exists(t, t == 'a')", 'in list'],
    ["name == 'a\\u0000'", 'NUL'],
    ['12345678901234567890123456789012345678 > 1', 'not a number that can be used'],
    ["round('a')", 'round cannot be called with (text)'],
    ['user == id', "no 'user'"],
    ['`size`', 'cannot be read'],
  ];
  for (const [text, message] of refused) {
    it(`refuses ${text === '' ? 'nothing' : text}`, () => {
      expect(errorOf(text).message).to.contain(message);
    });
  }

  it('refuses what is too long, too deep or too large', () => {
    expect(errorOf('1 == '.padEnd(LIMITS.characters + 1, '1')).errors[0]?.code).to.equal('too_long');
    expect(errorOf(`${'('.repeat(200)}1${')'.repeat(200)} == 1`).errors[0]?.code).to.equal('syntax');
    expect(errorOf(Array.from({ length: 900 }, () => 'true').join('||')).errors[0]?.code).to.equal('syntax');
    expect(() => check(Array.from({ length: 300 }, () => 'size > 1').join(' && '))).not.to.throw();
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
