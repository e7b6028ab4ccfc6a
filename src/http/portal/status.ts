import type { CallContext } from '../../platform/access/types.ts';
import { dayText, displayTyped } from '../../platform/forms/controls.ts';
import { typeValue } from '../../platform/forms/parse.ts';
import type { OpenForm } from '../../platform/forms/submissions.ts';
import type { PortalDeps } from './types.ts';

type View = Readonly<Record<string, unknown>>;

/** The days on which the record entered each state, from its history. */
async function entries(deps: PortalDeps, context: CallContext, opened: OpenForm, field: string): Promise<ReadonlyMap<string, string>> {
  const found = new Map<string, string>();
  for (const row of await deps.reader.history(deps.db, context, opened.submission.object, opened.submission.recordId)) {
    const state = row.changes.find((change) => change.field === field)?.to;
    if (typeof state === 'string' && !found.has(state)) found.set(state, row.at.slice(0, 10));
  }
  return found;
}

/** Where a sent form stands: the record's path with dates, and the facts that the form's metadata names. */
export async function statusView(deps: PortalDeps, context: CallContext, opened: OpenForm): Promise<View> {
  const { form, object } = opened.reader;
  const path = object.path;
  const current = path === null ? null : opened.record[path.field];
  const at = path === null ? new Map<string, string>() : await entries(deps, context, opened, path.field);
  const states = (path?.states ?? []).filter((state) => state.kind !== 'lost' || state.name === current);
  const position = states.findIndex((state) => state.name === current);
  const number = form.confirmation?.number === undefined ? null : opened.record[form.confirmation.number];
  return {
    title: form.title,
    hasErrors: false,
    confirmationTitle: form.confirmation?.title ?? 'Sent',
    confirmationBody: form.confirmation?.body ?? '',
    number: typeof number === 'string' ? number : null,
    states: states.map((state, index) => ({
      label: state.label,
      current: index === position,
      class: index < position ? 'past' : index === position ? 'now' : 'ahead',
      at: dayText(at.get(state.name) ?? '') || null,
    })),
    facts: (form.status?.fields ?? []).flatMap((name) => {
      const field = object.fields.get(name);
      const value = opened.record[name];
      return field === undefined || value === null || value === undefined ? [] : [{ label: field.label, value: displayTyped(field, typeValue(field, value)) }];
    }),
    body: form.status?.body ?? null,
    sent: opened.submission.state === 'submitted',
  };
}
