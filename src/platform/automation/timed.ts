import type { Knex } from 'knex';
import type { CallContext } from '../access/types.ts';
import type { Instant } from '../clock.ts';
import { nextCronInstant } from '../calendar/recurrence.ts';
import { AppError } from '../errors.ts';
import type { Row } from '../expression/types.ts';
import { fault } from '../fault.ts';
import type { EventRow } from '../jobs/types.ts';
import { rowOf } from '../record/images.ts';
import { evaluateTogether, makeEvaluator, type Evaluator } from './evaluate.ts';
import { limitsOf, matchCondition } from './match.ts';
import { anchorDay, anchorRange, fireInstant, localText, occurrencesUntil } from './occurrences.ts';
import { objectOf } from './records.sql.ts';
import { pickRows } from './run-data.ts';
import { insertRuns, type NewRun } from './runs.sql.ts';
import { correctSchedule, listSchedules, moveSchedule, putSchedule, removeSchedules, type RuleSchedule } from './schedules.sql.ts';
import type { CompiledRule, RuleReader } from './types.ts';
import type { RuleSet } from './compile.ts';

const PAGE = 200;
/** Later than this an occurrence counts as missed. */
const GRACE_MS = 15 * 60_000;
/** Most occurrences of one schedule that are made up for at once. */
const MOST_OCCURRENCES = 1000;

/**
 * Brings `rule_schedule` in line with the Model: new and changed timed rules start from now on, removed ones go. The others are due when
 * the zone data of this process and the calendars say now, whatever said so before; what passed since they were last looked at stays due.
 */
export async function syncSchedules(tx: Knex.Transaction, context: CallContext, rules: RuleSet): Promise<void> {
  const held = new Map((await listSchedules(tx)).map((entry) => [entry.ruleId, entry]));
  for (const rule of rules.timed) {
    const definition = JSON.stringify(rule.file.on);
    const known = held.get(rule.id);
    held.delete(rule.id);
    if (known?.definition === definition) {
      const due = nextLook(context, rule, known.scannedTo);
      if (due !== null && due !== known.nextDue) await correctSchedule(tx, known, due);
      continue;
    }
    const nextDue = nextLook(context, rule, context.now);
    // A date rule keeps its place: only the days to come have the new offsets.
    if (nextDue !== null) await putSchedule(tx, { ruleId: rule.id, definition, nextDue, scannedTo: context.now });
  }
  await removeSchedules(tx, [...held.keys()]);
}

/** When a timed rule must be looked at next: a schedule's next occurrence, a date rule's next local time of day. */
function nextLook(context: CallContext, rule: CompiledRule, after: Instant): Instant | null {
  const on = rule.file.on;
  if ('schedule' in on) return nextCronInstant(on.schedule, on.zone, after);
  if (!('date' in on)) return null;
  const { calendarLookup } = context.model;
  const calendar = on.calendar ?? calendarLookup.planCalendar;
  let day = calendarLookup.dayOf(after, calendar) ?? context.today;
  for (let tries = 0; tries < 4; tries += 1) {
    const instant = calendarLookup.at(day, on.at, calendar);
    if (instant === null) throw new AppError('metadata_invalid', `Rule "${rule.name}": there is no calendar "${calendar}".`);
    if (instant > after) return instant;
    day = new Date(Date.parse(`${day}T00:00:00Z`) + 86_400_000).toISOString().slice(0, 10);
  }
  return null;
}

/** Makes the runs of one timed rule that is due and moves it on, all in one transaction. Answers how many runs are new. */
export async function scanRule(tx: Knex.Transaction, context: CallContext, rule: CompiledRule, schedule: RuleSchedule, reader: RuleReader): Promise<number> {
  const evaluator = makeEvaluator(tx, context);
  const on = rule.file.on;
  let count = 0;
  let next: Instant | null;
  if ('schedule' in on) {
    const first = nextCronInstant(on.schedule, on.zone, schedule.scannedTo) ?? schedule.nextDue;
    const found = occurrencesUntil(on.schedule, on.zone, first, context.now, MOST_OCCURRENCES);
    const chosen = chooseOccurrences(rule, found.list, context.now);
    const missed = found.list.length + found.dropped - chosen.length;
    for (const [index, due] of chosen.entries())
      count += await insertOccurrence(tx, context, rule, due, index === chosen.length - 1 ? missed : 0, reader, evaluator);
    next = found.next;
  } else {
    count = await insertDated(tx, context, rule, schedule, reader);
    next = nextLook(context, rule, context.now);
  }
  fault('schedule.after_insert');
  if (next === null) await removeSchedules(tx, [rule.id]);
  else await moveSchedule(tx, rule.id, next, context.now);
  return count;
}

