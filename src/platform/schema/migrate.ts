import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { Knex } from 'knex';
import * as platform from '../../../migrations/0001-platform.ts';
import * as importJobs from '../../../migrations/0002-import-jobs.ts';
import * as schemaChange from '../../../migrations/0003-schema-change.ts';
import * as searchTrigrams from '../../../migrations/0004-search-trigrams.ts';
import * as eventMembers from '../../../migrations/0005-event-members.ts';
import * as trashRelations from '../../../migrations/0006-trash-relations.ts';
import * as stableSteps from '../../../migrations/0007-stable-steps.ts';
import * as derivedValues from '../../../migrations/0008-derived-values.ts';
import * as recordMerge from '../../../migrations/0008-record-merge.ts';
import * as duplicates from '../../../migrations/0011-duplicates.ts';
import * as referenceMoves from '../../../migrations/0013-reference-moves.ts';
import * as mailIdentity from '../../../migrations/0014-mail-identity.ts';
import * as savedViewVersions from '../../../migrations/0015-saved-view-versions.ts';
import * as announcedMetadata from '../../../migrations/0016-announced-metadata.ts';
import * as historyByYear from '../../../migrations/0017-history-by-year.ts';
import * as upkeep from '../../../migrations/0018-upkeep.ts';
import * as webhooks from '../../../migrations/0019-webhooks.ts';
import * as mailIn from '../../../migrations/0020-mail-in.ts';
import * as policyApprovals from '../../../migrations/0021-policy-approvals.ts';
import * as mailGroups from '../../../migrations/0022-mail-groups.ts';
import * as ruleRuns from '../../../migrations/0023-rule-runs.ts';
import * as reportCorrections from '../../../migrations/0025-report-corrections.ts';
import { SESSION_SETTINGS, SQLSTATE, sqlState } from '../db.ts';
import { AppError } from '../errors.ts';
import { ident, joinSql, keyword, platformTable, rows, run, schemaOf, sql, type Sql } from '../sql.ts';

interface Migration {
  readonly name: string;
  readonly up: (tx: Knex.Transaction) => Promise<void>;
}

/** Every migration of the platform's own tables, in order. Forward only; a name is never used twice. */
const MIGRATIONS: readonly Migration[] = [
  { name: '0001-platform', up: platform.up },
  { name: '0002-import-jobs', up: importJobs.up },
  { name: '0003-schema-change', up: schemaChange.up },
  { name: '0004-search-trigrams', up: searchTrigrams.up },
  { name: '0005-event-members', up: eventMembers.up },
  { name: '0006-trash-relations', up: trashRelations.up },
  { name: '0007-stable-steps', up: stableSteps.up },
  { name: '0008-derived-values', up: derivedValues.up },
  { name: '0008-record-merge', up: recordMerge.up },
  { name: '0011-duplicates', up: duplicates.up },
  { name: '0013-reference-moves', up: referenceMoves.up },
  { name: '0014-mail-identity', up: mailIdentity.up },
  { name: '0015-saved-view-versions', up: savedViewVersions.up },
  { name: '0016-announced-metadata', up: announcedMetadata.up },
  { name: '0017-history-by-year', up: historyByYear.up },
  { name: '0018-upkeep', up: upkeep.up },
  { name: '0019-webhooks', up: webhooks.up },
  { name: '0020-mail-in', up: mailIn.up },
  { name: '0021-policy-approvals', up: policyApprovals.up },
  { name: '0022-mail-groups', up: mailGroups.up },
  { name: '0023-rule-runs', up: ruleRuns.up },
  { name: '0025-report-corrections', up: reportCorrections.up },
];

const OLDEST_SERVER = 150_000;
const LEASE_SECONDS = 60;
const WAIT_ATTEMPTS = 360;
const WAIT_MS = 250;
/** The longest that a migration may keep others waiting for a lock that it does not have yet (`quality.md`, 4). */
const LOCK_TIMEOUT_MS = 200;
const GIVE_UP_MS = 300_000;

/**
 * Brings the platform's own tables of this connection's schema up to date: one transaction a migration, under a lease
 * row with expiry, so that several processes may start at once and a killed one blocks nobody for long. Writes.
 * @throws AppError external_unavailable (no database), config_invalid (server too old), conflict_state (lease not won)
 */
export async function migratePlatform(db: Knex): Promise<{ applied: string[] }> {
  await checkServer(db);
  await retryRace(() => prepare(db));
  const known = await appliedNames(db);
  if (MIGRATIONS.every((migration) => known.has(migration.name))) return { applied: [] };
  const holder = randomUUID();
  await acquireLease(db, holder);
  try {
    const applied: string[] = [];
    for (const migration of MIGRATIONS) {
      if (await withLockRetry(migration, () => apply(db, holder, migration))) applied.push(migration.name);
    }
    return { applied };
  } finally {
    await run(db, sql`delete from ${platformTable(db, 'lease')} where name = 'migration' and holder = ${holder}`);
  }
}

/** Migrations that this program has and the database has not; empty = up to date. Reads only. */
export async function pendingMigrations(db: Knex): Promise<readonly string[]> {
  const [found] = await rows(db, sql`select to_regclass(${`${schemaOf(db)}.migration`}) is not null as present`);
  const known = found?.['present'] === true ? await appliedNames(db) : new Set<string>();
  return MIGRATIONS.map((migration) => migration.name).filter((name) => !known.has(name));
}

/** What a session must have some of, and what is proposed. */
const TIMEOUTS = { statement_timeout: '30s', idle_in_transaction_session_timeout: '60s' } as const;

