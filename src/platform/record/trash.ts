import { AppError } from '../errors.ts';
import { fail, pending, txOf, type Batch, type Entry } from './batch.ts';
import { pointingAt, type Pointing } from './references.sql.ts';
import type { WriteItem } from './types.ts';

/** Writes that follow from trashing: children that are trashed too, or lose their reference. */
export interface FollowUp {
  readonly object: string;
  readonly items: readonly WriteItem[];
}

/**
 * What still points at the records that go to the trash (they are locked FOR UPDATE by now, so no new reference can
 * come in between). Records that restrict end the entry, with nothing but their number; the rest is answered as writes.
 */
export async function lookForChildren(batch: Batch): Promise<readonly FollowUp[]> {
  const going = pending(batch).filter((entry) => entry.item.kind === 'delete');
  const { plan } = batch;
  if (going.length === 0) return [];
  const pointing = await pointingAt(
    txOf(batch),
    plan.object,
    plan.inbound,
    going.map((entry) => entry.id),
  );
  // Records that go in the same batch do not hold each other.
  const leaving = new Set(going.map((entry) => entry.id));
  for (const entry of going) refuseRestricted(batch, entry, pointing, leaving);
  const left = going.filter((entry) => entry.failure === null);
  return pointing.flatMap((found) => followUp(found, left, leaving));
}

function refuseRestricted(batch: Batch, entry: Entry, pointing: readonly Pointing[], leaving: ReadonlySet<string>): void {
  const ids = pointing.filter(({ inbound }) => inbound.onDelete === 'restrict').flatMap(({ byTarget }) => byTarget.get(entry.id) ?? []);
  const count = new Set(ids.filter((id) => !leaving.has(id))).size;
  if (count === 0) return;
  const message = `${count === 1 ? 'One other record still points' : `${count} other records still point`} to this ${batch.plan.object.label}.`;
  const errors = [{ pointer: '', code: 'restrict', detail: message, fix: 'Delete or change those records first.' }];
  fail(batch, entry, new AppError('conflict_reference', message, { errors, extra: { count } }));
}

function followUp({ inbound, byTarget }: Pointing, entries: readonly Entry[], leaving: ReadonlySet<string>): readonly FollowUp[] {
  const ids = [...new Set(entries.flatMap((entry) => byTarget.get(entry.id) ?? []))].filter((id) => !leaving.has(id));
  if (ids.length === 0 || inbound.onDelete === 'restrict') return [];
  const items = ids.map((id): WriteItem =>
    inbound.onDelete === 'cascade' ? { kind: 'delete', id } : { kind: 'update', id, values: { [inbound.field.name]: null } },
  );
  return [{ object: inbound.object.name, items }];
}
