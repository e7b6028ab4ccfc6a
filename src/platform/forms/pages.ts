import type { CallContext } from '../access/types.ts';
import { AppError } from '../errors.ts';
import { compileJs } from '../expression/to-js.ts';
import type { EvalContext, Row } from '../expression/types.ts';
import type { FormField, FormFile, FormPage, FormSection } from '../metadata/screen-types.ts';
import type { FieldModel, Model, ObjectModel } from '../model/types.ts';
import { controlOf, displayTyped } from './controls.ts';
import { newRowId, rowId } from './merge.ts';
import { parseTyped } from './parse.ts';
import type { DraftData, FormPageView, FormPart, PageStatus, Question, Submission, Typed, TypedFields } from './types.ts';

/** Reads a form's conditions against what has been typed so far; nothing else is looked at. */
export interface FormReader {
  readonly form: FormFile;
  readonly object: ObjectModel;
  /** Pages whose conditions hold, in order. */
  readonly pages: readonly FormPage[];
  isSectionVisible(section: FormSection): boolean;
  isFieldVisible(field: FormField, row: Row | null, owner: ObjectModel): boolean;
  isRequired(field: FormField, row: Row | null, owner: ObjectModel): boolean;
  /** A fresh mark for a row that is shown and not typed in yet. */
  readonly newRowId: () => string;
  /** The object behind a repeating group. */
  related(relation: string): { readonly object: ObjectModel; readonly via: string };
}

/** The form of that name, with its object. @throws AppError not_found */
export function formOf(model: Model, name: string): { readonly form: FormFile; readonly object: ObjectModel } {
  const form = model.forms.get(name);
  if (form === undefined) throw new AppError('not_found', `There is no form named "${name}".`);
  return { form, object: objectOf(model, form.object) };
}

function objectOf(model: Model, name: string): ObjectModel {
  const object = model.objects.get(name);
  if (object === undefined) throw new AppError('not_found', `There is no object named "${name}".`);
  return object;
}

/** The field a form's question stands for. @throws AppError metadata_invalid when the form names a field that is not there */
export function fieldOf(object: ObjectModel, name: string): FieldModel {
  const field = object.fields.get(name);
  if (field === undefined) throw new AppError('metadata_invalid', `The form asks for "${name}", which ${object.name} does not have.`);
  return field;
}

function parsedRow(object: ObjectModel, typed: TypedFields): Row {
  const row: Record<string, unknown> = {};
  for (const [name, text] of Object.entries(typed)) {
    const field = object.fields.get(name);
    if (field === undefined) continue;
    const parsed = parseTyped(object, field, text);
    row[name] = parsed.ok ? parsed.value : null;
  }
  return row;
}

/** Binds a form to a draft: conditions see the record as stored, overlaid with what was typed. */
export function readForm(context: CallContext, formName: string, data: DraftData, record: Row): FormReader {
  const { model } = context;
  const { form, object } = formOf(model, formName);
  const related = (relation: string): { object: ObjectModel; via: string } => {
    const path = object.toMany.get(relation);
    if (path === undefined) throw new AppError('metadata_invalid', `Form ${form.name}: ${object.name} has no relation "${relation}".`);
    return { object: objectOf(model, path.object), via: path.via };
  };
  const root: Row = { ...record, ...parsedRow(object, data.fields) };
  const evaluation: EvalContext = {
    now: context.now,
    today: context.today,
    user: null,
    subject: null,
    one: () => null,
    many: (target, via) => {
      for (const [relation, rows] of Object.entries(data.repeats)) {
        const path = object.toMany.get(relation);
        if (path?.object === target && path.via === via) return rows.map((row) => parsedRow(objectOf(model, target), row));
      }
      return [];
    },
    policy: () => null,
    calendars: model.calendarLookup,
  };
  const holds = (text: string | undefined, owner: ObjectModel, row: Row): boolean =>
    text === undefined || compileJs(model.expression(text, owner.name), model.expressions)(row, evaluation) === true;
  const rowOf = (row: Row | null): Row => row ?? root;
  return {
    form,
    object,
    pages: form.pages.filter((page) => holds(page.visibleWhen, object, root)),
    isSectionVisible: (section) => holds(section.visibleWhen, object, root),
    isFieldVisible: (field, row, owner) => holds(field.visibleWhen, owner, rowOf(row)),
    isRequired: (field, row, owner) => {
      if (field.requiredWhen !== undefined) return holds(field.requiredWhen, owner, rowOf(row));
      const kind = fieldOf(owner, field.field);
      return kind.required || field.optional !== true;
    },
    newRowId: () => newRowId(context.newId),
    related,
  };
}

