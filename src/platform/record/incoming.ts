import { isUuid } from '../ids.ts';
import { suggestion } from '../metadata/suggest.ts';
import type { FieldModel } from '../model/types.ts';
import { find, type Batch, type Entry } from './batch.ts';
import { parseValue } from './images.ts';

/**
 * Reads what the caller sent: names are looked up in the Model (so `__proto__` is an unknown field like any other),
 * values are coerced by their field's kind. What nobody may write is said here; rights come later, but a field that the
 * caller can neither read nor set does not exist for them.
 */
export function readIncoming(batch: Batch, entry: Entry): void {
  const { item } = entry;
  if (item.kind === 'delete' || item.kind === 'restore' || item.values === undefined) return;
  const { rights } = batch;
  const { object } = batch.plan;
  const accepted = item.kind === 'transition' ? (object.path?.transitions.get(item.transition)?.accepts ?? []) : [];
  for (const [name, input] of Object.entries(item.values)) {
    const isKnown = rights === null || rights.readable.has(name) || rights.writable.has(name) || accepted.includes(name);
    const field = isKnown ? object.fields.get(name) : undefined;
    if (field === undefined) {
      const isRelation = object.toMany.has(name);
      const detail = isRelation ? `${name} lists other records; write those instead.` : `${object.label} has no field ${JSON.stringify(name)}.`;
      find(entry, name, 'unknown_field', detail, isRelation ? {} : suggestion(name, rights?.writable ?? writableNames(batch)));
      continue;
    }
    if (!isStorable(input)) {
      find(entry, name, 'not_text', `${field.label} holds characters that are no text.`, { fix: 'Take out NUL characters and broken surrogate pairs.' });
      continue;
    }
    const refusal = refusalOf(batch, entry, field, input);
    if (refusal === null) {
      const value = parseValue(field, input);
      // The schema of an object's file does not know the owner, which is a field of the system.
      if (name === 'ownerId' && value !== null && !isUuid(value))
        find(entry, name, 'format', 'The owner is the id of a user.', { fix: 'Send an id, or null.' });
      else entry.sent.set(name, value);
    } else if (refusal !== 'ignore') find(entry, name, refusal.code, refusal.detail, refusal.fix === undefined ? {} : { fix: refusal.fix });
  }
}

/** True when all text in a value can be stored: PostgreSQL takes neither NUL nor half of a surrogate pair. */
function isStorable(input: unknown): boolean {
  if (typeof input === 'string') return !input.includes('\u0000') && !/\p{Surrogate}/u.test(input);
  if (Array.isArray(input)) return input.every(isStorable);
  if (typeof input === 'object' && input !== null) return Object.entries(input).every(([name, value]) => isStorable(name) && isStorable(value));
  return true;
}

function writableNames(batch: Batch): readonly string[] {
  return [...batch.plan.object.fields.values()].filter((field) => !field.readOnly || field.name === 'ownerId').map((field) => field.name);
}

type Refusal = { readonly code: string; readonly detail: string; readonly fix?: string };

function refusalOf(batch: Batch, entry: Entry, field: FieldModel, input: unknown): Refusal | 'ignore' | null {
  const { path } = batch.plan.object;
  if (path !== null && field.name === path.field) return stateRefusal(batch, entry, field, input);
  if (field.formula !== null) return { code: 'read_only', detail: `${field.label} is computed.`, fix: 'Leave it out.' };
  if (field.sequence !== null) return { code: 'read_only', detail: `${field.label} is numbered by the system.`, fix: 'Leave it out.' };
  if (field.name === 'ownerId') return null;
  if (field.system || field.readOnly) return { code: 'read_only', detail: `${field.label} is kept by the system.`, fix: 'Leave it out.' };
  return null;
}

/** A state changes by transition; only imports and the system may begin a record in the middle of its path. */
function stateRefusal(batch: Batch, entry: Entry, field: FieldModel, input: unknown): Refusal | 'ignore' | null {
  const { path } = batch.plan.object;
  if (path === null) return null;
  if (entry.item.kind === 'create') {
    if (batch.system) return null;
    if (input === path.initial) return 'ignore';
    return { code: 'state', detail: `A new ${batch.plan.object.label} begins as ${path.initial}.`, fix: `Leave ${field.name} out, then use a transition.` };
  }
  const leading = [...path.transitions.values()].filter((transition) => transition.to === input).map((transition) => transition.name);
  const known = leading.length > 0 ? leading : [...path.transitions.keys()];
  return { code: 'state', detail: `${field.label} changes by transition only.`, fix: `Use the transition ${known.join(' or ')}.` };
}
