import type { CallContext, Cause } from '../access/types.ts';
import type { Clock } from '../clock.ts';
import { dayInZone } from '../expression/zones.ts';
import { uuidV7, type RandomBytes } from '../ids.ts';
import type { Model } from '../model/types.ts';

/** A call of the system's own at the clock's present moment. */
export function systemCall(model: Model, clock: Clock, random: RandomBytes, name: string, cause?: Cause): CallContext {
  const now = clock.now();
  const today = dayInZone(now, model.calendarLookup.planZone);
  if (today === null) throw new RangeError(`The plan's zone "${model.calendarLookup.planZone}" gives no day for ${now}.`);
  return { principal: { kind: 'system', name }, model, now, today, cause: cause ?? { kind: 'command', name }, newId: () => uuidV7(clock.nowMs(), random) };
}