/** Where a question stands: what its input's name and its path begin with, and what was typed elsewhere. */
interface Place {
  readonly name: string;
  readonly path: string;
  readonly others: DraftData['others'];
}

function question(reader: FormReader, owner: ObjectModel, entry: FormField, typed: TypedFields, row: Row | null, place: Place): Question {
  const field = fieldOf(owner, entry.field);
  const value: Typed = typed[entry.field] ?? (field.kind === 'multiPicklist' ? [] : '');
  const options = (field.values?.values ?? []).filter((option) => option.active !== false).map((option) => ({ value: option.code, label: option.label }));
  return {
    name: `${place.name}${entry.field}`,
    path: `${place.path}${entry.field}`,
    field: entry.field,
    label: entry.label ?? field.label,
    help: entry.help ?? field.help,
    kind: field.kind,
    control: controlOf(field),
    required: reader.isRequired(entry, row, owner),
    options,
    value,
    display: displayTyped(field, value),
    maxLength: field.maxLength,
    others: (place.others[`${place.path}${entry.field}`] ?? []).map((other) => ({ value: other, display: displayTyped(field, other) })),
  };
}

function partsOf(reader: FormReader, page: FormPage, data: DraftData): readonly FormPart[] {
  const parts: FormPart[] = [];
  const { others } = data;
  for (const section of page.sections) {
    if (!reader.isSectionVisible(section)) continue;
    const heading = { title: section.title ?? null, help: section.help ?? null };
    if (section.fields !== undefined) {
      const shown = section.fields.filter((field) => reader.isFieldVisible(field, null, reader.object));
      if (shown.length > 0)
        parts.push({
          kind: 'fields',
          ...heading,
          questions: shown.map((field) => question(reader, reader.object, field, data.fields, null, { name: '', path: '', others })),
        });
    }
    if (section.repeat !== undefined) {
      const { repeat } = section;
      const owner = reader.related(repeat.relation).object;
      const given = data.repeats[repeat.relation] ?? [];
      const least = Math.max(repeat.min ?? 0, 0);
      const rows = given.length >= least ? given : [...given, ...Array.from({ length: least - given.length }, (): TypedFields => ({ id: reader.newRowId() }))];
      parts.push({
        kind: 'repeat',
        ...heading,
        relation: repeat.relation,
        label: repeat.label,
        min: least,
        max: repeat.max ?? 50,
        rows: rows.map((typed, index) => {
          const row = parsedRow(owner, typed);
          const shown = repeat.fields.filter((field) => reader.isFieldVisible(field, row, owner));
          const id = rowId(typed);
          const place = { name: `${repeat.relation}.${String(index)}.`, path: `${repeat.relation}/${id}/`, others };
          return {
            index,
            id,
            contested: others[`${repeat.relation}/${id}`] !== undefined,
            questions: shown.map((field) => question(reader, owner, field, typed, row, place)),
          };
        }),
      });
    }
    if (section.document !== undefined) {
      const { document } = section;
      parts.push({
        kind: 'document',
        title: heading.title,
        help: document.help ?? heading.help,
        type: document.type,
        label: document.label,
        required: document.required === true,
        accept: document.accept ?? ['application/pdf', 'image/png', 'image/jpeg'],
        given: data.documents[document.type] ?? null,
      });
    }
  }
  return parts;
}

/** All visible pages with their questions and what has been typed, for any renderer. */
export function viewPages(reader: FormReader, data: DraftData): readonly FormPageView[] {
  return reader.pages.map((page, index) => ({ name: page.name, title: page.title, number: index + 1, parts: partsOf(reader, page, data) }));
}

/** Where a page stands in the task list. */
export function pageStatus(submission: Submission, page: FormPageView, hasErrors: boolean): PageStatus {
  if (!submission.visited.includes(page.name)) return 'not-started';
  return hasErrors ? 'in-progress' : 'done';
}
