import type { CallContext } from '../../platform/access/types.ts';
import type { PlainDate } from '../../platform/clock.ts';
import { AppError } from '../../platform/errors.ts';
import { addDuration } from '../../platform/expression/durations.ts';
import type { RandomBytes } from '../../platform/ids.ts';
import type { Worker } from '../../platform/jobs/worker.ts';

/** What somebody does once on each business day. */
export interface Occupation {
  /** Local time of the plan from which on it is done, as `09:00`. */
  readonly begins: string;
  /** Does the day's work; answers how many things were done. */
  work(call: CallContext): Promise<number>;
}

/** A worker that remembers what all its drains did until it is asked. */
export interface CountingWorker extends Pick<Worker, 'drain'> {
  /** What was done since the last time, added up. */
  taken(): Readonly<Record<string, number>>;
}

export function makeCountingWorker(worker: Pick<Worker, 'drain'>): CountingWorker {
  let sums: Record<string, number> = {};
  return {
    async drain() {
      const counts = await worker.drain();
      for (const [name, count] of Object.entries(counts)) sums[name] = (sums[name] ?? 0) + count;
      return counts;
    },
    taken() {
      const counts = sums;
      sums = {};
      return counts;
    },
  };
}

/**
 * A worker whose drain ends when neither the product nor anybody has something left to do. The call is of this moment; what
 * the product does while somebody works is counted too.
 */
export function withPeople(worker: CountingWorker, occupations: readonly Occupation[], call: () => Promise<CallContext>): Pick<Worker, 'drain'> {
  const worked = new Map<Occupation, PlainDate>();

  async function workOnce(): Promise<number> {
    const now = await call();
    let done = 0;
    for (const occupation of occupations) {
      if (worked.get(occupation) === now.today || !hasBegun(now, occupation.begins)) continue;
      worked.set(occupation, now.today);
      done += await occupation.work(now);
    }
    return done;
  }

  return {
    async drain() {
      let people = 0;
      for (;;) {
        await worker.drain();
        const done = await workOnce();
        people += done;
        if (done === 0) return { ...worker.taken(), people };
      }
    },
  };
}

function hasBegun({ now, today, model }: CallContext, begins: string): boolean {
  const { calendarLookup } = model;
  const from = calendarLookup.at(today, begins, calendarLookup.planCalendar);
  return from !== null && now >= from && calendarLookup.isBusinessDay(today, calendarLookup.planCalendar) === true;
}

/** Things put off: each is done on the first business day that is not before its day, in the order of days. */
export interface Diary extends Occupation {
  /** @param days calendar days from the day on which it is planned */
  plan(days: number, happen: () => Promise<void>): void;
}

export function makeDiary(today: PlainDate): Diary {
  let day = today;
  const entries: { readonly day: PlainDate; readonly happen: () => Promise<void> }[] = [];
  return {
    begins: '09:00',
    plan(days, happen) {
      const due = dayAfter(day, days);
      const before = entries.findIndex((entry) => entry.day > due);
      entries.splice(before === -1 ? entries.length : before, 0, { day: due, happen });
    },
    async work(call) {
      day = call.today;
      let done = 0;
      for (let first = entries[0]; first !== undefined && first.day <= day; first = entries[0]) {
        entries.shift();
        await first.happen();
        done += 1;
      }
      return done;
    },
  };
}

/** The day so many calendar days later, or before. */
export function dayAfter(day: PlainDate, days: number): PlainDate {
  const found = addDuration(day, `${days < 0 ? '-' : ''}P${String(Math.abs(days))}D`);
  if (found === null) throw new AppError('internal', `There is no day ${String(days)} days after ${day}.`);
  return found;
}

/** Choices of simulated people: the same seed gives the same ones. */
export interface Chance {
  /** A whole number from 0 up to but not including `below` (at most 65,536). */
  number(below: number): number;
  /** True so many times in a hundred. */
  percent(share: number): boolean;
  of<T>(list: readonly [T, ...T[]]): T;
}

export function makeChance(random: RandomBytes): Chance {
  const number = (below: number): number => {
    const [high = 0, low = 0] = random(2);
    return (high * 256 + low) % below;
  };
  return { number, percent: (share) => number(100) < share, of: (list) => list[number(list.length)] ?? list[0] };
}
