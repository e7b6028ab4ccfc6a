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
import type { RecordEngine } from '../record/types.ts';
import { checkForm, checkPage } from './check.ts';
import { formOf, readForm, viewPages, type FormReader } from './pages.ts';
import { parseTyped, typeValue } from './parse.ts';
import { closeSubmission, findSubmission, insertDraft, updateDraft } from './submission.sql.ts';
import type { DraftData, FormError, FormPageView, Submission, Typed, TypedFields } from './types.ts';

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

/** What came with one page: fields and repeats that stand on it, as typed. */
export interface PageInput {
  readonly fields: TypedFields;
  readonly repeats: Readonly<Record<string, readonly TypedFields[]>>;
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

const actorName = (context: CallContext): string => {
  const { principal } = context;
  return principal.kind === 'user' ? principal.userId : principal.kind === 'portal' ? `portal:${principal.linkId}` : principal.kind;
};

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

function formFields(context: CallContext, formName: string): { readonly fields: readonly string[]; readonly repeats: ReadonlyMap<string, readonly string[]> } {
  const { form } = formOf(context.model, formName);
  const fields = new Set<string>();
  const repeats = new Map<string, readonly string[]>();
  for (const section of form.pages.flatMap((page) => page.sections)) {
    for (const field of section.fields ?? []) fields.add(field.field);
    if (section.repeat !== undefined)
      repeats.set(
        section.repeat.relation,
        section.repeat.fields.map((field) => field.field),
      );
  }
  return { fields: [...fields], repeats };
}

async function prefill(deps: FormsDeps, db: Knex, context: CallContext, formName: string, record: Row): Promise<DraftData> {
  const { object } = formOf(context.model, formName);
  const wanted = formFields(context, formName);
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
  return { fields: typed(record, object, wanted.fields), repeats, documents: {} };
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
  const reopened = found?.state === 'submitted' && isEditable(context, form, record);
  if (found !== null && !reopened) return assemble(context, found, record);
  const data = found === null ? await prefill(deps, db, context, form, record) : found.data;
  const hash = createHash('sha256')
    .update(JSON.stringify(formOf(context.model, form).form))
    .digest('hex');
  await inTransaction(db, (tx) => insertDraft(tx, { id: context.newId(), form, formHash: hash, object: object.name, recordId, data, at: context.now }));
  const begun = await findSubmission(db, form, recordId);
  if (begun === null) throw new AppError('internal', 'The draft could not be begun.');
  return assemble(context, begun, record);
}

async function change(
  deps: FormsDeps,
  db: Knex,
  context: CallContext,
  form: string,
  recordId: string,
  edit: (submission: Submission, reader: FormReader) => { readonly data: DraftData; readonly visited: readonly string[]; readonly lastPage: string | null },
): Promise<OpenForm> {
  const opened = await load(deps, db, context, form, recordId);
  if (!opened.editable)
    throw new AppError('conflict_state', 'This form was sent already and can no longer be changed. Ask for it to be returned if something is wrong.');
  await inTransaction(db, async (tx) => {
    const locked = await findSubmission(tx, form, recordId, true);
    if (locked === null) throw new AppError('not_found', 'This draft is gone.');
    const next = edit(locked, readForm(context, form, locked.data, opened.record));
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

/** Writes the whole form into its record, its repeats and its documents; the caller has checked it. */
async function writeForm(deps: FormsDeps, tx: Knex.Transaction, context: CallContext, opened: OpenForm, attestation: string): Promise<void> {
  const { reader, submission, pages } = opened;
  const { form, object } = reader;
  const options = { asSystem: true } as const;
  const fields: Record<string, unknown> = {};
  const repeats: Record<string, Record<string, unknown>[]> = {};
  for (const page of pages) {
    const values = valuesOf(reader, page);
    Object.assign(fields, values.fields);
    Object.assign(repeats, values.repeats);
  }
  if (form.attestation !== undefined) {
    fields[form.attestation.nameField] = attestation;
    fields[form.attestation.atField] = context.now;
  }
  await deps.engine.write(tx, context, object.name, [{ kind: 'update', id: submission.recordId, values: fields }], options);
  for (const [relation, list] of Object.entries(repeats)) {
    const { object: owner, via } = reader.related(relation);
    const typed = submission.data.repeats[relation] ?? [];
    const kept = new Set(typed.map((row) => row['id']).filter((id) => typeof id === 'string'));
    const existing = await deps.reader.list(tx, context, { object: owner.name, equals: { [via]: submission.recordId }, fields: ['id'], limit: 500 });
    const gone = existing.data.filter((child) => !kept.has(child.id)).map((child) => ({ kind: 'delete' as const, id: child.id }));
    const writes = list.map((values, index) => {
      const id = typed[index]?.['id'];
      return typeof id === 'string' ? { kind: 'update' as const, id, values } : { kind: 'create' as const, values: { ...values, [via]: submission.recordId } };
    });
    if (gone.length > 0) await deps.engine.write(tx, context, owner.name, gone, options);
    for (const kind of ['update', 'create'] as const) {
      const batch = writes.filter((write) => write.kind === kind);
      if (batch.length > 0) await deps.engine.write(tx, context, owner.name, batch, options);
    }
  }
  const { documents } = form;
  const given = Object.entries(submission.data.documents);
  if (documents !== undefined && given.length > 0) {
    const creates = given.map(([type, file]) => ({
      kind: 'create' as const,
      values: { [documents.reference]: submission.recordId, [documents.type]: type, [documents.file]: file.fileId },
    }));
    await deps.engine.write(tx, context, documents.object, creates, options);
  }
  if (form.submit !== undefined) {
    await deps.engine.write(tx, context, object.name, [{ kind: 'transition', id: submission.recordId, transition: form.submit }], options);
  }
  const snapshot = pages.map((page) => ({ title: page.title, parts: page.parts }));
  await closeSubmission(tx, submission.id, snapshot, context.now);
}

/** Drafts and submissions of generated forms: drafts accept anything, submit validates. */
export function makeForms(deps: FormsDeps): Forms {
  return {
    open: (db, context, form, recordId) => load(deps, db, context, form, recordId),
    savePage: (db, context, form, recordId, page, input, leave) =>
      change(deps, db, context, form, recordId, (submission, reader) => {
        if (!reader.pages.some((entry) => entry.name === page)) throw new AppError('not_found', `This form has no page "${page}" for these answers.`);
        const data: DraftData = {
          fields: { ...submission.data.fields, ...input.fields },
          repeats: { ...submission.data.repeats, ...input.repeats },
          documents: submission.data.documents,
        };
        const visited = leave && !submission.visited.includes(page) ? [...submission.visited, page] : submission.visited;
        return { data, visited, lastPage: page };
      }),
    upload: async (db, context, form, recordId, file) => {
      const stored = await inTransaction(db, (tx) => deps.files.put(tx, { ...file, by: actorName(context), at: context.now }));
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
        const opened = await load(deps, tx, context, form, recordId);
        if (locked === null || !opened.editable) throw new AppError('conflict_state', 'This form was sent already.');
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
