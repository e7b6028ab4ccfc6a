import { expect } from 'chai';
import { bindVariables, boundObstacle } from '../../../src/platform/expression/bind.ts';
import { checkExpression } from '../../../src/platform/expression/check.ts';
import { compileJs } from '../../../src/platform/expression/to-js.ts';
import { compileFilterSql } from '../../../src/platform/expression/to-sql.sql.ts';
import type { EvalContext, Row, TypedExpression } from '../../../src/platform/expression/types.ts';
import { ANNE, TEAM, clinicSchema, evalContext, sqlContext } from './clinic-schema.ts';

const schema = clinicSchema();
const RECORD: Row = { id: TEAM, name: "O'Hara", budget: '12.50', startedOn: '2026-01-31' };

function check(text: string): TypedExpression {
  return checkExpression(text, schema, { object: 'Person', variables: { record: { kind: 'record', object: 'Team' } } });
}

function contextWith(record: Row): EvalContext {
  return { ...evalContext(), variables: { record } };
}

describe('variables put into a filter', () => {
  const statements: readonly (readonly [string, string, readonly unknown[]])[] = [
    ['name == record.name', '("t"."name_k1" = (?::text collate "C"))', ["O'Hara"]],
    ['team == record', '("t"."team_id" = (?::uuid))', [TEAM]],
    ['team == record.id && size < record.budget * 2', '(("t"."team_id" = (?::uuid)) and ("t"."size_k1" < ?::bigint))', [TEAM, 25]],
    ["record.name == 'Other' || dueOn < addDays(record.startedOn, 1)", '(false or ("t"."dueon_k1" < (?::date)))', ['2026-02-01']],
    [
      "[record.name, 'x'].filter(n, n != 'x').exists(n, n == name)",
      'exists (select 1 from unnest(((?::text[]))::text[]) as "_r1" (v) where ("_r1"."v" is not distinct from "t"."name_k1"))',
      [["O'Hara"]],
    ],
    [
      'badges.exists(b, b.points > record.budget)',
      'exists (select 1 from "tenant"."badge" "_r1" where "_r1"."person_id" = "t"."id" and "_r1"."deleted_at" is null and ("_r1"."points_k1" > ?::numeric))',
      ['12.5'],
    ],
  ];
  for (const [text, expected, values] of statements) {
    it(text, () => {
      const bound = bindVariables(check(text), schema, contextWith(RECORD));
      expect(bound.sqlObstacle).to.equal(null);
      const made = compileFilterSql(bound, schema, { alias: 't', context: sqlContext() });
      expect(made.text).to.equal(expected);
      expect(made.values).to.deep.equal(values);
    });
  }

  it('means the same in JavaScript as before, also with an empty record', () => {
    const rows: readonly Row[] = [
      { id: ANNE, name: "O'Hara", size: 3, team: TEAM, dueOn: '2026-01-01' },
      { id: ANNE, name: null, size: 30, team: null, dueOn: '2026-03-01' },
    ];
    for (const [text] of statements) {
      for (const record of [RECORD, { id: TEAM }]) {
        const context = contextWith(record);
        const [whole, bound] = [compileJs(check(text), schema), compileJs(bindVariables(check(text), schema, context), schema)];
        for (const row of rows) expect(bound(row, context), `${text} of ${JSON.stringify(row)}`).to.equal(whole(row, context));
      }
    }
  });

  it('leaves what has no variable as it is, and says what cannot be bound', () => {
    const plain = check("name == 'a'");
    expect(bindVariables(plain, schema, contextWith(RECORD)).tree).to.equal(plain.tree);
    expect(boundObstacle(check('name == record.name'), schema)).to.equal(null);
    const other = checkExpression('record.badges.exists(b, b.person == id)', schema, {
      object: 'Person',
      variables: { record: { kind: 'record', object: 'Person' } },
    });
    expect(boundObstacle(other, schema)).to.contain("the variable 'record'");
  });
});
