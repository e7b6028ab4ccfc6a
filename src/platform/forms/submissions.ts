import { createHash } from 'node:crypto';
import type { Knex } from 'knex';
import type { CallContext } from '../access/types.ts';
import { inTransaction } from '../db.ts';
import { AppError } from '../errors.ts';
import { compileJs } from '../expression/to-js.ts';
import type { EvalContext, Row } from '../expression/types.ts';
import { fault } from '../fault.ts';
import type { FileStore } from '../files/types.ts';
import type { Reader } from '../query/reader.ts';
import { actorOf } from '../record/actor.ts';
import type { RecordEngine, WriteOptions } from '../record/types.ts';
import { askedBy, checkInput, documentPart, requireFillable, requireOwnRows } from './asked.ts';
import { checkForm, checkPage } from './check.ts';
import { formOf, readForm, viewPages, type FormReader } from './pages.ts';
import { parseTyped, typeValue } from './parse.ts';
import { closeSubmission, findSubmission, insertDraft, updateDraft } from './submission.sql.ts';
import type { DraftData, FormError, FormPageView, PageInput, Submission, Typed, TypedFields } from './types.ts';

export interface FormsDeps {
  readonly engine: RecordEngine;
  readonly reader: Reader;
  readonly files: FileStore;
}

/** A form as it stands for one record: what may be drawn, and what is still wrong. */
export interface OpenForm {
  readonly submission: Submission;
  readonly reader: FormReader;
  readonly pages: readonly FormPageView[];
  readonly errors: readonly FormError[];
  /** False once the record has moved on: the form is then read only. */
  readonly editable: boolean;
  readonly record: Row;
}

export interface Forms {
  /** The submission for this record; begins a draft, prefilled from the record, where there is none and `begin` is set. */
  open(db: Knex, context: CallContext, form: string, recordId: string): Promise<OpenForm>;
  /** Stores what was typed on a page, good or bad, and answers the complaints about that page. */
  savePage(db: Knex, context: CallContext, form: string, recordId: string, page: string, input: PageInput, leave: boolean): Promise<OpenForm>;
  upload(
    db: Knex,
    context: CallContext,
    form: string,
    recordId: string,
    file: { readonly type: string; readonly name: string; readonly mediaType: string; readonly bytes: Uint8Array },
  ): Promise<OpenForm>;
  /** Validates everything and writes it in one transaction. @throws AppError validation_failed with all complaints */
  submit(db: Knex, context: CallContext, form: string, recordId: string, attestation: string): Promise<OpenForm>;
}

function evaluation(context: CallContext): EvalContext {
  return {
    now: context.now,
    today: context.today,
    user: null,
    subject: null,
    one: () => null,
    many: () => [],
    policy: () => null,
    calendars: context.model.calendarLookup,
  };
}

function isEditable(context: CallContext, formName: string, record: Row): boolean {
  const { form } = formOf(context.model, formName);
  if (form.editableWhen === undefined) return true;
  return compileJs(context.model.expression(form.editableWhen, form.object), context.model.expressions)(record, evaluation(context)) === true;
}

/** True when a form that was sent may be filled in anew: sending it moved the record on, and the record came back. */
function maySendAgain(context: CallContext, formName: string, record: Row): boolean {
  const { form } = formOf(context.model, formName);
  return form.submit !== undefined && form.editableWhen !== undefined && isEditable(context, formName, record);
}

async function prefill(deps: FormsDeps, db: Knex, context: CallContext, formName: string, record: Row): Promise<DraftData> {
  const { object } = formOf(context.model, formName);
  const wanted = askedBy(formOf(context.model, formName).form);
  const typed = (source: Row, owner: typeof object, names: readonly string[]): TypedFields => {
    const out: Record<string, Typed> = {};
    for (const name of names) {
      const field = owner.fields.get(name);
      const value = source[name];
      if (field !== undefined && value !== null && value !== undefined) out[name] = typeValue(field, value);
    }
    return out;
  };
  const repeats: Record<string, readonly TypedFields[]> = {};
  for (const [relation, names] of wanted.repeats) {
    const path = object.toMany.get(relation);
    const owner = path === undefined ? undefined : context.model.objects.get(path.object);
    if (path === undefined || owner === undefined) continue;
    const children = await deps.reader.list(db, context, {
      object: path.object,
      equals: { [path.via]: String(record['id']) },
      sort: ['createdAt'],
      limit: 500,
    });
    repeats[relation] = children.data.map((child) => ({ id: child.id, ...typed(child, owner, names) }));
  }
  return { fields: typed(record, object, [...wanted.fields]), repeats, documents: {} };
}

