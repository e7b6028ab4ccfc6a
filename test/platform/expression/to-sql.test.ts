import { expect } from 'chai';
import { isAppError } from '../../../src/platform/errors.ts';
import { checkExpression } from '../../../src/platform/expression/check.ts';
import { compileFilterSql } from '../../../src/platform/expression/to-sql.sql.ts';
import { rows, sql } from '../../../src/platform/sql.ts';
import { makeTestDatabase, type TestDatabase } from '../../support/database.ts';
import { ANNE, TEAM, clinicSchema, sqlContext } from './clinic-schema.ts';

const schema = clinicSchema();

function compile(text: string, object = 'Person'): ReturnType<typeof compileFilterSql> {
  const typed = checkExpression(text, schema, { object, variables: { user: { kind: 'uuid' } } });
  return compileFilterSql(typed, schema, { alias: 't', context: sqlContext() });
}

describe('expressions in SQL', () => {
  const statements: readonly (readonly [string, string, readonly unknown[]])[] = [
    // Bare columns, so that indexes serve; constants bound and cast by type.
    ["status == 'a' && size >= 2000", '(("t"."status_k1" = (?::text collate "C")) and ("t"."size_k1" >= ?::bigint))', ['a', 2000]],
    ['size < 2.50', '("t"."size_k1" < ?::numeric)', ['2.5']],
    ['!(size < 2)', '(("t"."size_k1" < ?::bigint) is not true)', [2]],
    ["status != 'a'", '("t"."status_k1" is distinct from (?::text collate "C"))', ['a']],
    ['status == null', '("t"."status_k1" is null)', []],
    ['status == name', '("t"."status_k1" is not distinct from "t"."name_k1")', []],
    ["status in ['a', 'b']", '("t"."status_k1" = any(?::text[]))', [['a', 'b']]],
    ["name < 'Árbol'", '("t"."name_s" < (?::text collate "C"))', ['arbol']],
    ['dueOn <= addDays(today(), 30)', '("t"."dueon_k1" <= (?::date))', ['2026-07-30']],
    ['seenAt < now()', '("t"."seenat_k1" < (?::timestamptz(3)))', ['2026-06-30T22:15:00.000Z']],
    [`team == '${TEAM}'`, '("t"."team_id" = (?::uuid))', [TEAM]],
    ['team == user', '("t"."team_id" = (?::uuid))', [ANNE]],
    ["team.name == 'a'", 'exists (select 1 from "tenant"."team" "_r1" where "_r1"."id" = "t"."team_id" and ("_r1"."name_k1" = (?::text collate "C")))', ['a']],
    [
      'badges.exists(b, b.points > 1)',
      'exists (select 1 from "tenant"."badge" "_r1" where "_r1"."person_id" = "t"."id" and "_r1"."deleted_at" is null and ("_r1"."points_k1" > ?::bigint))',
      [1],
    ],
    ['false || 1 > 2', 'false', []],
    ["'a' in tags", '("t"."tags_k1" @> (?::text[]))', [['a']]],
    ['name in tags', '("t"."name_k1" = any(("t"."tags_k1")::text[]))', []],
    ["containsAny(tags, ['a', 'b'])", '(("t"."tags_k1" && (?::text[])))', [['a', 'b']]],
    ["tags.exists(t, t == 'a')", 'exists (select 1 from unnest(("t"."tags_k1")::text[]) as "_r1" (v) where ("_r1"."v" = (?::text collate "C")))', ['a']],
    [
      'tags.all(t, t == name)',
      '(not exists (select 1 from unnest(("t"."tags_k1")::text[]) as "_r1" (v) where (("_r1"."v" is not distinct from "t"."name_k1") is not true)))',
      [],
    ],
    ["dueOn == date('2026-03-31') - duration('P1M')", '("t"."dueon_k1" = (?::date))', ['2026-02-28']],
    ["size == ['a', 'b'].map(x, size(x)).sum()", '("t"."size_k1" = ?::bigint)', [2]],
  ];
  for (const [text, expected, values] of statements) {
    it(text, () => {
      const made = compile(text);
      expect(made.text).to.equal(expected);
      expect(made.values).to.deep.equal(values);
    });
  }

  it('binds whatever the text holds, and names only what the schema names', () => {
    const evil = `'"; drop table x; -- ? $1 \\ %`;
    const made = compile(`name == "${evil.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`);
    expect(made.values).to.deep.equal([evil]);
    expect(made.text).to.equal('("t"."name_k1" = (?::text collate "C"))');
  });

  it('refuses what cannot run in SQL, saying which part', () => {
    try {
      compile("policy('cadence', this).visits > 1 && active");
      expect.fail('accepted');
    } catch (error) {
      expect(isAppError(error, 'invalid_expression')).to.equal(true);
      expect(String(error)).to.contain("policy('cadence', ...) cannot run in SQL");
    }
    expect(() => compile('size')).to.throw(/must be a condition/);
  });
  describe('on PostgreSQL', () => {
    let database: TestDatabase;
    before(async () => {
      database = await makeTestDatabase();
    });

    after(async () => {
      await database.drop();
    });

    it('uses an index on a compared column, through a reference too', async () => {
      const { db } = database;
      await db.raw('create schema tenant');
      await db.raw('create table tenant.team (id uuid primary key, name_k1 text collate "C")');
      await db.raw('create table tenant.person (id uuid primary key, team_id uuid, size_k1 integer, status_k1 text collate "C", tags_k1 text[])');
      await db.raw("insert into tenant.team select gen_random_uuid(), 'team ' || i from generate_series(1, 2000) i");
      await db.raw(
        "insert into tenant.person select gen_random_uuid(), (select id from tenant.team order by name_k1 offset i % 7 limit 1), i, 's' || i, array['t' || i, 'u' || i] from generate_series(1, 20000) i",
      );
      for (const index of ['person using gin (tags_k1)', 'person (team_id)', 'person (size_k1)', 'person (status_k1)', 'team (name_k1)'])
        await db.raw(`create index on tenant.${index}`);
      await db.raw('analyze tenant.person; analyze tenant.team');
      for (const text of [
        'size == 77',
        "status == 's5'",
        "status.startsWith('s1999')",
        "status in ['s1', 's2']",
        "team.name == 'team 3'",
        "'t7' in tags",
        "containsAny(tags, ['t7', 'u9'])",
      ]) {
        const plan = await rows(db, sql`explain select 1 from tenant.person t where ${compile(text)}`);
        expect(plan.map((line) => String(line['QUERY PLAN'])).join('\n'), text).to.match(/(Bitmap )?Index (Only )?(Scan|Cond)/);
      }
    });
  });
});
