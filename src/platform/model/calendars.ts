import { makeCalendars, type Calendars } from '../calendar/calendars.ts';
import { isAppError, type ErrorDetail } from '../errors.ts';
import type { CalendarFile, MetadataSet } from '../metadata/types.ts';

/** The calendar that a plan has which brings none of that name: weekdays without the federal holidays. */
const PLAN_CALENDAR: CalendarFile = { name: 'plan', zone: 'America/New_York', weekdays: [1, 2, 3, 4, 5], holidays: ['us-federal'] };

/** Days are worked out for 45 years; one version seldom differs from the next in them. */
let latestCalendars: { readonly key: string; readonly calendars: Calendars } | null = null;

/** The business calendars of a set; the one called `plan` says what "today" is. Holiday files were read with the set, so their text is at hand. */
export function calendarsOf(set: MetadataSet, errors: ErrorDetail[]): Calendars {
  const files = new Map<string, CalendarFile>([[PLAN_CALENDAR.name, PLAN_CALENDAR], ...set.calendars]);
  const key = JSON.stringify([...files]);
  if (latestCalendars?.key === key) return latestCalendars.calendars;
  try {
    const calendars = makeCalendars(files, PLAN_CALENDAR.name, (text) => text);
    latestCalendars = { key, calendars };
    return calendars;
  } catch (error) {
    if (!isAppError(error, 'metadata_invalid')) throw error;
    errors.push(...(error.errors.length > 0 ? error.errors : [{ pointer: 'metadata/calendars', code: 'wrong_calendar', detail: error.message }]));
    return makeCalendars(new Map([[PLAN_CALENDAR.name, PLAN_CALENDAR]]), PLAN_CALENDAR.name);
  }
}