function assemble(context: CallContext, submission: Submission, record: Row): OpenForm {
  const reader = readForm(context, submission.form, submission.data, record);
  const editable = submission.state === 'draft' && isEditable(context, submission.form, record);
  return { submission, reader, pages: viewPages(reader, submission.data), errors: checkForm(reader, submission.data), editable, record };
}

async function load(deps: FormsDeps, db: Knex, context: CallContext, form: string, recordId: string): Promise<OpenForm> {
  const { object } = formOf(context.model, form);
  const record = await deps.reader.get(db, context, object.name, recordId, {});
  const found = await findSubmission(db, form, recordId);
  const reopened = found?.state === 'submitted' && maySendAgain(context, form, record);
  if (found !== null && !reopened) return assemble(context, found, record);
  // A returned form begins anew from the record, whose rows were made by the first submission; its documents are there already.
  const data = { ...(await prefill(deps, db, context, form, record)), documents: found?.data.documents ?? {} };
  const hash = createHash('sha256')
    .update(JSON.stringify(formOf(context.model, form).form))
    .digest('hex');
  await inTransaction(db, (tx) =>
    insertDraft(tx, { id: context.newId(), form, formHash: hash, object: object.name, recordId, data, visited: found?.visited ?? [], at: context.now }),
  );
  const begun = await findSubmission(db, form, recordId);
  if (begun === null) throw new AppError('internal', 'The draft could not be begun.');
  return assemble(context, begun, record);
}

async function open(deps: FormsDeps, db: Knex, context: CallContext, form: string, recordId: string): Promise<OpenForm> {
  await deps.reader.get(db, context, formOf(context.model, form).object.name, recordId, { fields: ['id'] });
  await requireFillable(db, context, form, recordId, 'fill');
  return load(deps, db, context, form, recordId);
}

/** The form, open for changes. @throws AppError conflict_state once it was sent */
async function loadEditable(deps: FormsDeps, db: Knex, context: CallContext, form: string, recordId: string): Promise<OpenForm> {
  const opened = await open(deps, db, context, form, recordId);
  if (opened.editable) return opened;
  throw new AppError('conflict_state', 'This form was sent already and can no longer be changed. Ask for it to be returned if something is wrong.');
}

async function change(
  deps: FormsDeps,
  db: Knex,
  context: CallContext,
  form: string,
  recordId: string,
  edit: (submission: Submission) => { readonly data: DraftData; readonly visited: readonly string[]; readonly lastPage: string | null },
): Promise<OpenForm> {
  await inTransaction(db, async (tx) => {
    const locked = await findSubmission(tx, form, recordId, true);
    if (locked?.state !== 'draft') throw new AppError('conflict_state', 'This form was sent in the meantime. Reload the page.');
    const next = edit(locked);
    await updateDraft(tx, locked.id, { ...next, at: context.now });
  });
  return load(deps, db, context, form, recordId);
}

function valuesOf(
  reader: FormReader,
  page: FormPageView,
): { readonly fields: Record<string, unknown>; readonly repeats: Record<string, Record<string, unknown>[]> } {
  const fields: Record<string, unknown> = {};
  const repeats: Record<string, Record<string, unknown>[]> = {};
  for (const part of page.parts) {
    if (part.kind === 'fields') {
      for (const question of part.questions) {
        const field = reader.object.fields.get(question.field);
        const parsed = field === undefined ? null : parseTyped(reader.object, field, question.value);
        if (parsed?.ok === true) fields[question.field] = parsed.value;
      }
    } else if (part.kind === 'repeat') {
      const { object } = reader.related(part.relation);
      repeats[part.relation] = part.rows.map((row) => {
        const values: Record<string, unknown> = {};
        for (const question of row.questions) {
          const field = object.fields.get(question.field);
          const parsed = field === undefined ? null : parseTyped(object, field, question.value);
          if (parsed?.ok === true) values[question.field] = parsed.value;
        }
        return values;
      });
    }
  }
  return { fields, repeats };
}

