import type { Knex } from 'knex';
import { mayDoEverything, rightsFor } from '../access/rights.ts';
import { readRowRights } from '../access/row-rights.sql.ts';
import type { CallContext } from '../access/types.ts';
import { AppError, type ErrorDetail } from '../errors.ts';
import type { FormFile, FormPage } from '../metadata/screen-types.ts';
import type { Reader } from '../query/reader.ts';
import { rowId } from './merge.ts';
import { formOf, type FormReader } from './pages.ts';
import type { FormPageView, FormPart, PageInput, Submission, TypedFields } from './types.ts';

const ROW_MARK = /^new-[0-9a-z]{1,32}$/;

/** What a form, or one of its pages, asks for at all, whatever its conditions say. */
export interface Asked {
  readonly fields: ReadonlySet<string>;
  readonly repeats: ReadonlyMap<string, readonly string[]>;
}

/** Everything that the given pages ask for. */
export function askedBy({ pages }: { readonly pages: readonly FormPage[] }): Asked {
  const sections = pages.flatMap((page) => page.sections);
  return {
    fields: new Set(sections.flatMap((section) => (section.fields ?? []).map((field) => field.field))),
    repeats: new Map(sections.flatMap(({ repeat }) => (repeat === undefined ? [] : [[repeat.relation, repeat.fields.map((field) => field.field)] as const]))),
  };
}

/** Takes only what the page asks for. @throws AppError bad_request naming everything else */
export function checkInput(page: FormPage, input: PageInput): void {
  const asked = askedBy({ pages: [page] });
  const errors: ErrorDetail[] = [];
  const refuse = (pointer: string): void => {
    errors.push({ pointer, code: 'not_asked', detail: `The page "${page.name}" does not ask for "${pointer.split('/').at(-1) ?? ''}".`, fix: 'Leave it out.' });
  };
  for (const name of Object.keys(input.fields)) if (!asked.fields.has(name)) refuse(`/fields/${name}`);
  for (const [relation, rows] of Object.entries(input.repeats)) {
    const fields = asked.repeats.get(relation);
    if (fields === undefined) refuse(`/repeats/${relation}`);
    else
      rows.forEach((row, index) => {
        for (const name of Object.keys(row)) if (name !== 'id' && !fields.includes(name)) refuse(`/repeats/${relation}/${String(index)}/${name}`);
      });
  }
  if (errors.length > 0) throw new AppError('bad_request', errors[0]?.detail ?? 'The page does not ask for this.', { errors });
}

/**
 * A row of a repeating group may name only a record that belongs to the form's own record, a row of the draft, or the mark of
 * a row that has no record yet: its id comes from the browser.
 * @throws AppError not_found for any other, worded as for one that does not exist
 */
export async function requireOwnRows(
  deps: { readonly reader: Reader },
  db: Knex,
  context: CallContext,
  { reader, submission }: { readonly reader: FormReader; readonly submission: Submission },
  repeats: Readonly<Record<string, readonly TypedFields[]>>,
): Promise<void> {
  for (const [relation, rows] of Object.entries(repeats)) {
    const ids = rows.map(rowId).filter((id) => id !== '');
    if (new Set(ids).size < ids.length) throw new AppError('bad_request', `Two rows of "${relation}" are the same record.`);
    const drafted = new Set((submission.data.repeats[relation] ?? []).map(rowId));
    const records = ids.filter((id) => !drafted.has(id) && !ROW_MARK.test(id));
    if (records.length === 0) continue;
    const { object, via } = reader.related(relation);
    const found = await deps.reader.list(db, context, { object: object.name, equals: { [via]: submission.recordId }, fields: ['id'], limit: 500 });
    const own = new Set(found.data.map((record) => record.id));
    if (records.some((id) => !own.has(id))) throw new AppError('not_found', `One of the rows of "${relation}" is not there any more. Reload the page.`);
  }
}

/** The document of that type that the form asks for with the answers so far. @throws AppError not_found */
export function documentPart(pages: readonly FormPageView[], type: string): Extract<FormPart, { readonly kind: 'document' }> {
  for (const part of pages.flatMap((page) => page.parts)) if (part.kind === 'document' && part.type === type) return part;
  throw new AppError('not_found', 'This form does not ask for this document.');
}

/**
 * Who may fill in a form for a record. A personal link is the right to fill in its form; staff need every right that the
 * form uses in the record as it stands, for drafts show what was typed: no form reads or writes past a permission set.
 * @throws AppError not_found for forms that are signed, forbidden with what is missing
 */
export async function requireFillable(db: Knex, context: CallContext, formName: string, recordId: string, act: 'fill' | 'submit'): Promise<void> {
  const { form, object } = formOf(context.model, formName);
  if (form.signing !== undefined) throw new AppError('not_found', `The form "${form.name}" is read and signed, not filled in.`);
  if (context.principal.kind !== 'user' || mayDoEverything(context)) return;
  const rights = (await readRowRights(db, context, object.name, [recordId])).get(recordId);
  const asked = askedBy(form);
  const isOpen = rights?.canUpdate === true && ownFields(form, asked).every((name) => rights.readable.has(name) && rights.writable.has(name));
  if (!isOpen || !mayWriteRelated(context, form, asked))
    throw new AppError('forbidden', `You may not fill in "${form.title}" for this ${object.label}: it asks for more than you may read and change there.`);
  if (act === 'submit' && form.submit !== undefined && rights?.transitions.has(form.submit) !== true)
    throw new AppError('forbidden', `You may not send "${form.title}" for this ${object.label}.`);
}

/** Whether there may be records for which the caller may fill in the form, as far as that can be said without one. */
export function mayFill(context: CallContext, form: FormFile, act: 'fill' | 'submit'): boolean {
  if (form.signing !== undefined) return false;
  if (mayDoEverything(context)) return true;
  const rights = rightsFor(context, form.object);
  const asked = askedBy(form);
  const isOpen = rights.canUpdate && ownFields(form, asked).every((name) => rights.readable.has(name) && rights.writable.has(name));
  const maySend = act === 'fill' || form.submit === undefined || rights.transitions.has(form.submit);
  return isOpen && maySend && mayWriteRelated(context, form, asked);
}

function ownFields({ attestation }: FormFile, asked: Asked): readonly string[] {
  return [...asked.fields, ...(attestation === undefined ? [] : [attestation.nameField, attestation.atField])];
}

function mayWriteRelated(context: CallContext, form: FormFile, asked: Asked): boolean {
  const { object } = formOf(context.model, form.name);
  const repeats = [...asked.repeats].every(([relation, fields]) => {
    const target = object.toMany.get(relation)?.object;
    if (target === undefined) return false;
    const rights = rightsFor(context, target);
    return rights.canRead && rights.canCreate && rights.canUpdate && fields.every((name) => rights.readable.has(name) && rights.writable.has(name));
  });
  if (form.documents === undefined) return repeats;
  const documents = rightsFor(context, form.documents.object);
  return repeats && documents.canRead && documents.canCreate;
}
