import { rightsFor } from '../access/rights.ts';
import { rowPredicate } from '../access/secure.sql.ts';
import { AppError } from '../errors.ts';
import { isUuid } from '../ids.ts';
import { keyword, type Sql } from '../sql.ts';
import { alive, fail, find, hasFinding, pending, txOf, type Batch, type Entry } from './batch.ts';
import { targetOf } from './images.ts';
import { lockParents } from './load.sql.ts';
import { liveTargets, objectsOf } from './references.sql.ts';

/**
 * A polymorphic reference given as a bare id (as expressions give it) gets the name of the object it belongs to. One that no
 * record has is taken for the first object's, so that the check of references speaks of it as of one that may not be seen.
 */
export async function resolveBareIds(batch: Batch): Promise<void> {
  for (const field of batch.plan.references) {
    if (field.objectColumn === null) continue;
    const bare = alive(batch).filter((entry) => isUuid(entry.after[field.name]));
    if (bare.length === 0) continue;
    const found = await objectsOf(batch.db, batch.context.model, field.ref?.to ?? [], [...new Set(bare.map((entry) => String(entry.after[field.name])))]);
    for (const entry of bare) {
      const id = String(entry.after[field.name]);
      entry.after[field.name] = { object: found.get(id) ?? field.ref?.to[0] ?? '', id };
    }
  }
}

/** Holds the parents of the records that are about to be written, where a guard looks at their children. */
export async function lockGuardedParents(batch: Batch): Promise<void> {
  const wanted = new Map<string, Set<string>>();
  for (const field of batch.plan.parentLocks) {
    for (const entry of pending(batch)) {
      for (const image of [entry.before, entry.after]) {
        const target = targetOf(field, image?.[field.name]);
        if (target !== null) wanted.set(target.object, (wanted.get(target.object) ?? new Set<string>()).add(target.id));
      }
    }
  }
  for (const [name, ids] of [...wanted].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const object = batch.context.model.objects.get(name);
    if (object !== undefined && !object.builtin) await lockParents(txOf(batch), object, [...ids].filter(isUuid));
  }
}

interface Wanted {
  readonly entry: Entry;
  readonly field: { readonly name: string; readonly label: string };
  readonly object: string;
  readonly id: string;
  readonly asCaller: boolean;
}

/**
 * Every reference that is new must point at a live record, which is then held until the transaction ends; one that the
 * caller sent must also be visible to the caller. Says so at the field; a restore says it as a conflict.
 */
export async function checkReferences(batch: Batch): Promise<void> {
  const wanted = pending(batch).flatMap((entry) => wantedOf(batch, entry));
  // Records that come in one batch may point at each other; restored ones only where all come back or none.
  const isComing = ({ item }: Entry): boolean => item.kind === 'create' || (item.kind === 'restore' && batch.atomic);
  const own = new Set(batch.entries.filter(isComing).map((entry) => entry.id));
  for (const asCaller of [false, true]) {
    const asked = wanted.filter((want) => want.asCaller === asCaller && !(want.object === batch.plan.object.name && own.has(want.id)));
    const targets = new Map<string, Set<string>>();
    for (const want of asked) targets.set(want.object, (targets.get(want.object) ?? new Set<string>()).add(want.id));
    if (targets.size === 0) continue;
    const live = await liveTargets(txOf(batch), batch.context.model, targets, (object, alias) => (asCaller ? visibleRows(batch, object.name, alias) : null));
    for (const want of asked) {
      if (live.get(want.object)?.has(want.id) !== true) report(batch, want);
    }
  }
}

function visibleRows(batch: Batch, object: string, alias: string): Sql | null {
  return rightsFor(batch.context, object).canRead ? rowPredicate(batch.context, object, 'read', alias) : keyword('false');
}

function wantedOf(batch: Batch, entry: Entry): readonly Wanted[] {
  const { item } = entry;
  if (item.kind === 'delete') return [];
  const principal = batch.context.principal;
  return batch.plan.references.flatMap((field) => {
    const isNew = item.kind === 'create' || item.kind === 'restore' || entry.changed.includes(field.name);
    const target = targetOf(field, entry.after[field.name]);
    if (!isNew || target === null || hasFinding(entry, field.name) || !isUuid(target.id)) return [];
    if (field.ref?.to.includes(target.object) !== true) return [];
    if (field.name === 'ownerId' && principal.kind === 'user' && target.id === principal.userId) return [];
    return [{ entry, field, object: target.object, id: target.id, asCaller: !batch.system && entry.sent.has(field.name) }];
  });
}

function report(batch: Batch, { entry, field }: Wanted): void {
  const detail = `${field.label} points to a record that does not exist, or that you may not see.`;
  if (entry.item.kind !== 'restore') {
    find(entry, field.name, 'reference', detail, { fix: 'Choose an existing record.' });
    return;
  }
  if (entry.failure !== null) return;
  const message = `This ${batch.plan.object.label} cannot come back: ${field.label} points to a record that is gone.`;
  fail(
    batch,
    entry,
    new AppError('conflict_reference', message, {
      errors: [{ pointer: `/${field.name}`, code: 'reference', detail: message, fix: 'Restore that record first.' }],
    }),
  );
}
