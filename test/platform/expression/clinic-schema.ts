import { makeCalendars, type Calendars } from '../../../src/platform/calendar/calendars.ts';
import { checkExpression } from '../../../src/platform/expression/check.ts';
import { CORE_FUNCTIONS } from '../../../src/platform/expression/functions.ts';
import type { EvalContext, ExprField, ExprObject, ExprSchema, ExprType, Row, SqlContext } from '../../../src/platform/expression/types.ts';
import type { CalendarFile } from '../../../src/platform/metadata/types.ts';
import { ident } from '../../../src/platform/sql.ts';

export const PLAN: CalendarFile = {
  name: 'plan',
  zone: 'America/New_York',
  weekdays: [1, 2, 3, 4, 5],
  hours: { start: '09:00', end: '17:00' },
  holidays: ['us-federal'],
  closed: [{ date: '2026-12-24', name: 'Christmas Eve' }],
};

function value(name: string, kind: Exclude<ExprType['kind'], 'list' | 'record' | 'struct'>, sortColumn?: string): ExprField {
  return { kind: 'value', name, type: { kind }, column: `${name.toLowerCase()}_k1`, ...(sortColumn === undefined ? {} : { sortColumn }) };
}

function objectOf(name: string, fields: readonly ExprField[]): ExprObject {
  const id: ExprField = { kind: 'value', name: 'id', type: { kind: 'uuid' }, column: 'id' };
  return { name, fields: new Map([id, ...fields].map((field) => [field.name, field])) };
}

/** A small schema with every kind of field: Person -> Team, Person <- Badge. */
export function clinicSchema(): ExprSchema {
  const objects = new Map<string, ExprObject>();
  const schema: ExprSchema = {
    object: (name) => objects.get(name),
    table: (name) => ident('tenant', name.toLowerCase()),
    policy: (name) =>
      name === 'cadence'
        ? { keys: undefined, object: 'Person', results: { interval: { kind: 'duration' }, visits: { kind: 'number' } } }
        : name === 'fee'
          ? { keys: { size: { kind: 'number' }, region: { kind: 'text' } }, object: undefined, results: { amount: { kind: 'number' } } }
          : undefined,
    hasCalendar: (name) => name === 'plan',
    functions: CORE_FUNCTIONS,
  };
  objects.set('Team', objectOf('Team', [value('name', 'text', 'name_s'), value('budget', 'number'), value('startedOn', 'date')]));
  const badges: ExprField = { kind: 'many', name: 'badges', object: 'Badge', via: 'person' };
  const tags: ExprField = { kind: 'value', name: 'tags', type: { kind: 'list', of: { kind: 'text' } }, column: 'tags_k1' };
  const team: ExprField = { kind: 'one', name: 'team', object: 'Team', column: 'team_id' };
  const plain = [
    value('name', 'text', 'name_s'),
    value('status', 'text'),
    value('size', 'number'),
    value('active', 'boolean'),
    value('dueOn', 'date'),
    value('seenAt', 'instant'),
    value('subject', 'text'),
    tags,
    team,
    badges,
  ];
  objects.set(
    'Badge',
    objectOf('Badge', [
      value('state', 'text'),
      value('points', 'number'),
      value('endsOn', 'date'),
      { kind: 'one', name: 'person', object: 'Person', column: 'person_id' },
    ]),
  );
  objects.set('Person', objectOf('Person', plain));
  const tree = checkExpression('days(today(), dueOn)', schema, { object: 'Person' });
  objects.set('Person', objectOf('Person', [...plain, { kind: 'formula', name: 'daysLeft', type: { kind: 'number' }, tree }]));
  return schema;
}

export const ANNE = '00000000-0000-7000-8000-00000000000a';
export const TEAM = '00000000-0000-7000-8000-0000000000ff';

let calendars: Calendars | null = null;

export function planCalendars(): Calendars {
  calendars ??= makeCalendars(new Map([['plan', PLAN]]), 'plan');
  return calendars;
}

export function sqlContext(): SqlContext {
  return {
    now: '2026-06-30T22:15:00.000Z',
    today: '2026-06-30',
    user: ANNE,
    subject: null,
    planZone: 'America/New_York',
    calendarTable: ident('tenant', 'calendar_day'),
  };
}

export function evalContext(overrides: Partial<EvalContext> = {}): EvalContext {
  const none: readonly Row[] = [];
  return {
    now: '2026-06-30T22:15:00.000Z',
    today: '2026-06-30',
    user: ANNE,
    subject: null,
    one: () => null,
    many: () => none,
    policy: () => null,
    calendars: planCalendars(),
    ...overrides,
  };
}
