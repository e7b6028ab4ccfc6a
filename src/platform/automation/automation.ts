import type { Knex } from 'knex';
import type { CallContext } from '../access/types.ts';
import type { Clock, Instant } from '../clock.ts';
import { inTransaction } from '../db.ts';
import { AppError, isAppError } from '../errors.ts';
import { describeFailure } from '../failure.ts';
import { isUuid, type RandomBytes } from '../ids.ts';
import { isEventDue } from '../jobs/events.ts';
import type { JobHandler } from '../jobs/worker.ts';
import type { Log } from '../log.ts';
import type { MailQueue } from '../mail/types.ts';
import type { Model } from '../model/types.ts';
import type { RecordEngine } from '../record/types.ts';
import { onModelInForce } from '../schema/processes.sql.ts';
import { holds } from '../sql.ts';
import { systemCall } from './call-context.ts';
import { compileRules, type RuleSet } from './compile.ts';
import { handleEvents } from './events.ts';
import type { MailValues } from './mail-data.ts';
import { runDueRuns, type RunTools } from './run.ts';
import { keepDefinitions } from './run-limits.sql.ts';
import { isRunDue, nextDueAfter, readyAgain } from './runs.sql.ts';
import { claimSchedule, isScheduleDue, moveSchedule, removeSchedules, type RuleSchedule } from './schedules.sql.ts';
import { scanRule, syncSchedules } from './timed.ts';
import type { RuleAction, RuleReader } from './types.ts';

export interface AutomationOptions {
  /** The Model in force; asked at every batch. */
  readonly currentModel: () => Promise<Model>;
  readonly clock: Clock;
  readonly random: RandomBytes;
  readonly engine: RecordEngine;
  readonly reader: RuleReader;
  readonly mail: MailQueue;
  /** What `action` steps may name. */
  readonly actions?: ReadonlyMap<string, RuleAction>;
  /** Values that mail templates may name besides the record's own, such as a personal link. */
  readonly mailValues?: MailValues;
  readonly log: Log;
  /** Told when the Model of a run was replaced, so that the next one to ask for it gets the one in force. */
  readonly onModelChanged?: () => void;
}

export interface Automation {
  /** Turns open events into runs; answers how many events were closed. */
  handleEvents(db: Knex): Promise<number>;
  /** Turns what is due by time into runs; answers how many runs are new. */
  scan(db: Knex): Promise<number>;
  /** Does due runs, at most a batch; answers how many were tried. */
  runRuns(db: Knex): Promise<number>;
  /** The three above as the worker takes them, in the order they must have. */
  readonly handlers: readonly JobHandler[];
  /** The earliest moment after `after` at which something becomes due (rules, schedules, events put back, mail), or null. */
  nextDue(db: Knex, after: Instant): Promise<Instant | null>;
  /**
   * Makes a failed or quarantined run ready again.
   * @throws AppError not_found when there is no such run
   */
  replayRun(db: Knex, id: string): Promise<void>;
}

const RUNS_A_BATCH = 100;

/** Events -> rule runs -> steps, and what starts by time. Holds no state but what the Model compiles to. */
export function makeAutomation(options: AutomationOptions): Automation {
  const { clock, random, log, currentModel } = options;
  const tools: RunTools = { ...options, actions: options.actions ?? new Map(), mailValues: options.mailValues ?? new Map() };
  /** Version and database whose schedules were brought in line. */
  let synced = new WeakMap<object, string>();
  let kept = new WeakMap<object, string>();

  const handle = async (db: Knex): Promise<number> => {
    if (!(await holds(db, isEventDue(db, clock.now())))) return 0;
    const model = await currentModel();
    const rules = compileRules(model);
    await keepTexts(db, model, rules);
    return handleEvents(db, systemCall(model, clock, random, 'automation'), rules, log);
  };

  /** Before anything starts: what runs are done by. Once for a Model and database. */
  const keepTexts = async (db: Knex, model: Model, rules: RuleSet): Promise<void> => {
    if (kept.get(db) === model.hash) return;
    await inTransaction(db, (tx) => keepDefinitions(tx, rules.byId.values(), clock.now()));
    kept = new WeakMap([[db, model.hash]]);
  };

  const scan = async (db: Knex): Promise<number> => {
    const model = await currentModel();
    const rules = compileRules(model);
    const context = systemCall(model, clock, random, 'automation');
    await keepTexts(db, model, rules);
    if (synced.get(db) !== model.hash) {
      await inTransaction(db, (tx) => syncSchedules(tx, context, rules));
      synced = new WeakMap([[db, model.hash]]);
    }
    let runs = 0;
    // Each rule in its own transaction; a rule that another process holds is left to it.
    for (let looked = 0; looked <= rules.timed.length && (await holds(db, isScheduleDue(db, context.now))); looked += 1) {
      runs += await scanNext(db, context, rules);
    }
    return runs;
  };

  /** Looks at the timed rule that is due first. One that fails is logged and tried again later, and does not stand in the way of others. */
  const scanNext = async (db: Knex, context: CallContext, rules: RuleSet): Promise<number> => {
    let held: RuleSchedule | null = null;
    try {
      return await inTransaction(db, async (tx) => {
        const schedule = await claimSchedule(tx, context.now);
        held = schedule;
        if (schedule === null) return 0;
        const rule = rules.byId.get(schedule.ruleId);
        if (rule !== undefined) return scanRule(tx, context, rule, schedule, options.reader);
        await removeSchedules(tx, [schedule.ruleId]);
        return 0;
      });
    } catch (error) {
      const failed: RuleSchedule | null = held;
      if (failed === null) throw error;
      await postpone(db, failed, error);
      return 0;
    }
  };

  const postpone = async (db: Knex, schedule: RuleSchedule, error: unknown): Promise<void> => {
    log.error({ rule: schedule.ruleId, ...describeFailure(error) }, 'A timed rule could not be looked at; it is tried again in five minutes.');
    const later = new Date(clock.nowMs() + 5 * 60_000).toISOString();
    await inTransaction(db, (tx) => moveSchedule(tx, schedule.ruleId, later, schedule.scannedTo));
  };

  const runRuns = async (db: Knex): Promise<number> => {
    if (!(await holds(db, isRunDue(db, clock.now())))) return 0;
    return onModelInForce(async () => {
      const model = await currentModel();
      const rules = compileRules(model);
      try {
        return await runDueRuns(db, tools, model, rules, RUNS_A_BATCH);
      } catch (error) {
        if (isAppError(error, 'model_changed')) options.onModelChanged?.();
        throw error;
      }
    });
  };

  return {
    handleEvents: handle,
    scan,
    runRuns,
    handlers: [
      { name: 'schedules', run: scan, everySeconds: 5 },
      { name: 'events', run: handle, waiting: isEventDue },
      { name: 'runs', run: runRuns, waiting: isRunDue },
    ],
    nextDue: nextDueAfter,
    async replayRun(db, id) {
      const found = isUuid(id) && (await inTransaction(db, (tx) => readyAgain(tx, id, clock.now())));
      if (!found) throw new AppError('not_found', 'There is no failed or quarantined run with this id.');
    },
  };
}
