import type { Knex } from 'knex';
import type { CallContext } from '../access/types.ts';
import { inTransaction } from '../db.ts';
import { describeFailure } from '../failure.ts';
import { fault } from '../fault.ts';
import { claimEvent, claimEvents, closeEvents, deferEvent } from '../jobs/events.ts';
import type { EventRow } from '../jobs/types.ts';
import type { Log } from '../log.ts';
import type { RuleSet } from './compile.ts';
import { evaluateTogether, type Evaluator } from './evaluate.ts';
import { matchEvent, runOfMatch } from './match.ts';
import { insertRuns, type NewRun } from './runs.sql.ts';
import { listSchedules } from './schedules.sql.ts';
import { lateFires } from './timed.ts';

const BATCH = 100;

/**
 * Takes a batch of open events, inserts the runs of the rules that match, and closes the events, in one transaction.
 * When that fails each event is tried alone; one that still fails is put back with a growing pause and logged.
 * Answers how many events were closed.
 */
export async function handleEvents(db: Knex, context: CallContext, rules: RuleSet, log: Log): Promise<number> {
  let taken: readonly EventRow[] = [];
  try {
    const closed = await inTransaction(db, async (tx) => {
      taken = await claimEvents(tx, context.now, BATCH);
      fault('events.after_claim');
      return settle(tx, context, rules, taken);
    });
    fault('events.after_commit');
    return closed;
  } catch (error) {
    if (taken.length === 0) throw error;
    return settleOneByOne(db, context, rules, taken, log);
  }
}

async function settleOneByOne(db: Knex, context: CallContext, rules: RuleSet, events: readonly EventRow[], log: Log): Promise<number> {
  let done = 0;
  for (const { id } of events) {
    try {
      done += await inTransaction(db, async (tx) => {
        const event = await claimEvent(tx, id);
        return event === null ? 0 : settle(tx, context, rules, [event]);
      });
    } catch (error) {
      log.error({ event: id, ...describeFailure(error) }, 'An event could not be handled; it is tried again later.');
      await inTransaction(db, (tx) => deferEvent(tx, id, Date.parse(context.now)));
    }
  }
  return done;
}

async function settle(tx: Knex.Transaction, context: CallContext, rules: RuleSet, events: readonly EventRow[]): Promise<number> {
  const schedules = rules.timed.length === 0 || events.length === 0 ? [] : await listSchedules(tx);
  const places = new Map(schedules.map((entry) => [entry.ruleId, entry]));
  const runs = await evaluateTogether(
    tx,
    context,
    events.map((event) => async (evaluator: Evaluator): Promise<readonly NewRun[]> => {
      const found: NewRun[] = [];
      for (const rule of rules.byObject.get(event.object) ?? []) {
        for (const match of await matchEvent(tx, context, rule, event, evaluator)) {
          if (match.matched) found.push(runOfMatch(context, rule, event, match));
        }
      }
      return [...found, ...(await lateFires(context, rules, places, event, evaluator))];
    }),
  );
  await insertRuns(tx, runs.flat(), context.now);
  fault('events.after_runs');
  return closeEvents(
    tx,
    events.map((event) => event.id),
    context.now,
  );
}
