import { createHash } from 'node:crypto';
import { digestOf } from '../../platform/forms/seen.ts';
import type { FormError, FormPageView, FormPart, Question } from '../../platform/forms/types.ts';

type View = Readonly<Record<string, unknown>>;

const INPUT_TYPES: Readonly<Record<Question['control'], string>> = {
  text: 'text',
  textarea: 'text',
  number: 'text',
  date: 'date',
  time: 'time',
  datetime: 'datetime-local',
  email: 'email',
  tel: 'tel',
  url: 'url',
  select: 'text',
  radios: 'radio',
  checkboxes: 'checkbox',
  yesno: 'radio',
};

const YES_NO = [
  { value: 'true', label: 'Yes' },
  { value: 'false', label: 'No' },
];

const AUTOCOMPLETE: Readonly<Record<string, string>> = { email: 'email', tel: 'tel', url: 'url' };

export function inputId(name: string): string {
  return name.replaceAll('.', '-');
}

/** What a browser's own date and time inputs can hold; they show anything else as empty. */
const HELD_BY: Readonly<Partial<Record<Question['control'], RegExp>>> = {
  date: /^\d{4}-\d{2}-\d{2}$/,
  time: /^\d{2}:\d{2}(:\d{2})?$/,
  datetime: /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2})?$/,
};

/** The type of the input: a plain one where a richer one would drop what was typed. */
function inputTypeOf({ control, value }: Question): string {
  const held = HELD_BY[control];
  return held === undefined || typeof value !== 'string' || value === '' || held.test(value) ? INPUT_TYPES[control] : 'text';
}

/** A mark of how something is drawn: whoever holds the same one need not draw it anew. */
function shapeOf(...drawn: readonly unknown[]): string {
  return createHash('sha256').update(JSON.stringify(drawn)).digest('base64url').slice(0, 12);
}

function questionView(question: Question, errors: readonly FormError[]): View {
  const error = errors.find((entry) => entry.name === question.name)?.message ?? null;
  const group = question.control === 'radios' || question.control === 'checkboxes' || question.control === 'yesno';
  const chosen = typeof question.value === 'string' ? [question.value] : question.value;
  const options = question.control === 'yesno' ? YES_NO : question.options;
  const described = [question.help === null ? '' : `${inputId(question.name)}-hint`, error === null ? '' : `${inputId(question.name)}-error`].filter(
    (id) => id !== '',
  );
  const inputType = inputTypeOf(question);
  const { name, path, label, help, required, others } = question;
  return {
    path,
    shape: shapeOf(name, label, help, required, others, options, inputType),
    others: others.map((other) => ({ display: other.display, digest: digestOf(other.value) })),
    display: question.display,
    name: question.name,
    label: question.label,
    help: question.help,
    required: question.required,
    error,
    group,
    isSelect: question.control === 'select',
    isArea: question.control === 'textarea',
    inputType,
    inputMode: question.control === 'number' ? 'decimal' : null,
    autocomplete: AUTOCOMPLETE[question.control] ?? null,
    width:
      question.control === 'date' || question.control === 'number' || question.control === 'tel' || (question.maxLength !== null && question.maxLength <= 20)
        ? 'short'
        : '',
    describedBy: described.length > 0 ? described.join(' ') : null,
    value: typeof question.value === 'string' ? question.value : question.value.join(', '),
    choices: options.map((option, index) => ({ ...option, checked: chosen.includes(option.value), first: index === 0 })),
  };
}

function size(bytes: number): string {
  return bytes < 1_048_576 ? `${String(Math.max(1, Math.round(bytes / 1024)))} KB` : `${(bytes / 1_048_576).toFixed(1)} MB`;
}

function partView(part: FormPart, errors: readonly FormError[]): View {
  const kinds = {
    isFields: part.kind === 'fields',
    isRepeat: part.kind === 'repeat',
    isDocument: part.kind === 'document',
    title: part.title,
    help: part.help,
  };
  switch (part.kind) {
    case 'fields':
      return { ...kinds, block: `fields:${part.title ?? ''}`, questions: part.questions.map((question) => questionView(question, errors)) };
    case 'repeat':
      return {
        ...kinds,
        block: `repeat:${part.relation}`,
        relation: part.relation,
        label: part.label,
        labelLower: part.label.toLowerCase(),
        error: errors.find((entry) => entry.name === part.relation)?.message ?? null,
        removable: part.rows.length > part.min,
        addable: part.rows.length < part.max,
        rows: part.rows.map((row) => ({
          index: row.index,
          rowId: row.id,
          contested: row.contested,
          error: errors.find((entry) => entry.name === `${part.relation}.${String(row.index)}`)?.message ?? null,
          questions: row.questions.map((question) => questionView(question, errors)),
        })),
      };
    case 'document':
      return {
        ...kinds,
        block: `document:${part.type}`,
        shape: shapeOf(part.label, part.required, part.given),
        type: part.type,
        label: part.label,
        required: part.required,
        acceptList: part.accept.join(','),
        error: errors.find((entry) => entry.name === `document.${part.type}`)?.message ?? null,
        given: part.given === null ? null : { name: part.given.name, size: size(part.given.size) },
      };
  }
}

/** A page's questions and complaints as the template draws them. */
export function pageView(page: FormPageView, total: number, errors: readonly FormError[]): View {
  return {
    name: page.name,
    title: page.title,
    number: page.number,
    total,
    hasErrors: errors.length > 0,
    errors: errors.map((error) => ({ message: error.message, href: `#${inputId(error.name)}` })),
    parts: page.parts.map((part) => partView(part, errors)),
  };
}

/** Which questions a page asks, and how: answers and complaints left out. */
export function pageShape(page: FormPageView, total: number): string {
  const bare = (question: Question): unknown => ({ ...question, value: inputTypeOf(question), display: '' });
  return shapeOf(
    total,
    page.number,
    page.parts.map((part) => {
      switch (part.kind) {
        case 'fields':
          return { ...part, questions: part.questions.map(bare) };
        case 'repeat':
          return { ...part, rows: part.rows.map((row) => ({ ...row, questions: row.questions.map(bare) })) };
        case 'document':
          return part;
      }
    }),
  );
}

/** Label and answer of everything on a page, for checking before it is sent. */
export function answersOf(page: FormPageView): readonly { readonly label: string; readonly value: string }[] {
  return page.parts.flatMap((part) => {
    switch (part.kind) {
      case 'fields':
        return part.questions.map((question) => ({ label: question.label, value: question.display }));
      case 'repeat':
        return part.rows.flatMap((row) =>
          row.questions.map((question) => ({ label: `${part.label} ${String(row.index + 1)}: ${question.label}`, value: question.display })),
        );
      case 'document':
        return [{ label: part.label, value: part.given?.name ?? '' }];
    }
  });
}
