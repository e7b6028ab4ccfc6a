import type { FormPageView, PageInput, Typed, TypedFields } from '../../platform/forms/types.ts';

function texts(value: unknown): readonly string[] {
  if (typeof value === 'string') return [value];
  return Array.isArray(value) ? value.filter((entry) => typeof entry === 'string') : [];
}

/**
 * What the browser sent for one page, untouched. Only the page's own inputs are taken; an unticked group of check boxes
 * is an answer too. Rows of a repeating group are named `relation.index.field`.
 */
export function typedInput(page: FormPageView, body: Readonly<Record<string, unknown>>): PageInput {
  const fields: Record<string, Typed> = {};
  const repeats: Record<string, TypedFields[]> = {};
  for (const part of page.parts) {
    if (part.kind === 'fields') {
      for (const question of part.questions) {
        const sent = texts(body[question.name]);
        fields[question.field] = question.control === 'checkboxes' ? sent : (sent[0] ?? '');
      }
    } else if (part.kind === 'repeat') {
      repeats[part.relation] = part.rows.map((row) => {
        const typed: Record<string, Typed> = {};
        const id = texts(body[`${part.relation}.${String(row.index)}.id`])[0];
        if (id !== undefined && id !== '') typed['id'] = id;
        for (const question of row.questions) {
          const sent = texts(body[question.name]);
          typed[question.field] = question.control === 'checkboxes' ? sent : (sent[0] ?? '');
        }
        return typed;
      });
    }
  }
  return { fields, repeats };
}

/** The page's input after a button "Add another" or "Remove" was pressed (`add:relation`, `remove:relation:index`). */
export function withRepeatAction(input: PageInput, action: string): PageInput {
  const [verb, relation = '', index = ''] = action.split(':');
  const rows = input.repeats[relation];
  if (rows === undefined) return input;
  if (verb === 'add') return { ...input, repeats: { ...input.repeats, [relation]: [...rows, {}] } };
  if (verb === 'remove') return { ...input, repeats: { ...input.repeats, [relation]: rows.filter((_, position) => String(position) !== index) } };
  return input;
}
