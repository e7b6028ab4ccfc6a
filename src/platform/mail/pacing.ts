import type { Knex } from 'knex';
import type { PlainDate } from '../clock.ts';
import { AppError } from '../errors.ts';
import { dayInZone, instantInZone } from '../expression/zones.ts';
import type { Model } from '../model/types.ts';
import type { PolicyLookup } from '../record/related.sql.ts';
import type { ClaimedDelivery } from './mail.sql.ts';
import { defer, lockPaces, reservedOf, savePaces, type Deferral, type Pace } from './pacing.sql.ts';

/** The policy that says how fast campaign mail leaves to a domain, and at which hours. */
export const PACING_POLICY = 'mail-pacing';

const DAY_MS = 86_400_000;
/** Mails that are due within so much time leave at once: a rate is kept over minutes, not between two mails. */
const AT_ONCE_MS = 10_000;
/** A moment that was kept for a mail is good for so long; after a longer stop moments are given anew. */
const KEPT_MS = 60_000;
/** No calendar is closed for longer. */
const MOST_CLOSED_DAYS = 60;

export interface PacingOptions {
  readonly policies: PolicyLookup;
  /** The day on which the plan began to send from its domain; null: long ago. */
  readonly warmUpFrom: PlainDate | null;
}

/** Keeps back claimed mail whose time has not come, and answers the rest. */
export type Pacing = (tx: Knex.Transaction, model: Model, nowMs: number, claimed: readonly ClaimedDelivery[]) => Promise<readonly ClaimedDelivery[]>;

interface Limits {
  readonly perMinute: number;
  readonly perDay: number;
  readonly fromHour: number;
  readonly untilHour: number;
  readonly openDays: boolean;
}

interface Window {
  /** Milliseconds. The hours in which mail leaves today, or, when these are over or there are none, on the next day that has some. */
  readonly from: number;
  readonly until: number;
  /** Begin of the hours of the day after that. */
  readonly next: number;
}

const instant = (ms: number): string => new Date(ms).toISOString();

function numberOf(found: Readonly<Record<string, unknown>>, name: string, least: number): number {
  const value = Number(found[name]);
  if (!Number.isFinite(value) || value < least) throw new AppError('rule_failed', `The policy ${PACING_POLICY} gives no usable "${name}".`);
  return value;
}

/**
 * Campaign mail leaves at the rate, the daily number and the hours of the policy `mail-pacing`; without the policy, at once. A mail
 * that does not leave yet is given the moment at which it may (a leaky bucket for each domain), so that many that wait cost nothing
 * meanwhile and no domain holds up another. Mail about a matter is never kept back.
 */
