import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { Knex } from 'knex';
import type { Clock } from '../clock.ts';
import { AppError } from '../errors.ts';
import { fault as defaultFault, type Fault } from '../fault.ts';
import type { Log } from '../log.ts';
import type { MetadataSet } from '../metadata/types.ts';
import { compileModelInSlices, type ModelExtensions } from '../model/compile.ts';
import type { Model } from '../model/types.ts';
import { schemaOf } from '../sql.ts';
import { isAnnounced, readAnnounced, sayReady } from './announced.sql.ts';
import { readApprovals } from './approvals.sql.ts';
import { applyWish, type ApplyOptions } from './change.ts';
import { readPhysicalNames } from './names.sql.ts';
import { planWish, type PlanOptions, type Wish } from './planner.ts';
import { reissue } from './reissue.ts';
import { beat, leave, listen, type Heard } from './processes.sql.ts';
import type { ApplyResult, SchemaPlan, VersionEntry } from './types.ts';
import { currentVersion, listVersions, readInForce, readVersion, type Recorded } from './versions.sql.ts';

/** How long a process may go on with a Model before it asks whether there is a newer one. */
const FRESH_MS = 1000;
/** How often a process says that it lives and asks what is announced and in force; an idle one does nothing more often (`quality.md`, 5). */
const LISTEN_MS = 1_000;
/** How often while a version is announced, so that it is taken up as soon as it is in force. */
const LISTEN_CLOSELY_MS = 100;
/** What was announced so long ago and is not in force may never be: whoever announced it has ended. */
const CLOSELY_FOR_MS = 60_000;
/** So long after its last heartbeat a process may read by the Model that it said it runs on, while the next one is compiled. */
const HEARD_MS = 5_000;

/** Keeps the Model of a database: what is in force, and how to change it. */
export interface ModelStore {
  /**
   * The Model in force; asks the database at most once a second. Version 0 when nothing was ever applied. While a process that others
   * count on (it beats) gets a later one ready, this is the one before it, unless it is expired.
   */
  current(): Promise<Model>;
  /** The next one to ask for the Model asks the database: somebody found that there is a later version. */
  expire(): void;
  /** The Model in force, asking the database now. */
  load(): Promise<Model>;
  /** What fulfilling the wish would do; a set alone is what the files say. Writes nothing. @throws AppError metadata_invalid */
  plan(wish: MetadataSet | Wish, options?: PlanOptions): Promise<SchemaPlan>;
  /** The Model that a wish would put in force, its objects where they would stand. Reads only. @throws as `plan` does */
  preview(wish: MetadataSet | Wish): Promise<Model>;
  /** Brings the database to the wish; applying what is applied writes nothing. @throws AppError metadata_invalid, schema_refused, conflict_state */
  apply(wish: MetadataSet | Wish, by: string, options?: ApplyOptions): Promise<ApplyResult>;
  /**
   * The metadata as it is, in force again as a version of its own, together with what `within` writes; answers the version.
   * @throws AppError conflict_state, and whatever `within` throws
   */
  reissue(by: string, note: string, within: (tx: Knex.Transaction, recorded: Recorded) => Promise<void>): Promise<number>;
  /** The Model once it has at least this version. @throws AppError conflict_state after ten seconds */
  waitFor(version: number): Promise<Model>;
  /** A version as it was applied; the one in force without a number. @throws AppError not_found */
  recorded(version?: number): Promise<Recorded>;
  /** The latest versions, the newest first. */
  versions(limit: number): Promise<readonly VersionEntry[]>;
  /** Says once a second that this process lives and on which version, and follows new ones. Answers how to stop. */
  startBeating(): () => Promise<void>;
}

export interface ModelStoreOptions {
  readonly db: Knex;
  readonly clock: Clock;
  readonly extensions: ModelExtensions;
  readonly log?: Log;
  /** Named points for crash tests; the process-wide plan of `fault.ts` by default. */
  readonly faults?: Fault;
}

