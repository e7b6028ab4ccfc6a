import { AppError } from '../errors.ts';
import type { NewId } from '../ids.ts';
import { digestOf, isBlank, isSame } from './seen.ts';
import type { DraftData, PageInput, Seen, Sender, Typed, TypedFields, Writer } from './types.ts';

/** A draft while a page is merged into it. */
interface Work {
  readonly fields: Record<string, Typed>;
  readonly repeats: Record<string, readonly TypedFields[]>;
  readonly removed: Record<string, readonly string[]>;
  readonly writers: Record<string, Writer>;
  readonly others: Record<string, readonly Typed[]>;
}

/** What stands for the row itself among the answers typed elsewhere: it was taken out there. */
const TAKEN_OUT: readonly Typed[] = [''];

/** What ids of rows begin with that have no record yet. */
export const NEW_ROW = 'new-';

/** The mark of a row that has no record yet: the random end of an id, for it is told apart within one draft only. */
export function newRowId(newId: NewId): string {
  return `${NEW_ROW}${newId().slice(-12)}`;
}

/** The id of a row, which every row has. */
export function rowId(row: TypedFields): string {
  return typeof row['id'] === 'string' ? row['id'] : '';
}

function answersOf(row: TypedFields): readonly (readonly [string, Typed])[] {
  return Object.entries(row).filter(([name]) => name !== 'id');
}

/** True when nothing is typed in any of a row's answers. */
export function isBlankRow(row: TypedFields): boolean {
  return answersOf(row).every(([, typed]) => isBlank(typed));
}

function isSameRow(left: TypedFields, right: TypedFields): boolean {
  const names = new Set([...Object.keys(left), ...Object.keys(right)]);
  return [...names].every((name) => name === 'id' || isSame(left[name] ?? '', right[name] ?? ''));
}

/**
 * Merges what a page sent into a draft that others may have changed since the page was shown. What only the sender changed is
 * taken, what only others changed stays; where both changed an answer the sender's stands and the other is kept beside it until
 * somebody chooses. Rows are merged by their ids: a row that the sender did not know stays.
 * @throws AppError precondition_required when a list without a version leaves out rows in which something is typed
 */
export function mergePage(draft: DraftData, input: PageInput, newRowId: () => string): DraftData {
  const work: Work = {
    fields: { ...draft.fields },
    repeats: { ...draft.repeats },
    removed: { ...draft.removed },
    writers: { ...draft.writers },
    others: { ...draft.others },
  };
  const { sender } = input;
  for (const [name, typed] of Object.entries(input.fields)) {
    work.fields[name] = settle(work, name, draft.fields[name], typed, sender?.seen?.fields[name], sender, input.version);
  }
  for (const [relation, rows] of Object.entries(input.repeats)) {
    if (sender === undefined) replaceRows(work, relation, rows, input.version, newRowId);
    else mergeRows(work, relation, rows, sender, newRowId);
  }
  for (const [relation, ids] of Object.entries(sender?.removed ?? {})) {
    for (const id of ids) takeOut(work, relation, id, sender);
  }
  if (sender?.choice !== undefined) choose(work, sender.choice.path, sender.choice.digest);
  return { ...work, documents: draft.documents };
}

function settle(
  work: Work,
  path: string,
  stands: Typed | undefined,
  sent: Typed,
  seen: string | undefined,
  sender: Sender | undefined,
  version: number | undefined,
): Typed {
  const before = stands ?? (typeof sent === 'string' ? '' : []);
  const last = work.writers[path];
  const view = sender?.seen?.view;
  const isOwn = view !== undefined && last?.view === view;
  if (isOwn && last.number > (sender?.number ?? 0)) return before; // it was sent earlier and came later
  if (seen !== undefined && digestOf(sent) === seen && !isOwn) return before; // the sender only saw it
  const isClash = seen !== undefined && !isOwn && digestOf(before) !== seen && !isSame(before, sent) && !isBlank(before);
  // With the current version in hand the sender has read the other answers, and this is the choice.
  const known = version === undefined ? (work.others[path] ?? []) : [];
  keepOthers(
    work,
    path,
    (isClash ? [...known.filter((other) => digestOf(other) !== seen), before] : known).filter((other) => !isSame(other, sent)),
  );
  if (isSame(before, sent)) return before;
  if (view === undefined) delete work.writers[path];
  else work.writers[path] = { view, number: sender?.number ?? 0 };
  return sent;
}

function keepOthers(work: Work, path: string, others: readonly Typed[]): void {
  if (others.length === 0) delete work.others[path];
  else work.others[path] = others;
}

/** The row with the answers that were sent. */
function settleRow(work: Work, relation: string, stands: TypedFields, sent: TypedFields, sender: Sender | undefined, version: number | undefined): TypedFields {
  const id = rowId(stands);
  const merged: Record<string, Typed> = { ...stands };
  for (const [name, typed] of answersOf(sent)) {
    merged[name] = settle(work, `${relation}/${id}/${name}`, stands[name], typed, sender?.seen?.rows[relation]?.[id]?.[name], sender, version);
  }
  return merged;
}

