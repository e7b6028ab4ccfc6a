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

function questionView(question: Question, errors: readonly FormError[]): View {
  const error = errors.find((entry) => entry.name === question.name)?.message ?? null;
  const group = question.control === 'radios' || question.control === 'checkboxes' || question.control === 'yesno';
  const chosen = typeof question.value === 'string' ? [question.value] : question.value;
  const options = question.control === 'yesno' ? YES_NO : question.options;
  const described = [question.help === null ? '' : `${inputId(question.name)}-hint`, error === null ? '' : `${inputId(question.name)}-error`].filter(
    (id) => id !== '',
  );
  return {
    name: question.name,
    label: question.label,
    help: question.help,
    required: question.required,
    error,
    group,
    isSelect: question.control === 'select',
    isArea: question.control === 'textarea',
    inputType: INPUT_TYPES[question.control],
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

function partView(part: FormPart, errors: readonly FormError[], recordIds: (relation: string, index: number) => string): View {
  const kinds = {
    isFields: part.kind === 'fields',
    isRepeat: part.kind === 'repeat',
    isDocument: part.kind === 'document',
    title: part.title,
    help: part.help,
  };
  switch (part.kind) {
    case 'fields':
      return { ...kinds, questions: part.questions.map((question) => questionView(question, errors)) };
    case 'repeat':
      return {
        ...kinds,
        relation: part.relation,
        label: part.label,
        labelLower: part.label.toLowerCase(),
        error: errors.find((entry) => entry.name === part.relation)?.message ?? null,
        removable: part.rows.length > part.min,
        addable: part.rows.length < part.max,
        rows: part.rows.map((row) => ({
          index: row.index,
          recordId: recordIds(part.relation, row.index),
          questions: row.questions.map((question) => questionView(question, errors)),
        })),
      };
    case 'document':
      return {
        ...kinds,
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
export function pageView(page: FormPageView, errors: readonly FormError[], recordIds: (relation: string, index: number) => string): View {
  return {
    name: page.name,
    title: page.title,
    number: page.number,
    hasErrors: errors.length > 0,
    errors: errors.map((error) => ({ message: error.message, href: `#${inputId(error.name)}` })),
    parts: page.parts.map((part) => partView(part, errors, recordIds)),
  };
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
