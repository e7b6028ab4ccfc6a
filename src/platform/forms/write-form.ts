import type { Knex } from 'knex';
import type { CallContext } from '../access/types.ts';
import type { WriteOptions } from '../record/types.ts';
import { askedBy } from './asked.ts';
import { rowId } from './merge.ts';
import type { FormReader } from './pages.ts';
import { parseTyped } from './parse.ts';
import { closeSubmission, sentFiles } from './submission.sql.ts';
import type { FormsDeps, OpenForm } from './submissions.ts';
import type { FormPageView, Question, TypedFields } from './types.ts';

type Values = Readonly<Record<string, unknown>>;
/** Rows of a repeating group that the form asks for as it is answered: what is written, by the row's id. */
type RowValues = ReadonlyMap<string, Values>;

function valuesOf(reader: FormReader, relation: string | null, questions: readonly Question[]): Values {
  const object = relation === null ? reader.object : reader.related(relation).object;
  const values: Record<string, unknown> = {};
  for (const question of questions) {
    const field = object.fields.get(question.field);
    const parsed = field === undefined ? null : parseTyped(object, field, question.value);
    if (parsed?.ok === true) values[question.field] = parsed.value;
  }
  return values;
}

function answersOn(reader: FormReader, pages: readonly FormPageView[]): { readonly fields: Values; readonly repeats: ReadonlyMap<string, RowValues> } {
  const fields: Record<string, unknown> = {};
  const repeats = new Map<string, RowValues>();
  for (const part of pages.flatMap((page) => page.parts)) {
    if (part.kind === 'fields') Object.assign(fields, valuesOf(reader, null, part.questions));
    if (part.kind === 'repeat') repeats.set(part.relation, new Map(part.rows.map((row) => [row.id, valuesOf(reader, part.relation, row.questions)])));
  }
  return { fields, repeats };
}

/**
 * Writes the whole form into its record, its repeats and its documents; the caller has checked it. A personal link is the
 * right to fill in its form, so that what it asks for is written with the system's rights; staff write with their own.
 */
export async function writeForm(deps: FormsDeps, tx: Knex.Transaction, context: CallContext, opened: OpenForm, attestation: string): Promise<void> {
  const { reader, submission, pages } = opened;
  const { form, object } = reader;
  const options = { asSystem: context.principal.kind !== 'user' };
  const answers = answersOn(reader, pages);
  const fields: Record<string, unknown> = { ...answers.fields };
  const asked = askedBy(form);
  // What earlier answers made the form ask for, and these do not, was answered for nothing: it goes.
  for (const name of asked.fields) {
    if (!(name in fields) && (opened.record[name] ?? null) !== null && object.fields.get(name)?.required === false) fields[name] = null;
  }
  if (form.attestation !== undefined) {
    fields[form.attestation.nameField] = attestation;
    fields[form.attestation.atField] = context.now;
  }
  const { recordId: id } = submission;
  // With the system's rights the last write wins under lock: an applicant cannot be asked to merge what a rule wrote meanwhile.
  const at = (version: unknown): { readonly version?: number } => (options.asSystem ? {} : { version: Number(version) });
  const [written] = await deps.engine.write(tx, context, object.name, [{ kind: 'update', id, ...at(opened.record['version']), values: fields }], options);
  const repeats: Record<string, readonly TypedFields[]> = { ...submission.data.repeats };
  for (const [relation, names] of asked.repeats) {
    const ids = await writeRows(deps, tx, context, opened, { relation, names, rows: answers.repeats.get(relation) ?? null }, options);
    repeats[relation] = (repeats[relation] ?? []).map((row) => ({ ...row, id: ids.get(rowId(row)) ?? rowId(row) }));
  }
  await writeDocuments(deps, tx, context, opened, options);
  if (form.submit !== undefined) {
    const now = at(written?.ok === true ? written.version : null);
    await deps.engine.write(tx, context, object.name, [{ kind: 'transition', id, ...now, transition: form.submit }], options);
  }
  const snapshot = pages.map((page) => ({ title: page.title, parts: page.parts }));
  await closeSubmission(tx, submission.id, { data: { ...submission.data, repeats }, snapshot, at: context.now });
}