export function makePacing(options: PacingOptions): Pacing {
  function limitsOf(model: Model, domain: string, today: PlainDate): Limits | null {
    const { warmUpFrom } = options;
    const day = warmUpFrom === null ? -1 : Math.floor((Date.parse(today) - Date.parse(warmUpFrom)) / DAY_MS);
    const found = options.policies(model, PACING_POLICY, { domain, day }, today);
    if (found === null) return null;
    const openDays = found['openDays'] === true;
    return {
      perMinute: numberOf(found, 'perMinute', 0.01),
      perDay: numberOf(found, 'perDay', 1),
      fromHour: numberOf(found, 'fromHour', 0),
      untilHour: numberOf(found, 'untilHour', 1),
      openDays,
    };
  }

  return async (tx, model, nowMs, claimed) => {
    const campaign = claimed.filter((delivery) => delivery.class === 'campaign');
    if (campaign.length === 0 || !model.policies.has(PACING_POLICY)) return claimed;
    const { planZone } = model.calendarLookup;
    const today = dayInZone(instant(nowMs), planZone);
    if (today === null) throw new AppError('metadata_invalid', `The plan's zone ${planZone} is not known.`);
    const domainOf = ({ recipient }: ClaimedDelivery): string => recipient.slice(recipient.lastIndexOf('@') + 1).toLowerCase();
    const limits = new Map<string, Limits | null>();
    for (const delivery of campaign) if (!limits.has(domainOf(delivery))) limits.set(domainOf(delivery), limitsOf(model, domainOf(delivery), today));
    const limited = campaign.filter((delivery) => (limits.get(domainOf(delivery)) ?? null) !== null);
    if (limited.length === 0) return claimed;

    const reserved = await reservedOf(
      tx,
      limited.map(({ id }) => id),
      instant(nowMs - KEPT_MS),
    );
    const paces = new Map(await lockPaces(tx, [...new Set(limited.map(domainOf))], instant(nowMs), today));
    const deferrals: Deferral[] = [];
    for (const delivery of limited) {
      const domain = domainOf(delivery);
      const limit = limits.get(domain);
      const pace = paces.get(domain);
      if (limit === undefined || limit === null || pace === undefined) throw new AppError('internal', `The pace of ${domain} was not read.`);
      const placed = place(pace, limit, windowOf(model, limit, today, nowMs), today, nowMs, reserved.has(delivery.id));
      paces.set(domain, placed.pace);
      if (placed.at !== null) deferrals.push({ id: delivery.id, at: instant(placed.at), reserved: placed.reserved });
    }
    await savePaces(tx, [...paces.values()]);
    if (deferrals.length > 0) await defer(tx, deferrals);
    const later = new Set(deferrals.map(({ id }) => id));
    return claimed.filter(({ id }) => !later.has(id));
  };
}

/** When a mail may leave (null: now), and how far its domain has got by that. */
function place(
  pace: Pace,
  limit: Limits,
  window: Window,
  today: PlainDate,
  nowMs: number,
  isReserved: boolean,
): { readonly pace: Pace; readonly at: number | null; readonly reserved: boolean } {
  if (window.from > nowMs) return { pace, at: window.from, reserved: false };
  if (isReserved) return { pace, at: null, reserved: true };
  const count = pace.day === today ? pace.count : 0;
  const turn = Math.max(Date.parse(pace.nextAt), nowMs);
  const at = Math.max(turn - AT_ONCE_MS, nowMs);
  if (count >= limit.perDay || at >= window.until) return { pace, at: window.next, reserved: false };
  const next = { ...pace, nextAt: instant(turn + Math.ceil(60_000 / limit.perMinute)), day: today, count: count + 1 };
  return { pace: next, at: at > nowMs ? at : null, reserved: at > nowMs };
}

function windowOf(model: Model, limit: Limits, today: PlainDate, nowMs: number): Window {
  const { calendarLookup: calendars } = model;
  const at = (day: PlainDate, hour: number): number => {
    const last = hour >= 24;
    const found = instantInZone(day, last ? '23:59:59' : `${String(Math.floor(hour)).padStart(2, '0')}:00`, calendars.planZone);
    if (found === null) throw new AppError('rule_failed', `The policy ${PACING_POLICY} gives the hour ${String(hour)}, which no day has.`);
    return Date.parse(found) + (last ? 1000 : 0);
  };
  const spans: { readonly from: number; readonly until: number }[] = [];
  for (let ahead = 0; ahead <= MOST_CLOSED_DAYS && spans.length < 2; ahead += 1) {
    const day = calendars.addDuration(today, `P${String(ahead)}D`, calendars.planCalendar);
    if (day === null || (limit.openDays && calendars.isBusinessDay(day, calendars.planCalendar) !== true)) continue;
    const until = at(day, limit.untilHour);
    if (until > nowMs) spans.push({ from: at(day, limit.fromHour), until });
  }
  const [first, second] = spans;
  if (first === undefined)
    throw new AppError('rule_failed', `By the policy ${PACING_POLICY} and the plan's calendar no campaign mail leaves for ${String(MOST_CLOSED_DAYS)} days.`);
  return { ...first, next: second?.from ?? first.from + DAY_MS };
}
