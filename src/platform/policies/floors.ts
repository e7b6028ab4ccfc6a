import type { PlainDate } from '../clock.ts';
import type { ErrorDetail } from '../errors.ts';
import { amountsOf } from '../expression/durations.ts';
import { compareDecimals, toDecimal } from '../expression/decimal.ts';
import { metadataPointer } from '../metadata/kinds.ts';
import type { PolicyFile, PolicyFloor } from '../metadata/types.ts';
import type { Model } from '../model/types.ts';
import type { PolicyDecision } from './policies.ts';

/** The floor that decided, and for which results. */
export interface FloorUse {
  readonly policy: string;
  readonly version: string;
  readonly band: string;
  readonly results: readonly string[];
}

/**
 * A decision with what its floor demands more strictly put in the place of its own: a plan may tighten a floor, never loosen it. A floor
 * that says nothing (no version in force, no row, or null) demands nothing; a policy that says nothing is held to its floor. Pure.
 */
export function tighten(model: Model, file: PolicyFile, own: PolicyDecision | null, floor: PolicyDecision | null, asOf: PlainDate): PolicyDecision | null {
  if (file.floor === undefined || floor === null) return own;
  const taken = Object.entries(file.floor.results).filter(
    ([name, which]) => isLooser(model, which, own?.results[name] ?? null, floor.results[name] ?? null, asOf) !== false,
  );
  if (taken.length === 0) return own;
  const base = own ?? {
    policy: file.name,
    version: floor.version,
    effectiveFrom: floor.effectiveFrom,
    band: floor.band,
    results: Object.fromEntries(Object.keys(file.results).map((name) => [name, null])),
    cites: floor.cites,
  };
  const { policy, version, band } = floor;
  const results = { ...base.results, ...Object.fromEntries(taken.map(([name]) => [name, floor.results[name]])) };
  return { ...base, results, floor: { policy, version, band, results: taken.map(([name]) => name) } };
}

/**
 * Whether a result is looser than the floor's: more than it where the least is the strictest, less than it where the greatest is. Durations
 * are compared by the day and time that they lead to from `asOf`, business days in the plan's calendar. Null: they cannot be compared. Pure.
 */
export function isLooser(model: Model, which: PolicyFloor['results'][string], own: unknown, floor: unknown, asOf: PlainDate): boolean | null {
  if (floor === null) return false;
  if (own === null) return true;
  const order = compare(model, own, floor, asOf);
  return order === null ? null : which === 'least' ? order > 0 : order < 0;
}

/** Numbers (also as decimal text), truth values (true is the greater) and durations. */
function compare(model: Model, left: unknown, right: unknown, asOf: PlainDate): number | null {
  if (typeof left === 'boolean' && typeof right === 'boolean') return Number(left) - Number(right);
  const [x, y] = [toDecimal(left), toDecimal(right)];
  if (x !== null && y !== null) return compareDecimals(x, y);
  if (typeof left !== 'string' || typeof right !== 'string') return null;
  const [a, b] = [endOf(model, left, asOf), endOf(model, right, asOf)];
  return a === null || b === null ? null : a - b;
}

/** Seconds from a fixed day to where a duration leads. */
function endOf(model: Model, duration: string, asOf: PlainDate): number | null {
  const amounts = amountsOf(duration);
  const { calendarLookup } = model;
  const whole = amounts === null || amounts.seconds === 0 ? duration : duration.replace(/T.*$/, '');
  const day = amounts === null ? null : whole === 'P' || whole === '-P' ? asOf : calendarLookup.addDuration(asOf, whole, calendarLookup.planCalendar);
  return amounts === null || day === null ? null : Date.parse(`${day}T00:00:00Z`) / 1000 + amounts.seconds;
}

/** What is wrong with the floors that policies name; a policy that is looser than its floor is another matter (`floor-findings.ts`). */
export function checkFloors(model: Model): readonly ErrorDetail[] {
  return [...model.policies.values()].flatMap((file): readonly ErrorDetail[] => {
    const { floor } = file;
    if (floor === undefined) return [];
    const at = (rest: string): string => metadataPointer('policies', file.name, `/floor${rest}`);
    const other = model.policies.get(floor.policy);
    if (other === undefined) return [{ pointer: at('/policy'), code: 'unknown_policy', detail: `There is no policy "${floor.policy}".` }];
    if (leadsTo(model, other, file.name)) return [{ pointer: at('/policy'), code: 'circle', detail: `The floors lead from ${file.name} back to it.` }];
    const isAsked = other.object === file.object && JSON.stringify(other.keys ?? {}) === JSON.stringify(file.keys ?? {});
    if (!isAsked)
      return [{ pointer: at('/policy'), code: 'wrong_type', detail: `${other.name} is asked with something else: a floor has the same object or keys.` }];
    return Object.keys(floor.results).flatMap((name): readonly ErrorDetail[] => {
      const [own, demanded] = [file.results[name], other.results[name]].map((type) => type?.replace('?', ''));
      if (own !== undefined && own === demanded && ['number', 'duration', 'boolean'].includes(own)) return [];
      const detail =
        own === undefined || demanded === undefined ? `Not both policies give "${name}".` : `"${name}" is no number, duration or truth value in both.`;
      return [{ pointer: at(`/results/${name}`), code: 'wrong_type', detail }];
    });
  });
}

function leadsTo(model: Model, from: PolicyFile, name: string): boolean {
  const seen = new Set<string>();
  for (
    let at: PolicyFile | undefined = from;
    at !== undefined && !seen.has(at.name);
    at = at.floor === undefined ? undefined : model.policies.get(at.floor.policy)
  ) {
    if (at.name === name) return true;
    seen.add(at.name);
  }
  return false;
}
