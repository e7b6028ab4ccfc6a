import { rightsFor } from '../access/rights.ts';
import type { CallContext } from '../access/types.ts';
import type { EventRow } from '../jobs/types.ts';

/** The fields of an object that a caller may read in every row; null when there is not one row that is certain to be readable. */
export function openFields(context: CallContext, object: string): ReadonlySet<string> | null {
  if (!context.model.objects.has(object)) return null;
  const rights = rightsFor(context, object);
  const whole = rights.readGrants.filter((grant) => grant.read.kind === 'all');
  if (whole.length === 0) return null;
  return new Set(whole.flatMap((grant) => [...grant.fields]));
}

/** What is sent of an event, as JSON; `nothing` when it changed nothing that the caller may read, `hidden` when they may not read the object. */
export function webhookBody(context: CallContext, event: EventRow & { readonly seq: string }): { readonly body: string } | 'nothing' | 'hidden' {
  const open = openFields(context, event.object);
  if (open === null) return 'hidden';
  const changed = event.changed.filter((name) => open.has(name));
  if (event.kind === 'updated' && event.changed.length > 0 && changed.length === 0) return 'nothing';
  const shown = (image: EventRow['before']): unknown => (image === null ? null : Object.fromEntries(Object.entries(image).filter(([name]) => open.has(name))));
  const record =
    event.recordIds === null ? { recordId: event.recordId, changed, before: shown(event.before), after: shown(event.after) } : { recordIds: event.recordIds };
  return {
    body: JSON.stringify({
      type: `${event.object}.${event.kind}`,
      timestamp: event.at,
      data: { event: event.id, seq: Number(event.seq), object: event.object, ...record },
    }),
  };
}