/** Makes the store for one process. */
export function makeModelStore(options: ModelStoreOptions): ModelStore {
  const { db, clock, extensions, log } = options;
  const faults = options.faults ?? defaultFault;
  const schema = schemaOf(db);
  const processId = randomUUID();
  let cached: { readonly model: Model; readonly askedAt: number } | null = null;
  let asking: ReturnType<typeof askVersion> | null = null;

  let isBeating = false;
  /** When this process last said on which version it runs. */
  let beatAt = -Infinity;
  /** What was announced last, and its Model until it is in force. */
  let prepared: { readonly id: string; readonly model: Model | null } | null = null;
  let announcedAt = -Infinity;
  let compiling: { readonly version: number; readonly model: Promise<Model> } | null = null;

  const loadVersion = async (version: number, askedAt: number): Promise<Model> => {
    if (cached?.model.version === version) {
      cached = { model: cached.model, askedAt };
      return cached.model;
    }
    // All who find the new version at the same moment wait for the one who compiles it.
    if (compiling?.version === version) return compiling.model;
    const model = compile(version, askedAt).finally(() => {
      if (compiling?.version === version) compiling = null;
    });
    compiling = { version, model };
    return model;
  };

  const compile = async (version: number, askedAt: number): Promise<Model> => {
    const model = (await preparedFor(version)) ?? (await compileRecorded(version));
    // Two loads may overlap: an older answer never takes the place of a newer one.
    if (cached === null || cached.model.version <= version) cached = { model, askedAt };
    log?.info({ version, hash: model.hash.slice(0, 12) }, 'model loaded');
    return cached.model;
  };

  const compileRecorded = async (version: number): Promise<Model> => {
    const recorded = await readInForce(db, version);
    const physical = recorded.names ?? (await readPhysicalNames(db));
    return compileModelInSlices({ ...recorded, physical, version, schema, extensions, approvals: await readApprovals(db) });
  };

  /** The Model that was compiled when the version was announced. */
  const preparedFor = async (version: number): Promise<Model | null> => {
    const ready = prepared;
    if (ready?.model?.version !== version || !(await isAnnounced(db, version, ready.id))) return null;
    prepared = { id: ready.id, model: null };
    return ready.model;
  };

  /** Compiles what is announced, so that it is at hand once it is in force. What cannot be compiled is tried again then. */
  const prepare = async (id: string): Promise<void> => {
    prepared = { id, model: null };
    const next = await readAnnounced(db, id);
    if (next === null || next.version <= (cached?.model.version ?? 0)) return;
    const model = await compileModelInSlices({ ...next, physical: next.names, schema, extensions, approvals: await readApprovals(db) });
    if (prepared.id === id) prepared = { id, model };
    await sayReady(db, processId, id);
  };

  const askVersion = (): Promise<{ readonly version: number; readonly askedAt: number }> => {
    if (asking !== null) return asking;
    const askedAt = performance.now();
    const answer = currentVersion(db)
      .then((version) => ({ version, askedAt }))
      .finally(() => {
        if (asking === answer) asking = null;
      });
    asking = answer;
    return answer;
  };

  const load = async (): Promise<Model> => {
    const askedAt = performance.now();
    return loadVersion(await currentVersion(db), askedAt);
  };

  const current = async (): Promise<Model> => {
    const known = cached;
    if (known !== null && performance.now() - known.askedAt < FRESH_MS) return known.model;
    const { version, askedAt } = await askVersion();
    const next = loadVersion(version, askedAt);
    // A change waits with what takes something away until every process that lives says that it has the version.
    const isCountedOn = isBeating && performance.now() - beatAt < HEARD_MS;
    if (known === null || known.askedAt === -Infinity || known.model.version >= version || !isCountedOn) return next;
    next.catch((error: unknown) => log?.warn({ reason: error instanceof Error ? error.name : 'unknown' }, 'A version of the metadata could not be loaded.'));
    return known.model;
  };

  const expire = (): void => {
    if (cached !== null) cached = { model: cached.model, askedAt: -Infinity };
    asking = null;
  };

  const sayBeat = async (version: number): Promise<Heard> => {
    const saidAt = performance.now();
    const said = await beat(db, processId, version);
    beatAt = saidAt;
    return said;
  };

  /** Answers whether a version was announced and is about to be in force. */
  const listenOnce = async (): Promise<boolean> => {
    const askedAt = performance.now();
    const known = cached?.model.version ?? 0;
    const { version, announced } = askedAt - beatAt < LISTEN_MS / 2 ? await listen(db) : await sayBeat(known);
    if (version !== known) {
      await loadVersion(version, askedAt);
      await sayBeat(version);
    } else if (cached !== null && cached.askedAt > -Infinity) cached = { model: cached.model, askedAt };
    if (announced === null) return false;
    if (announced !== prepared?.id) {
      announcedAt = performance.now();
      await prepare(announced);
    }
    return performance.now() - announcedAt < CLOSELY_FOR_MS;
  };

  const startBeating = (): (() => Promise<void>) => {
    isBeating = true;
    let beating: Promise<void> = Promise.resolve();
    const failed = (error: unknown): boolean => {
      log?.warn({ reason: error instanceof Error ? error.name : 'unknown' }, 'The heartbeat failed; it is tried again.');
      return false;
    };
    const beatAfter = (ms: number): NodeJS.Timeout =>
      setTimeout(() => {
        beating = listenOnce()
          .catch(failed)
          .then((isAnnounced) => {
            if (isBeating) timer = beatAfter(isAnnounced ? LISTEN_CLOSELY_MS : LISTEN_MS);
          });
      }, ms).unref();
    let timer = beatAfter(LISTEN_MS);
    return async () => {
      isBeating = false;
      clearTimeout(timer);
      await beating;
      // A row that stays behind expires by itself.
      await leave(db, processId).catch((error: unknown) =>
        log?.warn({ reason: error instanceof Error ? error.name : 'unknown' }, 'The process could not sign off.'),
      );
    };
  };

  const planner = { db, clock, extensions, known: (version: number) => (cached?.model.version === version ? cached.model : null) };
  const onAnnounced = async (id: string, model: Model): Promise<void> => {
    prepared = { id, model };
    if (isBeating) await sayReady(db, processId, id);
  };
  const onVersion = async (): Promise<void> => {
    const { version } = await load();
    if (isBeating) await sayBeat(version);
  };

  return {
    current,
    expire,
    load,
    plan: async (wish, planOptions = {}) => (await planWish(planner, asWish(wish), planOptions)).plan,
    preview: async (wish) => (await planWish(planner, asWish(wish), {})).model,
    apply: async (wish, by, applyOptions = {}) => {
      const result = await applyWish({ ...planner, faults, onAnnounced, onVersion }, asWish(wish), by, applyOptions);
      if (result.steps.length > 0) log?.info({ version: result.version, steps: result.steps.length, by }, 'metadata applied');
      return result;
    },
    reissue: (by, note, within) => reissue({ db, clock, onVersion }, by, note, within),
    waitFor: async (version) => {
      for (let attempt = 0; attempt < 200; attempt += 1) {
        const model = await load();
        if (model.version >= version) return model;
        await delay(50);
      }
      throw new AppError('conflict_state', `Version ${String(version)} of the metadata did not come into force in ten seconds.`);
    },
    recorded: async (version) => readVersion(db, version ?? (await currentVersion(db))),
    versions: (limit) => listVersions(db, limit),
    startBeating,
  };
}

function asWish(wish: MetadataSet | Wish): Wish {
  return 'kind' in wish ? wish : { kind: 'files', set: wish, package: null };
}
