import { join } from 'node:path';
import type { Knex } from 'knex';
import type { ObjectModel } from '../../src/platform/model/types.ts';
import { packageRoot } from '../../src/platform/root.ts';
import { ident, joinSql, rows, run, sql, type Sql } from '../../src/platform/sql.ts';

/** Teams and shares, and the permission sets of a caller who sees one provider in a hundred through owner, team and share. */
export const SIGHT_PACKAGE = join(packageRoot(), 'test', 'bench', 'package');
export const SIGHT_SETS = ['bench-owner', 'bench-team', 'bench-share'];

/** What the hand-written server asks: who sees a provider, each way by its own index. `$1` is the caller. */
export const SIGHT_IDS = `select o.id from bench.provider o where o.owner_id = $1
  union all select a.provider from bench.assignment a join bench.member m on m.team = a.team where m.member = $1
  union all select s.provider from bench.share s where s.member = $1`;

/** One team in so many has an assignment of the caller's, one provider in so many is owned by or shared with the caller. */
const TEAMS = 250;
const OWNED = 250;
const SHARED = 500;

type Objects = ReadonlyMap<string, ObjectModel>;

function columnOf(objects: Objects, object: string, field: string): Sql {
  return ident(objects.get(object)?.fields.get(field)?.column ?? '');
}

/** Views of the tables that rules look at, with plain names, for the hand-written server. */
export async function makeSightViews(db: Knex, schema: string, objects: Objects): Promise<void> {
  const views = [
    ['assignment', 'BenchAssignment', ['provider', 'team']],
    ['member', 'BenchMember', ['team', 'member']],
    ['share', 'BenchShare', ['provider', 'member']],
  ] as const;
  for (const [view, object, fields] of views) {
    const columns = joinSql(fields.map((field) => sql`${columnOf(objects, object, field)} as ${ident(field)}`));
    await run(
      db,
      sql`create view ${ident('bench', view)} as select ${columns} from ${ident(schema, objects.get(object)?.table ?? '')} where deleted_at is null`,
    );
  }
}

/** Gives every provider an owner, a team and a share; of each a part to the caller. Does nothing where that was done. */
export async function fillSight(db: Knex, schema: string, objects: Objects, caller: string): Promise<void> {
  const table = (object: string): Sql => ident(schema, objects.get(object)?.table ?? '');
  const system = sql`gen_random_uuid(), 1, now(), 'system:bench', now(), 'system:bench'`;
  const systemColumns = sql`id, version, created_at, created_by, updated_at, updated_by`;
  const column = (object: string, field: string): Sql => columnOf(objects, object, field);
  const numbered = sql`(select id, row_number() over (order by id) as n from bench.provider) as p`;
  const [held] = await rows(db, sql`select count(*)::int as n from ${table('BenchTeam')}`);
  if (Number(held?.['n']) === 0) {
    await run(
      db,
      sql`insert into ${table('BenchTeam')} (${systemColumns}, ${column('BenchTeam', 'name')}) select ${system}, 'Team ' || n from generate_series(1, ${TEAMS}::int) as n`,
    );
    await run(
      db,
      sql`insert into ${table('BenchAssignment')} (${systemColumns}, ${column('BenchAssignment', 'provider')}, ${column('BenchAssignment', 'team')})
          select ${system}, p.id, t.id from ${numbered} join (select id, row_number() over (order by id) as n from ${table('BenchTeam')}) as t on t.n = 1 + p.n % ${TEAMS}::int`,
    );
    const others = sql`(select id, row_number() over (order by id) as n, count(*) over () as all from ${ident(schema, 'app_user')} where id <> ${caller}::uuid) as u`;
    await run(
      db,
      sql`insert into ${table('BenchShare')} (${systemColumns}, ${column('BenchShare', 'provider')}, ${column('BenchShare', 'member')})
          select ${system}, p.id, u.id from ${numbered} join ${others} on u.n = 1 + p.n % u.all`,
    );
  }
  await run(
    db,
    sql`insert into ${table('BenchMember')} (${systemColumns}, ${column('BenchMember', 'team')}, ${column('BenchMember', 'member')})
        select ${system}, t.id, ${caller}::uuid from (select id from ${table('BenchTeam')} order by id limit 1) as t`,
  );
  await run(
    db,
    sql`insert into ${table('BenchShare')} (${systemColumns}, ${column('BenchShare', 'provider')}, ${column('BenchShare', 'member')})
        select ${system}, p.id, ${caller}::uuid from ${numbered} where p.n % ${SHARED}::int = 7`,
  );
  for (const providers of [table('Provider'), ident('bench', 'provider')])
    await run(db, sql`update ${providers} as x set owner_id = ${caller}::uuid from ${numbered} where p.id = x.id and p.n % ${OWNED}::int = 11`);
}