async function checkServer(db: Knex): Promise<void> {
  let found: Readonly<Record<string, unknown>> = {};
  try {
    const setting = (name: string): Sql => sql`current_setting(${name}, true) as ${ident(name)}`;
    [found = {}] = await rows(
      db,
      sql`select current_setting('server_version_num')::int as version, ${joinSql([...Object.keys(TIMEOUTS), ...Object.keys(SESSION_SETTINGS)].map(setting))}`,
    );
  } catch (error) {
    const reason = error instanceof Error ? error.message || error.name : 'no answer';
    throw new AppError('external_unavailable', `The database does not answer: ${reason}. Check DATABASE_URL and that the server runs.`, {
      cause: error,
      retryAfterSeconds: 5,
    });
  }
  const version = Number(found['version']);
  if (version < OLDEST_SERVER) {
    throw new AppError('config_invalid', `PostgreSQL 15 or newer is needed; DATABASE_URL points at ${String(Math.floor(version / 10_000))}.`);
  }
  checkSession(found);
}

/** A pooler may be told to ignore what connections are opened with; then the role must have it (docs/operations.md). */
function checkSession(found: Readonly<Record<string, unknown>>): void {
  const lacking = Object.entries(SESSION_SETTINGS).flatMap(([name, value]) => {
    const is = String(found[name] ?? '');
    return is === value || is.startsWith(`${value},`) ? [] : [`set ${name} = '${value}'`];
  });
  for (const [name, value] of Object.entries(TIMEOUTS)) if (String(found[name]) === '0') lacking.push(`set ${name} = '${value}'`);
  if (lacking.length === 0) return;
  throw new AppError(
    'config_invalid',
    `The database ignores the settings that connections are opened with, as behind a pooler. Give them to the role of DATABASE_URL: ${lacking.map((part) => `alter role ... ${part};`).join(' ')}`,
  );
}

async function prepare(db: Knex): Promise<void> {
  await run(db, sql`create schema if not exists ${ident(schemaOf(db))}`);
  await run(
    db,
    sql`create table if not exists ${platformTable(db, 'migration')} (name text collate "C" primary key, applied_at timestamptz(3) not null default clock_timestamp())`,
  );
  await run(
    db,
    sql`create table if not exists ${platformTable(db, 'lease')} (name text collate "C" primary key, holder text not null, expires_at timestamptz(3) not null)`,
  );
}

/** "if not exists" still races inside the catalogue: two creators at once give one of them a unique violation. */
async function retryRace(work: () => Promise<void>): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      await work();
      return;
    } catch (error) {
      const raced = [SQLSTATE.uniqueViolation, '42P06', '42P07', '42710'].includes(sqlState(error) ?? '');
      if (!raced || attempt >= 5) throw error;
    }
  }
}

async function appliedNames(db: Knex): Promise<ReadonlySet<string>> {
  const found = await rows(db, sql`select name from ${platformTable(db, 'migration')}`);
  return new Set(found.map((row) => String(row['name'])));
}

async function acquireLease(db: Knex, holder: string): Promise<void> {
  const lease = platformTable(db, 'lease');
  for (let attempt = 1; attempt <= WAIT_ATTEMPTS; attempt += 1) {
    const won = await rows(
      db,
      sql`insert into ${lease} as held (name, holder, expires_at)
          values ('migration', ${holder}, clock_timestamp() + make_interval(secs => ${LEASE_SECONDS}))
          on conflict (name) do update set holder = excluded.holder, expires_at = excluded.expires_at
          where held.expires_at < clock_timestamp() or held.holder = excluded.holder
          returning holder`,
    );
    if (won.length > 0) return;
    await delay(WAIT_MS);
  }
  throw new AppError('conflict_state', 'Another process is migrating this database and does not come to an end; look at its log, then start again.');
}

/** Tries a migration again, from its beginning, while others hold a lock that it needs. @throws AppError conflict_state after five minutes */
async function withLockRetry(migration: Migration, work: () => Promise<boolean>): Promise<boolean> {
  const start = performance.now();
  for (;;) {
    try {
      return await work();
    } catch (error) {
      const state = sqlState(error instanceof AppError ? error.cause : error);
      if (state !== SQLSTATE.lockNotAvailable && state !== SQLSTATE.deadlockDetected) throw error;
      if (performance.now() - start > GIVE_UP_MS)
        throw new AppError(
          'conflict_state',
          `Migration ${migration.name} waits for a lock that others do not give up; end what runs for long, then start again.`,
          {
            cause: error,
          },
        );
      await delay(WAIT_MS);
    }
  }
}

async function apply(db: Knex, holder: string, migration: Migration): Promise<boolean> {
  return db.transaction(async (tx) => {
    const held = await run(
      tx,
      sql`update ${platformTable(tx, 'lease')} set expires_at = clock_timestamp() + make_interval(secs => ${LEASE_SECONDS})
          where name = 'migration' and holder = ${holder}`,
    );
    if (held !== 1) throw new AppError('conflict_state', 'The migration lease was lost to another process; start again.');
    const noted = await run(tx, sql`insert into ${platformTable(tx, 'migration')} (name) values (${migration.name}) on conflict do nothing`);
    if (noted === 0) return false;
    await run(tx, sql`set local search_path to ${ident(schemaOf(tx))}, public`);
    await run(tx, sql`set local statement_timeout to 0`);
    await run(tx, sql`set local lock_timeout to ${keyword(String(LOCK_TIMEOUT_MS))}`);
    await migration.up(tx).catch((error: unknown) => {
      // knex puts the whole migration text before the server's complaint
      const complaint = error instanceof Error ? (error.message.split(' - ').at(-1) ?? error.message) : String(error);
      throw new AppError('internal', `Migration ${migration.name} failed and was rolled back: ${complaint}`, { cause: error });
    });
    return true;
  });
}
