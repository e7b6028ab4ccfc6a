import type { Knex } from 'knex';
import type { CallContext } from '../../platform/access/types.ts';
import { AppError } from '../../platform/errors.ts';
import { addDuration } from '../../platform/expression/durations.ts';
import type { Model } from '../../platform/model/types.ts';
import { policyLookup } from '../../platform/policies/policies.ts';
import type { Reader } from '../../platform/query/reader.ts';
import type { RecordData } from '../../platform/query/types.ts';

export interface VisitFindings {
  /** Providers whose policy asks for visits and who had their orientation. */
  readonly scheduled: number;
  readonly counted: number;
  /** Spans between counted visits that were longer than the policy's interval. */
  readonly gaps: readonly { readonly npi: string; readonly from: string; readonly dueOn: string; readonly heldOn: string | null }[];
}

/**
 * Compares the counted visits of every active provider with the policy: from the orientation on, the next counted visit
 * must lie within the interval, and none may be overdue on the last day.
 */
export async function checkVisits(db: Knex, context: CallContext, reader: Reader): Promise<VisitFindings> {
  const held = new Map<string, string[]>();
  for await (const visit of all(db, context, reader, 'Visit', "counted == true && purpose != 'orientation' && heldOn != null", ['provider', 'heldOn'])) {
    const provider = String(visit['provider']);
    held.set(provider, [...(held.get(provider) ?? []), String(visit['heldOn'])]);
  }
  const gaps: VisitFindings['gaps'][number][] = [];
  let scheduled = 0;
  let counted = 0;
  for await (const provider of all(db, context, reader, 'Provider', "status == 'active' && orientationOn != null", [])) {
    const days = (held.get(provider.id) ?? []).sort();
    let from = String(provider['orientationOn']);
    const interval = intervalOn(context.model, provider, from);
    if (interval === null) continue;
    scheduled += 1;
    counted += days.length;
    for (const heldOn of [...days, null]) {
      const dueOn = addDuration(from, interval);
      if (dueOn === null) throw new AppError('internal', `There is no day ${interval} after ${from}.`);
      if (heldOn === null ? dueOn < context.today : heldOn > dueOn) gaps.push({ npi: String(provider['npi']), from, dueOn, heldOn });
      from = heldOn ?? from;
    }
  }
  return { scheduled, counted, gaps };
}

function intervalOn(model: Model, provider: RecordData, day: string): string | null {
  const interval = policyLookup(model, 'visit-cadence', provider, day)?.['interval'];
  return typeof interval === 'string' ? interval : null;
}

async function* all(db: Knex, context: CallContext, reader: Reader, object: string, filter: string, fields: readonly string[]): AsyncGenerator<RecordData> {
  let cursor: string | null | undefined;
  while (cursor !== null) {
    const query = { object, filter, limit: 500, ...(fields.length === 0 ? {} : { fields }) };
    const page = await reader.list(db, context, cursor === undefined ? query : { ...query, cursor });
    yield* page.data;
    cursor = page.page.next;
  }
}