/**
 * Writes the whole form into its record, its repeats and its documents; the caller has checked it. A personal link is the
 * right to fill in its form, so that what it asks for is written with the system's rights; staff write with their own.
 */
async function writeForm(deps: FormsDeps, tx: Knex.Transaction, context: CallContext, opened: OpenForm, attestation: string): Promise<void> {
  const { reader, submission, pages } = opened;
  const { form, object } = reader;
  const options = { asSystem: context.principal.kind !== 'user' };
  const fields: Record<string, unknown> = {};
  const repeats: Record<string, Record<string, unknown>[]> = {};
  for (const page of pages) {
    const values = valuesOf(reader, page);
    Object.assign(fields, values.fields);
    Object.assign(repeats, values.repeats);
  }
  // What earlier answers made the form ask for, and these do not, was answered for nothing: it goes.
  for (const name of askedBy(form).fields) {
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
  for (const [relation, list] of Object.entries(repeats)) await writeRows(deps, tx, context, opened, relation, list, options);
  await writeDocuments(deps, tx, context, opened, options);
  if (form.submit !== undefined) {
    const now = at(written?.ok === true ? written.version : null);
    await deps.engine.write(tx, context, object.name, [{ kind: 'transition', id, ...now, transition: form.submit }], options);
  }
  const snapshot = pages.map((page) => ({ title: page.title, parts: page.parts }));
  await closeSubmission(tx, submission.id, snapshot, context.now);
}

/** Rows that were taken out go to the trash, rows with an id of the record's own are changed, all others are new. */
async function writeRows(
  deps: FormsDeps,
  tx: Knex.Transaction,
  context: CallContext,
  { reader, submission }: OpenForm,
  relation: string,
  list: readonly Record<string, unknown>[],
  options: WriteOptions,
): Promise<void> {
  const { object: owner, via } = reader.related(relation);
  const typed = submission.data.repeats[relation] ?? [];
  const found = await deps.reader.list(tx, context, { object: owner.name, equals: { [via]: submission.recordId }, fields: ['id', 'version'], limit: 500 });
  const existing = new Map(found.data.map((child) => [child.id, child.version]));
  const kept = new Set(typed.map((row) => row['id']));
  const gone = [...existing].flatMap(([id, version]) => (kept.has(id) ? [] : [{ kind: 'delete' as const, id, version }]));
  const writes = list.map((values, index) => {
    const id = typed[index]?.['id'];
    const version = typeof id === 'string' ? existing.get(id) : undefined;
    return typeof id === 'string' && version !== undefined
      ? { kind: 'update' as const, id, version, values }
      : { kind: 'create' as const, values: { ...values, [via]: submission.recordId } };
  });
  if (gone.length > 0) await deps.engine.write(tx, context, owner.name, gone, options);
  for (const kind of ['update', 'create'] as const) {
    const batch = writes.filter((write) => write.kind === kind);
    if (batch.length > 0) await deps.engine.write(tx, context, owner.name, batch, options);
  }
}

/** Documents that the form still asks for; one that an earlier submission wrote is not written again. */
async function writeDocuments(deps: FormsDeps, tx: Knex.Transaction, context: CallContext, opened: OpenForm, options: WriteOptions): Promise<void> {
  const { documents } = opened.reader.form;
  const given = opened.pages.flatMap((page) => page.parts).flatMap((part) => (part.kind === 'document' && part.given !== null ? [part] : []));
  if (documents === undefined || given.length === 0) return;
  const { recordId } = opened.submission;
  const system: CallContext = { ...context, principal: { kind: 'system', name: 'forms' } };
  const found = await deps.reader.list(tx, system, {
    object: documents.object,
    equals: { [documents.reference]: recordId },
    fields: [documents.file],
    limit: 500,
  });
  const known = new Set(found.data.map((record) => record[documents.file]));
  const creates = given.flatMap(({ type, given: file }) =>
    file === null || known.has(file.fileId)
      ? []
      : [{ kind: 'create' as const, values: { [documents.reference]: recordId, [documents.type]: type, [documents.file]: file.fileId } }],
  );
  if (creates.length > 0) await deps.engine.write(tx, context, documents.object, creates, options);
}

/** Drafts and submissions of generated forms: drafts accept anything, submit validates. */
export function makeForms(deps: FormsDeps): Forms {
  return {
    open: (db, context, form, recordId) => open(deps, db, context, form, recordId),
    savePage: async (db, context, form, recordId, page, input, leave) => {
      const opened = await loadEditable(deps, db, context, form, recordId);
      const asked = opened.reader.pages.find((entry) => entry.name === page);
      if (asked === undefined) throw new AppError('not_found', `This form has no page "${page}" for these answers.`);
      checkInput(asked, input);
      await requireOwnRows(deps, db, context, opened.reader, recordId, input.repeats);
      return change(deps, db, context, form, recordId, (submission) => {
        const data: DraftData = {
          fields: { ...submission.data.fields, ...input.fields },
          repeats: { ...submission.data.repeats, ...input.repeats },
          documents: submission.data.documents,
        };
        const visited = leave && !submission.visited.includes(page) ? [...submission.visited, page] : submission.visited;
        return { data, visited, lastPage: page };
      });
    },
    upload: async (db, context, form, recordId, file) => {
      const opened = await loadEditable(deps, db, context, form, recordId);
      const { accept, label } = documentPart(opened.pages, file.type);
      const stored = await inTransaction(db, async (tx) => {
        const kept = await deps.files.put(tx, { ...file, by: actorOf(context.principal), at: context.now });
        if (accept.includes(kept.mediaType)) return kept;
        throw new AppError('unsupported_media_type', `${label}: this is ${kept.mediaType}. Send ${accept.join(' or ')}.`);
      });
      fault('forms.after_upload');
      return change(deps, db, context, form, recordId, (submission) => ({
        data: {
          ...submission.data,
          documents: { ...submission.data.documents, [file.type]: { fileId: stored.id, name: stored.name, size: stored.size, at: context.now } },
        },
        visited: submission.visited,
        lastPage: submission.lastPage,
      }));
    },
    submit: async (db, context, form, recordId, attestation) => {
      await inTransaction(db, async (tx) => {
        const locked = await findSubmission(tx, form, recordId, true);
        const opened = await open(deps, tx, context, form, recordId);
        await requireFillable(tx, context, form, recordId, 'submit');
        // A form that was sent is read over before it is sent again: a page from before the first time does not send it.
        if (locked === null || locked.id !== opened.submission.id || !opened.editable) throw new AppError('conflict_state', 'This form was sent already.');
        const errors = [...opened.errors];
        if (opened.reader.form.attestation !== undefined && attestation.trim() === '') {
          errors.push({ page: '', name: 'attestation', label: 'Your full name', message: 'Enter your full name to confirm your answers' });
        }
        if (errors.length > 0) {
          throw new AppError('validation_failed', 'Some answers are missing or wrong.', {
            errors: errors.map((error) => ({ pointer: `/${error.name.replaceAll('.', '/')}`, code: 'invalid', detail: error.message })),
            extra: { form: errors },
          });
        }
        await writeForm(deps, tx, context, opened, attestation.trim());
        fault('forms.before_commit');
      });
      fault('forms.after_commit');
      return load(deps, db, context, form, recordId);
    },
  };
}

/** Complaints about one page of an opened form. */
export function pageErrors(opened: OpenForm, page: string): readonly FormError[] {
  const view = opened.pages.find((entry) => entry.name === page);
  return view === undefined ? [] : checkPage(opened.reader, view);
}
