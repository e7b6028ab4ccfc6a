import { controlOf } from '../../platform/forms/controls.ts';
import { newRowId } from '../../platform/forms/merge.ts';
import { fieldOf, type FormReader } from '../../platform/forms/pages.ts';
import { readSeen } from '../../platform/forms/seen.ts';
import type { OpenForm } from '../../platform/forms/submissions.ts';
import type { PageInput, Seen, Sender, Typed, TypedFields } from '../../platform/forms/types.ts';
import type { FormPage } from '../../platform/metadata/screen-types.ts';
import type { NewId } from '../../platform/ids.ts';
import type { ObjectModel } from '../../platform/model/types.ts';

type Body = Readonly<Record<string, unknown>>;

/** Hidden inputs: what the page showed, and how often its view has sent. No field can have such a name. */
export const SEEN = '$seen';
export const NUMBER = '$number';
/** Hidden input: which questions the page holds, and how. */
export const SHAPE = '$shape';
/** Hidden input: the version of the draft that was read over. */
export const VERSION = '$version';

function texts(value: unknown): readonly string[] {
  if (typeof value === 'string') return [value];
  return Array.isArray(value) ? value.filter((entry) => typeof entry === 'string') : [];
}

/** What was sent for one question; null when the page did not ask it. An unticked group of check boxes is an answer too. */
function answer(object: ObjectModel, field: string, body: Body, name: string, wasShown: boolean): Typed | null {
  const sent = texts(body[name]);
  if (sent.length === 0 && !wasShown) return null;
  return controlOf(fieldOf(object, field)) === 'checkboxes' ? sent : (sent[0] ?? '');
}

/** The places of a group's rows in what was sent: rows are named `relation.index.field`. */
function placesIn(body: Body, relation: string): readonly number[] {
  const found = Object.keys(body).flatMap((name) => {
    const place = name.startsWith(`${relation}.`) ? /^\.(\d{1,4})\./.exec(name.slice(relation.length))?.[1] : undefined;
    return place === undefined ? [] : [Number(place)];
  });
  return [...new Set(found)].sort((left, right) => left - right);
}

function rowAt(reader: FormReader, relation: string, fields: readonly string[], place: number, id: string, body: Body, seen: Seen | null): TypedFields {
  const { object } = reader.related(relation);
  const shown = seen?.rows[relation]?.[id] ?? {};
  const typed: Record<string, Typed> = id === '' ? {} : { id };
  for (const field of fields) {
    const given = answer(object, field, body, `${relation}.${String(place)}.${field}`, Object.hasOwn(shown, field));
    if (given !== null) typed[field] = given;
  }
  return typed;
}

/**
 * What the browser sent for one page, untouched, and what the page showed when it was typed. Rows that say no id are taken for
 * those at their place. `action` is the button that was pressed: `add:relation`, `remove:relation:index`, `keep:path`, `take:path:digest`.
 */
export function typedInput(opened: OpenForm, page: FormPage, body: Body, action: string, newId: NewId): PageInput {
  const { reader, submission } = opened;
  const [seenText] = texts(body[SEEN]);
  const seen = seenText === undefined ? null : readSeen(seenText);
  const fields: Record<string, Typed> = {};
  const repeats: Record<string, readonly TypedFields[]> = {};
  const removed: Record<string, readonly string[]> = {};
  const added: string[] = [];
  const [verb = '', target = '', detail = ''] = action.split(':');
  for (const section of page.sections) {
    for (const { field } of section.fields ?? []) {
      const given = answer(reader.object, field, body, field, seen !== null && Object.hasOwn(seen.fields, field));
      if (given !== null) fields[field] = given;
    }
    if (section.repeat === undefined) continue;
    const { relation } = section.repeat;
    const drafted = submission.data.repeats[relation] ?? [];
    const names = section.repeat.fields.map((entry) => entry.field);
    const rows = placesIn(body, relation).map((place) => {
      const id = texts(body[`${relation}.${String(place)}.id`])[0] ?? '';
      const own = id === '' ? drafted[place]?.['id'] : id;
      return { place, row: rowAt(reader, relation, names, place, typeof own === 'string' ? own : newRowId(newId), body, seen) };
    });
    const isHere = target === relation;
    if (isHere && verb === 'remove') {
      const gone = rows.find(({ place }) => String(place) === detail)?.row['id'] ?? drafted[Number(detail)]?.['id'];
      if (typeof gone === 'string') removed[relation] = [gone];
    }
    if (isHere && verb === 'add') added.push(relation);
    const shown = rows.map(({ row }) => row);
    if (rows.length > 0 || added.includes(relation)) repeats[relation] = added.includes(relation) ? [...shown, { id: newRowId(newId) }] : shown;
  }
  const sender: Sender = { seen, number: Number(texts(body[NUMBER])[0] ?? 0) || 0, removed, added, ...choiceOf(verb, target, detail) };
  return { fields, repeats, sender };
}

function choiceOf(verb: string, path: string, digest: string): Pick<Sender, 'choice'> {
  if (verb === 'keep') return { choice: { path, digest: null } };
  return verb === 'take' ? { choice: { path, digest } } : {};
}
