import { parseTyped } from './parse.ts';
import { fieldOf, viewPages, type FormReader } from './pages.ts';
import { isBlank } from './seen.ts';
import type { DraftData, FormError, FormPageView, Question } from './types.ts';

/** A label as it stands inside a sentence: "CAQH number" stays, "First name" becomes "first name". */
function inSentence(label: string): string {
  const [first = '', second = ''] = label;
  return second === second.toUpperCase() && second !== second.toLowerCase() ? label : first.toLowerCase() + label.slice(1);
}

function missing(question: Question): string {
  if (question.label.endsWith('?')) return `Answer the question: ${question.label}`;
  const label = inSentence(question.label);
  switch (question.control) {
    case 'radios':
    case 'select':
      return `Select ${label}`;
    case 'checkboxes':
      return `Select at least one: ${label}`;
    case 'yesno':
      return `Select yes or no: ${label}`;
    case 'text':
    case 'textarea':
    case 'number':
    case 'date':
    case 'time':
    case 'datetime':
    case 'email':
    case 'tel':
    case 'url':
      return `Enter ${label}`;
  }
}

function checkQuestion(reader: FormReader, relation: string | null, question: Question): string | null {
  if (question.others.length > 0) return `Choose one of the answers that were given: ${inSentence(question.label)}`;
  if (isBlank(question.value)) return question.required ? missing(question) : null;
  const owner = relation === null ? reader.object : reader.related(relation).object;
  const parsed = parseTyped(owner, fieldOf(owner, question.field), question.value);
  return parsed.ok ? null : `${question.label}: ${parsed.message}`;
}

/** Complaints about one page as it stands; empty when it may be left behind. */
export function checkPage(reader: FormReader, page: FormPageView): readonly FormError[] {
  const errors: FormError[] = [];
  const complain = (name: string, label: string, message: string | null): void => {
    if (message !== null) errors.push({ page: page.name, name, label, message });
  };
  for (const part of page.parts) {
    switch (part.kind) {
      case 'fields':
        for (const question of part.questions) complain(question.name, question.label, checkQuestion(reader, null, question));
        break;
      case 'repeat':
        if (part.rows.length < part.min) complain(part.relation, part.label, `Add at least ${String(part.min)}: ${inSentence(part.label)}`);
        if (part.rows.length > part.max) complain(part.relation, part.label, `Remove some, at most ${String(part.max)}: ${inSentence(part.label)}`);
        for (const row of part.rows) {
          if (row.contested) {
            const label = `${inSentence(part.label)} ${String(row.index + 1)}`;
            complain(`${part.relation}.${String(row.index)}`, part.label, `Keep or remove ${label}: it was removed on one device and changed on another`);
          }
          for (const question of row.questions) complain(question.name, question.label, checkQuestion(reader, part.relation, question));
        }
        break;
      case 'document':
        if (part.required && part.given === null) complain(`document.${part.type}`, part.label, `Upload ${inSentence(part.label)}`);
        break;
    }
  }
  return errors;
}

/** Complaints about the whole form, page by page, the attestation last. */
export function checkForm(reader: FormReader, data: DraftData): readonly FormError[] {
  return viewPages(reader, data).flatMap((page) => checkPage(reader, page));
}
