import { createHash } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
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
import type { RecordEngine } from '../record/types.ts';
import { askedBy, checkInput, documentPart, requireFillable, requireOwnRows } from './asked.ts';
import { checkForm, checkPage } from './check.ts';
import { formOf, readForm, viewPages, type FormReader } from './pages.ts';
import { mergePage, newRowId, rowId } from './merge.ts';
import { typeValue } from './parse.ts';
import { isSame } from './seen.ts';
import { findSubmission, insertDraft, updateDraft } from './submission.sql.ts';
import type { DraftData, FormError, FormPageView, PageInput, Submission, Typed, TypedFields } from './types.ts';
import { writeForm } from './write-form.ts';

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
  /** The submission for this record; where there is none, what a draft would begin with. Writes nothing: a draft begins with the first save. */
  open(db: Knex, context: CallContext, form: string, recordId: string): Promise<OpenForm>;
  /**
   * Stores what was typed on a page, good or bad, merged into what others typed meanwhile.
   * @throws AppError conflict_state once it was sent, conflict_version for a stale `input.version`
   */
  savePage(db: Knex, context: CallContext, form: string, recordId: string, page: string, input: PageInput, leave: boolean): Promise<OpenForm>;
  upload(
    db: Knex,
    context: CallContext,
    form: string,
    recordId: string,
    file: { readonly type: string; readonly name: string; readonly mediaType: string; readonly bytes: Uint8Array },
  ): Promise<OpenForm>;
  /**
   * Validates everything and writes it in one transaction.
   * @param version of the draft that was read over; a form that was returned and not changed since is sent again only with it
   * @throws AppError validation_failed with all complaints, conflict_version when the draft has changed, conflict_state
   */
  submit(db: Knex, context: CallContext, form: string, recordId: string, attestation: string, version?: number): Promise<OpenForm>;
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

/** What a draft begins with: the record and its rows, those that were sent before in the order in which they were typed. */
async function prefill(deps: FormsDeps, db: Knex, context: CallContext, formName: string, record: Row, sent: DraftData | null): Promise<DraftData> {
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
    const order = new Map((sent?.repeats[relation] ?? []).map((row, index) => [rowId(row), index]));
    const place = (child: { readonly id: string }): number => order.get(child.id) ?? order.size;
    const ordered = [...children.data].sort((left, right) => place(left) - place(right));
    repeats[relation] = ordered.map((child) => ({ id: child.id, ...typed(child, owner, names) }));
  }
  return { fields: typed(record, object, [...wanted.fields]), repeats, documents: {}, removed: {}, writers: {}, others: {} };
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
  const data = { ...(await prefill(deps, db, context, form, record, found?.data ?? null)), documents: found?.data.documents ?? {} };
  const draft: Submission = {
    id: draftId(form, recordId, found?.id ?? ''),
    begun: false,
    form,
    object: object.name,
    recordId,
    state: 'draft',
    version: found === null ? 0 : found.version + 1,
    data,
    visited: found?.visited ?? [],
    lastPage: null,
    updatedAt: null,
    submittedAt: null,
  };
  return assemble(context, draft, record);
}

/** The id of a draft that may not be begun yet (RFC 9562, version 8): two that begin it at once begin the same one. */
function draftId(form: string, recordId: string, before: string): string {
  const bytes = createHash('sha256')
    .update(JSON.stringify([form, recordId, before]))
    .digest()
    .subarray(0, 16);
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x80;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  const hex = bytes.toString('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
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

/** The draft under lock, begun if it was not. @throws AppError conflict_state when it was sent meanwhile */
async function lockDraft(tx: Knex.Transaction, context: CallContext, { submission, reader }: OpenForm): Promise<Submission> {
  if (!submission.begun) {
    const hash = createHash('sha256').update(JSON.stringify(reader.form)).digest('hex');
    await insertDraft(tx, submission, hash, context.now);
  }
  const locked = await findSubmission(tx, submission.form, submission.recordId, true);
  if (locked?.id === submission.id && locked.state === 'draft') return locked;
  throw new AppError('conflict_state', 'This form was sent in the meantime. Reload the page.');
}

type Edit = Pick<Submission, 'data' | 'visited' | 'lastPage'>;

async function change(deps: FormsDeps, db: Knex, context: CallContext, opened: OpenForm, edit: (submission: Submission) => Edit): Promise<OpenForm> {
  const { form, recordId } = opened.submission;
  await inTransaction(db, async (tx) => {
    const locked = await lockDraft(tx, context, opened);
    const { data, visited, lastPage } = locked;
    const next = edit(locked);
    if (!isDeepStrictEqual(next, { data, visited, lastPage })) await updateDraft(tx, locked.id, { ...next, at: context.now });
  });
  return load(deps, db, context, form, recordId);
}

/** @throws AppError conflict_version that names the answers in which the draft differs from what was sent */
function requireVersion(locked: Submission, input: PageInput): void {
  if (input.version === undefined || input.version === locked.version) return;
  const { fields, repeats } = locked.data;
  const clashing = [
    ...Object.keys(input.fields).filter((name) => !isSame(input.fields[name] ?? '', fields[name] ?? '')),
    ...Object.keys(input.repeats).filter((relation) => !isDeepStrictEqual(input.repeats[relation], repeats[relation] ?? [])),
  ];
  throw new AppError(
    'conflict_version',
    `The form was changed since you read it (you have version ${String(input.version)}, now it is ${String(locked.version)}). Read it again and send what you still want to change.`,
    { extra: { clashing } },
  );
}

/** Drafts and submissions of generated forms: drafts accept anything, submit validates. */
export function makeForms(deps: FormsDeps): Forms {
  return {
    open: (db, context, form, recordId) => open(deps, db, context, form, recordId),
    savePage: async (db, context, form, recordId, page, input, leave) => {
      const opened = await loadEditable(deps, db, context, form, recordId);
      // A page that other answers hid meanwhile is kept like any other: what was typed there is typed.
      const asked = opened.reader.form.pages.find((entry) => entry.name === page);
      if (asked === undefined) throw new AppError('not_found', `This form has no page "${page}".`);
      checkInput(asked, input);
      await requireOwnRows(deps, db, context, opened, input.repeats);
      return change(deps, db, context, opened, (submission) => {
        requireVersion(submission, input);
        const data = mergePage(submission.data, input, () => newRowId(context.newId));
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
      return change(deps, db, context, opened, ({ data, visited, lastPage }) => ({
        data: { ...data, documents: { ...data.documents, [file.type]: { fileId: stored.id, name: stored.name, size: stored.size, at: context.now } } },
        visited,
        lastPage,
      }));
    },
    submit: async (db, context, form, recordId, attestation, version) => {
      await inTransaction(db, async (tx) => {
        const before = await findSubmission(tx, form, recordId, true);
        const draft = await open(deps, tx, context, form, recordId);
        await requireFillable(tx, context, form, recordId, 'submit');
        // A form that was sent is read over before it is sent again: a page from before the first time does not send it.
        const isReadOver = draft.submission.begun || before === null || version !== undefined;
        if (!draft.editable || !isReadOver) throw new AppError('conflict_state', 'This form was sent already.');
        const submission = await lockDraft(tx, context, draft);
        if (version !== undefined && version !== submission.version) {
          throw new AppError('conflict_version', 'The answers were changed since you read them over. Read them again, then send them.');
        }
        const opened = assemble(context, submission, draft.record);
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
