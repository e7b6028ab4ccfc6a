import type { Knex } from 'knex';
import type { CallContext } from '../access/types.ts';
import { inTransaction } from '../db.ts';
import { describeFailure } from '../failure.ts';
import { fault } from '../fault.ts';
import { claimEvent, claimEvents, closeEvents, deferEvent } from '../jobs/events.ts';
import type { EventRow } from '../jobs/types.ts';
import { stopEvent } from '../jobs/stopped-events.sql.ts';
import type { Log } from '../log.ts';
import type { RuleSet } from './compile.ts';
import { evaluateTogether, type Evaluator } from './evaluate.ts';
import { matchEvent, runOfMatch } from './match.ts';
import { insertRuns, type NewRun } from './runs.sql.ts';
import { listSchedules } from './schedules.sql.ts';
import { lateFires } from './timed.ts';

const BATCH = 100;

/**
 * Takes a batch of open events, inserts the runs of the rules that match, and closes the events, in one transaction; then one event of a
 * block of records, for which nobody else's waits. When that fails each event is tried alone; one that still fails is put back with a growing
 * pause, after six tries set aside, and logged. Answers how many events were closed.
 */
export async function handleEvents(db: Knex, context: CallContext, rules: RuleSet, log: Log): Promise<number> {
  return (await handleSome(db, context, rules, log, 'singles')) + (await handleSome(db, context, rules, log, 'blocks'));
}

async function handleSome(db: Knex, context: CallContext, rules: RuleSet, log: Log, which: 'singles' | 'blocks'): Promise<number> {
  let taken: readonly EventRow[] = [];
  try {
    const closed = await inTransaction(db, async (tx) => {
      taken = await claimEvents(tx, context.now, BATCH, which);
      if (taken.length === 0) return 0;
      fault('events.after_claim');
      return settle(tx, context, rules, taken);
    });
    if (taken.length > 0) fault('events.after_commit');
    return closed;
  } catch (error) {
    if (taken.length === 0) throw error;
    return settleOneByOne(db, context, rules, taken, log);
  }
}

/** From how many events of one batch and cause on they count as a change of many records at once. */
const MANY = 20;

/** Runs of what changes many records at once give way to those of single changes. */
function inLanes(runs: readonly NewRun[], events: readonly EventRow[]): readonly NewRun[] {
  if (runs.length <= MANY) return runs;
  const causes = new Map(events.map(({ id, actor, cause }) => [id, `${actor} ${JSON.stringify(cause)}`]));
  const counts = new Map<string, number>();
  for (const cause of causes.values()) counts.set(cause, (counts.get(cause) ?? 0) + 1);
  return runs.map((entry) => (entry.lane === 0 && (counts.get(causes.get(entry.eventId ?? '') ?? '') ?? 0) > MANY ? { ...entry, lane: 1 } : entry));
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
      const failure = describeFailure(error);
      const isDeferred = await inTransaction(db, async (tx) => {
        if (await deferEvent(tx, id, Date.parse(context.now))) return true;
        await stopEvent(tx, id, failure.message, context.now);
        return false;
      });
      if (isDeferred) log.error({ event: id, ...failure }, 'An event could not be handled; it is tried again later.');
      else log.error({ event: id, ...failure }, 'An event was set aside: it can never be handled so. Later ones of its records wait for a decision.');
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
  await insertRuns(tx, inLanes(runs.flat(), events), context.now);
  fault('events.after_runs');
  return closeEvents(
    tx,
    events.map((event) => event.id),
    context.now,
  );
}