/**
 * Rows whose record is there are changed, others are new. To the trash go the records of rows that were taken out, and of
 * all rows of a group that the form does not ask for with these answers (`rows` null). Records that the draft never showed stay.
 * Answers the ids of the records of new rows, by the row's mark.
 */
async function writeRows(
  deps: FormsDeps,
  tx: Knex.Transaction,
  context: CallContext,
  { reader, submission }: OpenForm,
  { relation, names, rows }: { readonly relation: string; readonly names: readonly string[]; readonly rows: RowValues | null },
  options: WriteOptions,
): Promise<ReadonlyMap<string, string>> {
  const made = new Map<string, string>();
  const typed = submission.data.repeats[relation] ?? [];
  const removed = [...(submission.data.removed[relation] ?? []), ...(rows === null ? typed.map(rowId) : [])];
  if ((rows === null || rows.size === 0) && removed.length === 0) return made;
  const { object: owner, via } = reader.related(relation);
  const found = await deps.reader.list(tx, context, { object: owner.name, equals: { [via]: submission.recordId }, limit: 500 });
  const existing = new Map(found.data.map((child) => [child.id, child]));
  const deletes = removed.flatMap((id) => {
    const record = existing.get(id);
    return record === undefined ? [] : [{ kind: 'delete' as const, id, version: record.version }];
  });
  if (deletes.length > 0) await deps.engine.write(tx, context, owner.name, deletes, options);
  const updates = [...(rows ?? [])].flatMap(([id, values]) => {
    const record = existing.get(id);
    if (record === undefined) return [];
    const unasked = names.filter((name) => !(name in values) && (record[name] ?? null) !== null && owner.fields.get(name)?.required === false);
    return [{ kind: 'update' as const, id, version: record.version, values: { ...values, ...Object.fromEntries(unasked.map((name) => [name, null])) } }];
  });
  if (updates.length > 0) await deps.engine.write(tx, context, owner.name, updates, options);
  const fresh = [...(rows ?? [])].filter(([id]) => !existing.has(id));
  const creates = fresh.map(([, values]) => ({ kind: 'create' as const, values: { ...values, [via]: submission.recordId } }));
  const written = creates.length === 0 ? [] : await deps.engine.write(tx, context, owner.name, creates, options);
  for (const [index, [mark]] of fresh.entries()) {
    const outcome = written[index];
    if (outcome?.ok === true) made.set(mark, outcome.id);
  }
  return made;
}

/**
 * Documents that the form still asks for; one that an earlier submission wrote is not written again. What earlier submissions
 * wrote and this one replaces, or no longer asks for, goes to the trash: with the system's rights, for the form itself wrote it.
 * Documents that others added to the record stay.
 */
async function writeDocuments(deps: FormsDeps, tx: Knex.Transaction, context: CallContext, opened: OpenForm, options: WriteOptions): Promise<void> {
  const { documents } = opened.reader.form;
  if (documents === undefined) return;
  const given = opened.pages
    .flatMap((page) => page.parts)
    .flatMap((part) => (part.kind === 'document' && part.given !== null ? [{ ...part.given, type: part.type }] : []));
  const { form, recordId } = opened.submission;
  const sent = await sentFiles(tx, form, recordId);
  if (given.length === 0 && sent.size === 0) return;
  const system: CallContext = { ...context, principal: { kind: 'system', name: 'forms' } };
  const found = await deps.reader.list(tx, system, {
    object: documents.object,
    equals: { [documents.reference]: recordId },
    fields: [documents.file],
    limit: 500,
  });
  const files = new Set(given.map((file) => file.fileId));
  const superseded = found.data.filter((record) => {
    const file = record[documents.file];
    return typeof file === 'string' && sent.has(file) && !files.has(file);
  });
  if (superseded.length > 0) {
    const deletes = superseded.map(({ id, version }) => ({ kind: 'delete' as const, id, version }));
    await deps.engine.write(tx, context, documents.object, deletes, { asSystem: true });
  }
  const known = new Set(found.data.map((record) => record[documents.file]));
  const creates = given
    .filter((file) => !known.has(file.fileId))
    .map((file) => ({ kind: 'create' as const, values: { [documents.reference]: recordId, [documents.type]: file.type, [documents.file]: file.fileId } }));
  if (creates.length > 0) await deps.engine.write(tx, context, documents.object, creates, options);
}