function chooseOccurrences(rule: CompiledRule, due: readonly Instant[], now: Instant): readonly Instant[] {
  switch (rule.file.missed ?? 'once') {
    case 'all':
      return due;
    case 'once':
      return due.slice(-1);
    case 'skip':
      return due.filter((instant) => !isMissed(instant, now));
  }
}

function isMissed(due: Instant, now: Instant): boolean {
  return Date.parse(now) - Date.parse(due) > GRACE_MS;
}

async function insertOccurrence(
  tx: Knex.Transaction,
  context: CallContext,
  rule: CompiledRule,
  due: Instant,
  missed: number,
  reader: RuleReader,
  evaluator: Evaluator,
): Promise<number> {
  const on = rule.file.on;
  if (!('schedule' in on)) return 0;
  const key = `${rule.id}:schedule:${localText(due, on.zone)}:${on.zone}`;
  const trace = missed === 0 ? {} : { missed };
  if (on.for === undefined) {
    const base = newRun(context, rule, key, due, null);
    const answer = rule.when === null ? null : await matchCondition(context, rule, '', {}, null, evaluator);
    if (answer?.matched === false)
      return insertRuns(tx, [{ ...base, state: 'skipped', trace: { ...trace, ...answer.trace, reason: answer.reason ?? '' } }], context.now);
    return insertRuns(tx, [{ ...base, trace: { ...trace, ...answer?.trace } }], context.now);
  }
  let count = 0;
  for await (const rows of pages(tx, context, reader, on.for.object, on.for.filter)) {
    const runs = await evaluateTogether(
      tx,
      context,
      rows.map((row) => async (each: Evaluator): Promise<readonly NewRun[]> => {
        const id = String(row['id']);
        const match = await matchCondition(context, rule, id, row, null, each);
        return match.matched ? [{ ...newRun(context, rule, `${key}:${id}`, due, id), trace: { ...trace, ...match.trace } }] : [];
      }),
    );
    count += await insertRuns(tx, runs.flat(), context.now);
  }
  return count;
}

async function insertDated(tx: Knex.Transaction, context: CallContext, rule: CompiledRule, schedule: RuleSchedule, reader: RuleReader): Promise<number> {
  const on = rule.file.on;
  if (!('date' in on) || rule.object === null) return 0;
  const { calendarLookup } = context.model;
  const field = on.date.split('.')[1] ?? '';
  const isInstant = objectOf(context.model, rule.object).fields.get(field)?.valueKind === 'instant';
  const first = calendarLookup.dayOf(schedule.scannedTo, on.calendar ?? calendarLookup.planCalendar) ?? context.today;
  const fires = new Map<string, { readonly row: Row; readonly anchor: string; readonly offset: string; readonly at: Instant }[]>();
  for (const offset of on.offsets) {
    const range = anchorRange(offset, first, context.today);
    const filter = isInstant
      ? `${field} >= instant('${range.from}T00:00:00Z') && ${field} <= instant('${range.to}T23:59:59Z')`
      : `${field} >= date('${range.from}') && ${field} <= date('${range.to}')`;
    for await (const rows of pages(tx, context, reader, rule.object, filter)) {
      for (const row of rows) {
        const anchor = row[field];
        const at = typeof anchor === 'string' ? fireInstant(on, offset, anchor, calendarLookup) : null;
        if (typeof anchor !== 'string' || at === null || at <= schedule.scannedTo || at > context.now) continue;
        const key = `${String(row['id'])} ${anchor}`;
        fires.set(key, [...(fires.get(key) ?? []), { row, anchor, offset, at }]);
      }
    }
  }
  const found = await evaluateTogether(
    tx,
    context,
    [...fires.values()].map((due) => async (each: Evaluator): Promise<readonly NewRun[]> => {
      const made: NewRun[] = [];
      const ordered = due.sort((a, b) => (a.at < b.at ? -1 : 1));
      for (const [index, fire] of ordered.entries()) {
        const run = await datedRun(context, rule, fire, each);
        if (run === null) continue;
        const reason = leftOut(rule, fire.at, index === ordered.length - 1, context.now);
        made.push(reason === null ? run : { ...run, state: 'skipped', trace: { ...run.trace, reason } });
      }
      return made;
    }),
  );
  const runs = [...found.flat()];
  runs.sort((a, b) => (a.dueAt === b.dueAt ? 0 : a.dueAt < b.dueAt ? -1 : 1));
  return insertRuns(tx, runs, context.now);
}

