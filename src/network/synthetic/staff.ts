import type { Knex } from 'knex';
import type { CallContext } from '../../platform/access/types.ts';
import type { RandomBytes } from '../../platform/ids.ts';
import type { Reader } from '../../platform/query/reader.ts';
import type { RecordData } from '../../platform/query/types.ts';
import type { RecordEngine } from '../../platform/record/types.ts';
import type { Occupation } from './working-day.ts';

export interface VisitingOptions {
  readonly db: Knex;
  readonly engine: RecordEngine;
  readonly reader: Reader;
  readonly random: RandomBytes;
  /** A call of somebody of provider relations at the clock's present moment. */
  readonly context: () => Promise<CallContext>;
}

/** Visits are held in the business days before they are due; of those that could wait, one in four is held today. */
const DAYS_BEFORE = 5;
const ONE_IN_FOUR = 64;
const PAGE = 500;

/**
 * Provider relations as it ought to be: new providers get their orientation, each planned visit is held within the
 * business days before its due day, never later, its agenda worked off and its report written on the same day.
 */
export function visitProviders({ db, engine, reader, random, context }: VisitingOptions): Occupation {
  async function write(call: CallContext, object: string, record: RecordData, values: Readonly<Record<string, unknown>>): Promise<void> {
    await engine.writeOne(db, call, object, { kind: 'update', id: record.id, version: record.version, values });
  }

  async function move(call: CallContext, visit: RecordData, transition: string, values: Readonly<Record<string, unknown>>): Promise<RecordData> {
    const { record } = await engine.writeOne(db, call, 'Visit', { kind: 'transition', id: visit.id, version: visit.version, transition, values });
    return record ?? visit;
  }

  async function planOrientations(call: CallContext, dueOn: string): Promise<number> {
    const filter = "status == 'active' && orientationOn == null && !visits.exists(v, v.purpose == 'orientation')";
    const { data } = await reader.list(db, call, { object: 'Provider', filter, fields: ['npi', 'relationsManager'], sort: ['npi'], limit: PAGE });
    let planned = 0;
    for (const provider of data) {
      if ((random(1)[0] ?? 0) >= ONE_IN_FOUR) continue;
      const values = { provider: provider.id, specialist: provider['relationsManager'], purpose: 'orientation', channel: 'office', dueOn };
      await engine.writeOne(db, call, 'Visit', { kind: 'create', values });
      planned += 1;
    }
    return planned;
  }

  async function hold(call: CallContext, visit: RecordData): Promise<void> {
    const held = await move(call, visit, 'hold', { attendees: 'The provider and the office manager' });
    const { data } = await reader.list(db, call, { object: 'VisitItem', equals: { visit: visit.id, topic: 'demographics' }, limit: 1 });
    for (const item of data) await write(call, 'VisitItem', item, { result: 'confirmed', status: 'discussed' });
    await move(call, held, 'report', { discussion: 'The agenda was worked off.' });
  }

  return {
    begins: '09:00',
    async work() {
      const call = await context();
      const { calendarLookup } = call.model;
      const calendar = calendarLookup.planCalendar;
      const next = calendarLookup.addBusinessDays(call.today, 1, calendar) ?? call.today;
      const until = calendarLookup.addBusinessDays(call.today, DAYS_BEFORE, calendar) ?? call.today;
      const filter = `status == 'planned' && dueOn <= date('${until}')`;
      const { data } = await reader.list(db, call, { object: 'Visit', filter, sort: ['dueOn', 'number'], limit: PAGE });
      let done = 0;
      for (const visit of data) {
        const mustBeToday = String(visit['dueOn']) < next;
        if (!mustBeToday && (random(1)[0] ?? 0) >= ONE_IN_FOUR) continue;
        await hold(call, visit);
        done += 1;
      }
      return done + (await planOrientations(call, until));
    },
  };
}
