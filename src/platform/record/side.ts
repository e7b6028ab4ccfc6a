import type { Cause } from '../access/types.ts';
import { distinctUses } from '../access/policy-uses.ts';
import { OPEN_CLASS, searchKeys } from '../query/search-key.ts';
import type { FieldModel } from '../model/types.ts';
import type { Batch, Entry, Image } from './batch.ts';
import { depthOf, type EventSideRow, type SearchSideRow, type SideRow, type SideRows } from './side-rows.sql.ts';
import type { RecordChange } from './types.ts';

const KINDS = { create: 'created', update: 'updated', transition: 'updated', delete: 'deleted', restore: 'restored' } as const;

/** What hooks and events are told of an entry. */
export function changeOf(batch: Batch, entry: Entry): RecordChange {
  const base = {
    object: batch.plan.object.name,
    id: entry.id,
    kind: KINDS[entry.item.kind],
    version: Number(entry.after['version']),
    before: entry.before,
    after: entry.after,
  };
  return entry.transition === null ? base : { ...base, transition: entry.transition.name };
}

/** Why an entry is written, where that is not what the call says: another cause, or decisions of policies that led to it. */
function causeOf({ context }: Batch, { item, decisions }: Entry): Cause | undefined {
  if (decisions.length === 0) return item.cause;
  const cause = item.cause ?? context.cause;
  return { ...cause, decisions: distinctUses([...(cause.decisions ?? []), ...decisions]) };
}

function historyOf(batch: Batch, entry: Entry): SideRow {
  const changes: Record<string, readonly [unknown, unknown]> = {};
  if (entry.item.kind !== 'create') {
    const names = entry.item.kind === 'delete' || entry.item.kind === 'restore' ? [...entry.changed, 'deletedAt'] : entry.changed;
    for (const name of names) {
      const field = batch.plan.object.fields.get(name);
      if (field !== undefined) changes[field.id] = [entry.before?.[name] ?? null, entry.after[name] ?? null];
    }
  }
  const action = entry.transition === null ? entry.item.kind : `transition:${entry.transition.name}`;
  const cause = causeOf(batch, entry);
  const row = { id: entry.id, version: Number(entry.after['version']), kind: KINDS[entry.item.kind], action, changes };
  return cause === undefined ? row : { ...row, cause };
}

/** What an event keeps of an image: its values. Whoever reads it takes what is missing for empty. */
function filled(image: Image | null): Image | null {
  if (image === null) return null;
  const kept: Record<string, unknown> = {};
  for (const name in image) if (image[name] !== null && image[name] !== undefined) kept[name] = image[name];
  return kept;
}

function eventsOf(batch: Batch, entries: readonly Entry[]): readonly EventSideRow[] {
  const { newId } = batch.context;
  if (batch.events === 'none') return [];
  if (batch.events === 'each') {
    return entries.map((entry) => {
      const transition = entry.transition?.name ?? null;
      const cause = causeOf(batch, entry);
      return {
        id: newId(),
        record_id: entry.id,
        record_ids: null,
        kind: KINDS[entry.item.kind],
        before: filled(entry.before),
        after: filled(entry.after),
        changed: entry.changed,
        transition,
        ...(cause === undefined ? {} : { cause, depth: depthOf(cause) }),
      };
    });
  }
  const byKind = new Map<EventSideRow['kind'], Entry[]>();
  for (const entry of entries) byKind.set(KINDS[entry.item.kind], [...(byKind.get(KINDS[entry.item.kind]) ?? []), entry]);
  return [...byKind].map(([kind, of]) => {
    const changed = [...new Set(of.flatMap((entry) => entry.changed))].sort();
    return { id: newId(), record_id: null, record_ids: of.map((entry) => entry.id), kind, before: null, after: null, changed, transition: null };
  });
}

function valueText(field: FieldModel, value: unknown): string | null {
  if (value === null || value === undefined) return null;
  if (typeof value === 'string') return field.values?.values.find((entry) => entry.code === value)?.label ?? value;
  if (typeof value === 'number') return String(value);
  if (Array.isArray(value)) return value.map((item) => valueText(field, item) ?? '').join(' ');
  if (typeof value === 'object') {
    return Object.values(value)
      .filter((member) => typeof member === 'string')
      .join(' ');
  }
  return null;
}

/** What search knows of a record: the values of its searched fields, folded. */
export function searchKeysOf(searched: readonly FieldModel[], image: Image): string {
  return searchKeys(searched.map((field) => valueText(field, image[field.name])));
}

/** Above this many records the worker makes the search entries: their index takes as long as the records themselves. */
export const SEARCH_AT_ONCE = 500;

/** Entries whose searched words may have changed: of updates those that changed a searched field. */
function searchTouched(batch: Batch, entries: readonly Entry[]): readonly Entry[] {
  const searched = new Set(batch.plan.searched.map(({ name }) => name));
  if (searched.size === 0) return [];
  return entries.filter((entry) => entry.item.kind !== 'update' || entry.changed.some((name) => searched.has(name)));
}

/** History, audit, events and search entries for entries that were written. */
export function sideRowsOf(batch: Batch, entries: readonly Entry[]): SideRows {
  const listed: SearchSideRow[] = [];
  const unlisted: string[] = [];
  const { searched } = batch.plan;
  const touched = searchTouched(batch, entries);
  // Of a large batch the worker makes them.
  const later = entries.length > SEARCH_AT_ONCE ? touched.map(({ id }) => id) : [];
  for (const entry of later.length > 0 ? [] : touched) {
    const was = entry.before === null || entry.before['deletedAt'] !== null ? '' : searchKeysOf(searched, entry.before);
    const is = entry.after['deletedAt'] === null ? searchKeysOf(searched, entry.after) : '';
    if (is === was) continue;
    if (is === '') unlisted.push(entry.id);
    else listed.push({ record_id: entry.id, class: OPEN_CLASS, keys: is });
  }
  return { records: entries.map((entry) => historyOf(batch, entry)), events: eventsOf(batch, entries), listed, unlisted, later };
}