function leftOut(rule: CompiledRule, at: Instant, isLast: boolean, now: Instant): string | null {
  const policy = rule.file.missed ?? 'once';
  if (policy === 'skip' && isMissed(at, now)) return `It was due at ${at} and the rule skips what was missed.`;
  return policy === 'once' && !isLast ? `It was due at ${at}; of several that were missed the rule runs the last.` : null;
}

async function datedRun(
  context: CallContext,
  rule: CompiledRule,
  fire: { readonly row: Row; readonly anchor: string; readonly offset: string; readonly at: Instant },
  evaluator: Evaluator,
): Promise<NewRun | null> {
  const id = String(fire.row['id']);
  const match = await matchCondition(context, rule, id, fire.row, null, evaluator);
  if (!match.matched) return null;
  const day = anchorDay(fire.anchor, context.model.calendarLookup) ?? fire.anchor;
  return { ...newRun(context, rule, `${rule.id}:date:${id}:${fire.offset}:${day}`, fire.at, id), anchor: `${day} ${fire.offset}`, trace: match.trace };
}

function newRun(context: CallContext, rule: CompiledRule, runKey: string, dueAt: Instant, recordId: string | null): NewRun {
  return {
    id: context.newId(),
    runKey,
    ruleId: rule.id,
    rule: rule.name,
    ruleVersion: context.model.version,
    definition: rule.definition,
    limits: limitsOf(rule),
    // A schedule that runs for many records is not to keep changes of single ones waiting.
    lane: recordId !== null && 'schedule' in rule.file.on ? 1 : 0,
    eventId: null,
    object: recordId === null ? null : rule.object,
    recordId,
    anchor: null,
    state: 'ready',
    dueAt,
    trace: {},
    chain: [],
    depth: 0,
  };
}

/**
 * Date rules whose moment passed while the write that set the anchor was still under way: it was written before the
 * moment, but the scan could not see it. The same key as the scan's makes sure that it runs once. The event of an import
 * stands for a block of records, which are looked at as they are now.
 */
export async function lateFires(
  context: CallContext,
  rules: RuleSet,
  schedules: ReadonlyMap<string, RuleSchedule>,
  event: EventRow,
  evaluator: Evaluator,
): Promise<readonly NewRun[]> {
  if (event.kind !== 'created' && event.kind !== 'updated') return [];
  // A scan that came before the event was written has nothing to make up for: mostly this ends here.
  const late = rules.timed.filter((rule) => 'date' in rule.file.on && rule.object === event.object && (schedules.get(rule.id)?.scannedTo ?? '') > event.at);
  if (late.length === 0) return [];
  const runs: NewRun[] = [];
  for (const row of await rowsOf(context, event, evaluator)) {
    for (const rule of late)
      runs.push(...(await lateRuns(context, rule, row, { from: event.at, to: schedules.get(rule.id)?.scannedTo ?? event.at }, evaluator)));
  }
  return runs;
}

async function rowsOf(context: CallContext, event: EventRow, { loads }: Evaluator): Promise<readonly Row[]> {
  if (event.recordId !== null) return event.after === null ? [] : [rowOf(objectOf(context.model, event.object), event.after)];
  const ids = event.recordIds ?? [];
  return pickRows(await loads.rows(event.object, ids), ids);
}

/** The runs of a date rule for one record that were due after `from`, up to `to`. */
async function lateRuns(
  context: CallContext,
  rule: CompiledRule,
  row: Row,
  { from, to }: { readonly from: Instant; readonly to: Instant },
  evaluator: Evaluator,
): Promise<readonly NewRun[]> {
  const on = rule.file.on;
  const anchor = 'date' in on ? row[on.date.split('.')[1] ?? ''] : null;
  if (!('date' in on) || typeof anchor !== 'string') return [];
  const runs: NewRun[] = [];
  for (const offset of on.offsets) {
    const at = fireInstant(on, offset, anchor, context.model.calendarLookup);
    if (at === null || at <= from || at > to) continue;
    const run = await datedRun(context, rule, { row, anchor, offset, at }, evaluator);
    if (run !== null) runs.push(run);
  }
  return runs;
}

async function* pages(
  tx: Knex.Transaction,
  context: CallContext,
  reader: RuleReader,
  object: string,
  filter: string | undefined,
): AsyncGenerator<readonly Row[]> {
  const model = objectOf(context.model, object);
  let cursor: string | null | undefined;
  while (cursor !== null) {
    const page = await reader.list(tx, context, {
      object,
      ...(filter === undefined ? {} : { filter }),
      sort: ['createdAt'],
      limit: PAGE,
      ...(cursor === undefined ? {} : { cursor }),
    });
    yield page.data.map((record) => rowOf(model, record));
    cursor = page.page.next;
  }
}