/** A list from somebody who sends lists whole: what it leaves out is taken out, if the sender can know of it. */
function replaceRows(work: Work, relation: string, sent: readonly TypedFields[], version: number | undefined, newRowId: () => string): void {
  const left = new Map((work.repeats[relation] ?? []).map((row) => [rowId(row), row]));
  const taken = sent.map((row): readonly [TypedFields | undefined, TypedFields] => {
    const same = [...left.values()].find((entry) => isSameRow(entry, row));
    const known = left.get(rowId(row)) ?? (rowId(row) === '' ? same : undefined);
    if (known !== undefined) left.delete(rowId(known));
    return [known, row];
  });
  if (version === undefined && [...left.values()].some((row) => !isBlankRow(row))) {
    throw new AppError(
      'precondition_required',
      `The draft holds rows of "${relation}" that this list leaves out. Read the form and send If-Match with its ETag to take them out, or send each row with its id.`,
    );
  }
  for (const id of left.keys()) takeOut(work, relation, id, undefined);
  const rows = taken.map(([known, row]) => {
    const id = rowId(known ?? row) === '' ? newRowId() : rowId(known ?? row);
    if (version !== undefined) delete work.others[`${relation}/${id}`]; // read and sent again: it stays
    return settleRow(work, relation, known ?? { id }, row, undefined, version);
  });
  bringBack(work, relation, rows);
}

/** The rows that a page showed, merged into those that the draft holds now. */
function mergeRows(work: Work, relation: string, sent: readonly TypedFields[], sender: Sender, newRowId: () => string): void {
  const stands = work.repeats[relation] ?? [];
  const keepsBlank = sender.added?.includes(relation) === true;
  const byId = new Map(sent.map((row) => [rowId(row), row]));
  const rows = stands.map((row) => {
    const mine = byId.get(rowId(row));
    return mine === undefined ? row : settleRow(work, relation, row, mine, sender, undefined);
  });
  const known = new Set(stands.map(rowId));
  for (const row of sent) {
    const id = rowId(row) === '' ? newRowId() : rowId(row);
    if (known.has(id)) continue;
    const shown = sender.seen?.rows[relation]?.[id];
    const wasFilled = Object.values(shown ?? {}).some((digest) => digest !== '');
    if (!wasFilled) {
      if (keepsBlank || !isBlankRow(row)) rows.push(settleRow(work, relation, { id }, row, sender, undefined));
    } else if (answersOf(row).some(([name, typed]) => digestOf(typed) !== (shown?.[name] ?? ''))) {
      // Taken out elsewhere, changed here: it stays until somebody decides.
      rows.push({ ...row, id });
      work.others[`${relation}/${id}`] = TAKEN_OUT;
    }
  }
  bringBack(work, relation, rows);
}

function bringBack(work: Work, relation: string, rows: readonly TypedFields[]): void {
  const ids = new Set(rows.map(rowId));
  work.repeats[relation] = rows;
  const removed = (work.removed[relation] ?? []).filter((id) => !ids.has(id));
  if (removed.length === 0) delete work.removed[relation];
  else work.removed[relation] = removed;
}

/** Takes a row out, unless somebody else typed in it since the sender saw it: then it is asked for. */
function takeOut(work: Work, relation: string, id: string, sender: Sender | undefined): void {
  const row = (work.repeats[relation] ?? []).find((entry) => rowId(entry) === id);
  if (row === undefined) return;
  const { seen = null } = sender ?? {};
  if (seen !== null && !isRowAsSeen(work, relation, row, seen)) {
    work.others[`${relation}/${id}`] = TAKEN_OUT;
    return;
  }
  work.repeats[relation] = (work.repeats[relation] ?? []).filter((entry) => entry !== row);
  for (const marks of [work.writers, work.others]) {
    for (const path of Object.keys(marks)) if (path === `${relation}/${id}` || path.startsWith(`${relation}/${id}/`)) delete marks[path];
  }
  if (!id.startsWith(NEW_ROW)) work.removed[relation] = [...(work.removed[relation] ?? []), id];
}

function isRowAsSeen(work: Work, relation: string, row: TypedFields, seen: Seen): boolean {
  const shown = seen.rows[relation]?.[rowId(row)] ?? {};
  return answersOf(row).every(([name, typed]) => {
    const digest = shown[name];
    return digest === undefined || digestOf(typed) === digest || work.writers[`${relation}/${rowId(row)}/${name}`]?.view === seen.view;
  });
}

function choose(work: Work, path: string, digest: string | null): void {
  const chosen = digest === null ? undefined : (work.others[path] ?? []).find((other) => digestOf(other) === digest);
  if (digest !== null && chosen === undefined) return; // somebody chose before; the page shows what stands now
  delete work.others[path];
  if (chosen === undefined) return;
  const [relation = '', id, name] = path.split('/');
  delete work.writers[path];
  if (id === undefined || name === undefined) work.fields[path] = chosen;
  else work.repeats[relation] = (work.repeats[relation] ?? []).map((row) => (rowId(row) === id ? { ...row, [name]: chosen } : row));
}
