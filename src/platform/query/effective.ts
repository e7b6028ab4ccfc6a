import { readRights } from '../access/rights.ts';
import type { CallContext } from '../access/types.ts';
import type { Instant, PlainDate } from '../clock.ts';
import { dayInZone } from '../expression/zones.ts';
import { isInstant, isPlainDate } from '../model/formats.ts';
import { parseInstant } from '../model/parse.ts';
import { invalidQuery } from './invalid-query.ts';

/**
 * The call, for a read of the facts in force on a day.
 * @throws AppError invalid_query when it is no day, or when the caller may not read the days of the object
 */
export function onDay(ctx: CallContext, objectName: string, day: string | undefined): CallContext {
  if (day === undefined) return ctx;
  return { ...ctx, effectiveOn: dayOf(ctx, objectName, 'effectiveOn', day) };
}

function dayOf(ctx: CallContext, objectName: string, parameter: string, day: string): PlainDate {
  if (!isPlainDate(day)) throw invalidQuery(parameter, `"${parameter}" is a day written YYYY-MM-DD.`);
  const { object, readable } = readRights(ctx, objectName);
  const { effective } = object;
  if (effective !== null && !(readable.has(effective.from.name) && readable.has(effective.through.name)))
    throw invalidQuery(parameter, `You may not read on which days ${object.plural} are in force.`, `Leave "${parameter}" out.`);
  return day;
}

/** The two axes of time that a read may name; they are never mixed: one says what was in force, the other what was known. */
export interface TimeQuery {
  /** A day: facts in force then. */
  readonly effectiveOn?: string | undefined;
  /** A moment: what was known then. A day means its end in the plan's zone. */
  readonly recordedAt?: string | undefined;
  /** Both at once. */
  readonly asOf?: string | undefined;
}

export interface Times {
  readonly effectiveOn: PlainDate | null;
  readonly recordedAt: Instant | null;
}

/** The axes that a query names. @throws AppError invalid_query when they contradict each other or are no days or moments */
export function timesOf(ctx: CallContext, objectName: string, query: TimeQuery): Times {
  if (query.asOf !== undefined) {
    if (query.effectiveOn !== undefined || query.recordedAt !== undefined)
      throw invalidQuery('asOf', '"asOf" stands for "effectiveOn" and "recordedAt" at once: give it alone.');
    const recordedAt = momentOf(ctx, 'asOf', query.asOf);
    const day = isPlainDate(query.asOf) ? query.asOf : dayInZone(recordedAt, ctx.model.calendarLookup.planZone);
    return { effectiveOn: day === null ? null : dayOf(ctx, objectName, 'asOf', day), recordedAt };
  }
  return {
    effectiveOn: query.effectiveOn === undefined ? null : dayOf(ctx, objectName, 'effectiveOn', query.effectiveOn),
    recordedAt: query.recordedAt === undefined ? null : momentOf(ctx, 'recordedAt', query.recordedAt),
  };
}

/** A moment as text: an instant with its zone, or a day, which means its last millisecond in the plan's zone. */
function momentOf(ctx: CallContext, parameter: string, text: string): Instant {
  if (isPlainDate(text)) {
    const { calendarLookup } = ctx.model;
    const next = new Date(Date.parse(`${text}T00:00:00Z`) + 86_400_000).toISOString().slice(0, 10);
    const start = isPlainDate(next) ? calendarLookup.startOfDay(next, calendarLookup.planCalendar) : null;
    if (start !== null) return new Date(Date.parse(start) - 1).toISOString();
  }
  const moment = parseInstant(text);
  if (typeof moment !== 'string' || !isInstant(moment))
    throw invalidQuery(parameter, `"${parameter}" is a day written YYYY-MM-DD, or a moment with its zone such as 2027-03-01T14:00:00Z.`);
  return moment;
}
