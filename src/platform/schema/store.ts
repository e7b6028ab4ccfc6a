import { setTimeout as delay } from 'node:timers/promises';
import type { Knex } from 'knex';
import { fillCalendarDays } from '../calendar/calendar-days.sql.ts';
import type { Clock } from '../clock.ts';
import { inTransaction } from '../db.ts';
import { AppError } from '../errors.ts';
import type { Log } from '../log.ts';
import { completeIds } from '../metadata/assign-ids.ts';
import { emptySet } from '../metadata/kinds.ts';
import { invalidMetadata } from '../metadata/load.ts';
import { contentHash, fromStored, toStored } from '../metadata/store-form.ts';
import type { MetadataSet } from '../metadata/types.ts';
import { checkCompiled } from '../model/check.ts';
import { calendarsOf, compile, compileModel, type ModelExtensions } from '../model/compile.ts';
import type { Model } from '../model/types.ts';
import { platformTable, rows, run, schemaOf, sql } from '../sql.ts';
import { applyPlan, refusedPlan } from './apply.ts';
import { readCatalogue, readPhysicalNames, writePhysicalNames } from './catalogue.sql.ts';
import { withLease } from './lease.sql.ts';
import { knownIds, planSchema } from './plan.ts';
import type { ApplyResult, SchemaPlan } from './types.ts';

/** How long a process may go on with a Model before it asks whether there is a newer one. */
const FRESH_MS = 1000;

/** Keeps the Model of a database: what is in force, and how to change it. */
export interface ModelStore {
  /** The Model in force; asks the database at most once a second. Version 0 when nothing was ever applied. */
  current(): Promise<Model>;
  /** The Model in force, asking the database now. */
  load(): Promise<Model>;
  /** What applying the set would do. Writes nothing. @throws AppError metadata_invalid */
  plan(set: MetadataSet): Promise<SchemaPlan>;
  /** Brings the database to the set; applying what is applied writes nothing. @throws AppError metadata_invalid, schema_refused */
  apply(set: MetadataSet, by: string): Promise<ApplyResult>;
  /** The Model once it has at least this version. @throws AppError conflict_state after ten seconds */
  waitFor(version: number): Promise<Model>;
}

export interface ModelStoreOptions {
  readonly db: Knex;
  readonly clock: Clock;
  readonly extensions: ModelExtensions;
  readonly log?: Log;
}

interface Recorded {
  readonly version: number;
  readonly set: MetadataSet;
}

/** Makes the store for one process. */
export function makeModelStore(options: ModelStoreOptions): ModelStore {
  const { db, clock, extensions, log } = options;
  const schema = schemaOf(db);
  let cached: { readonly model: Model; readonly askedAt: number } | null = null;
  let asking: Promise<Model> | null = null;

  const load = async (): Promise<Model> => {
    const askedAt = performance.now();
    const version = await currentVersion(db);
    if (cached?.model.version === version) {
      cached = { model: cached.model, askedAt };
      return cached.model;
    }
    const { set } = await readRecorded(db, version);
    const model = compileModel({ set, physical: await readPhysicalNames(db), version, schema, extensions });
    // Two loads may overlap: an older answer never takes the place of a newer one.
    if (cached === null || cached.model.version <= version) cached = { model, askedAt };
    log?.info({ version, hash: model.hash.slice(0, 12) }, 'model loaded');
    return cached.model;
  };

  const ask = (): Promise<Model> => {
    asking ??= load().finally(() => {
      asking = null;
    });
    return asking;
  };

  const planNow = async (set: MetadataSet): Promise<{ readonly plan: SchemaPlan; readonly recorded: Recorded }> => {
    const recorded = await readRecorded(db, await currentVersion(db));
    const recordedNames = await readPhysicalNames(db);
    const wanted = completeIds(set, knownIds(recorded.set, recordedNames));
    const live = await readCatalogue(
      db,
      [...recordedNames.values()].filter((name) => name.kind === 'object').map((name) => name.physical),
    );
    const plan = planSchema({ schema, recorded: recorded.set, recordedNames, wanted, live });
    const compiled = compile({ set: wanted, physical: plan.physical, version: recorded.version + 1, schema, extensions });
    const errors = checkCompiled(compiled, extensions);
    if (errors.length > 0) throw invalidMetadata(errors);
    return { plan, recorded };
  };

  const apply = (set: MetadataSet, by: string): Promise<ApplyResult> =>
    withLease(db, 'metadata', async (lease) => {
      const { plan, recorded } = await planNow(set);
      const refused = refusedPlan(plan);
      if (refused !== null) throw refused;
      if (plan.steps.length === 0) return { steps: [], hash: plan.hash, version: recorded.version };
      await applyPlan(db, clock, plan, lease);
      await lease.renew(db);
      const version = recorded.version + 1;
      await inTransaction(db, async (tx) => {
        await writePhysicalNames(tx, [...plan.physical.values()]);
        await recordVersion(tx, version, plan, by, clock);
        if (recorded.version === 0 || contentHash([...recorded.set.calendars]) !== contentHash([...plan.wanted.calendars]))
          await fillCalendarDays(tx, calendarsOf(plan.wanted, []));
      });
      log?.info({ version, steps: plan.steps.length, by }, 'metadata applied');
      await load();
      return { steps: plan.steps, hash: plan.hash, version };
    });

  return {
    current: async () => (cached !== null && performance.now() - cached.askedAt < FRESH_MS ? cached.model : ask()),
    load,
    plan: async (set) => (await planNow(set)).plan,
    apply,
    waitFor: async (version) => {
      for (let attempt = 0; attempt < 200; attempt += 1) {
        const model = await load();
        if (model.version >= version) return model;
        await delay(50);
      }
      throw new AppError('conflict_state', `Version ${String(version)} of the metadata did not come into force in ten seconds.`);
    },
  };
}

async function currentVersion(db: Knex): Promise<number> {
  const [row] = await rows(db, sql`select coalesce(max(version), 0) as version from ${platformTable(db, 'metadata_version')}`);
  return Number(row?.['version'] ?? 0);
}

/** The set of a version, as it was applied; version 0 is empty. */
async function readRecorded(db: Knex, version: number): Promise<Recorded> {
  if (version === 0) return { version, set: emptySet() };
  const [row] = await rows(db, sql`select content from ${platformTable(db, 'metadata_version')} where version = ${version}::int`);
  if (row === undefined) throw new AppError('internal', `Version ${String(version)} of the metadata is not in the database.`);
  return { version, set: fromStored(row['content']) };
}

async function recordVersion(tx: Knex.Transaction, version: number, plan: SchemaPlan, by: string, clock: Clock): Promise<void> {
  const content = toStored(plan.wanted);
  await run(
    tx,
    sql`insert into ${platformTable(tx, 'metadata_version')} (version, hash, content, created_at, created_by)
        values (${version}, ${contentHash(content)}, ${JSON.stringify(content)}::json, ${clock.now()}::timestamptz, ${by})`,
  );
}
