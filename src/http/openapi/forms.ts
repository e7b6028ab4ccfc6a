import { rightsFor } from '../../platform/access/rights.ts';
import type { CallContext } from '../../platform/access/types.ts';
import { mayFill } from '../../platform/forms/asked.ts';
import type { FormFile } from '../../platform/metadata/screen-types.ts';
import { FORM_BODIES } from '../api/forms.ts';
import { camel, common, dataOf, get, IF_MATCH_DRAFT, inPath, ONCE, patch, post, ref, UUID, type Json } from './parts.ts';

const tag = 'Forms';
const RECORD = inPath('record', UUID);

/** Generated forms, their drafts and their signing. */
export function formPaths(context: CallContext): Json {
  const open = [...context.model.forms.values()].filter((form) => context.model.objects.has(form.object) && rightsFor(context, form.object).canRead);
  return Object.fromEntries(open.flatMap((form) => Object.entries(pathsOf(context, form))));
}

function pathsOf(context: CallContext, form: FormFile): Json {
  const shown = get({ id: `form${camel(form.name)}`, summary: form.title, tag, answer: dataOf(common('Form')) });
  return {
    [`/api/v1/forms/${form.name}`]: shown,
    ...(form.signing === undefined ? fillingPaths(context, form) : signingPaths(context, form, form.signing.transitions.staff ?? '')),
  };
}

function signingPaths(context: CallContext, form: FormFile, transition: string): Json {
  const name = camel(form.name);
  const maySign = rightsFor(context, form.object).transitions.has(transition);
  const sign = {
    id: `sign${name}`,
    summary: `Sign: ${form.title}`,
    tag,
    parameters: [RECORD, ONCE],
    body: FORM_BODIES.sign.schema,
    answer: dataOf(ref(form.object)),
    headers: ['ETag'] as const,
    errors: ['conflict_state', 'validation_failed', 'conflict_version'] as const,
  };
  return {
    [`/api/v1/forms/${form.name}/signing/{record}`]: {
      ...get({ id: `signing${name}`, summary: `${form.title}: the document and who signed`, tag, parameters: [RECORD], answer: dataOf(common('Signing')) }),
      ...(maySign ? post(sign) : {}),
    },
  };
}

function fillingPaths(context: CallContext, form: FormFile): Json {
  if (!mayFill(context, form, 'fill')) return {};
  const name = camel(form.name);
  const base = `/api/v1/submissions/${form.name}/{record}`;
  const answer = dataOf(common('Submission'));
  const page = {
    id: `page${name}`,
    summary: `Save a page of ${form.title}; drafts accept anything`,
    tag,
    parameters: [RECORD, inPath('page'), IF_MATCH_DRAFT],
    body: FORM_BODIES.page.schema,
    answer,
    headers: ['ETag'] as const,
    errors: ['conflict_state', 'conflict_version', 'precondition_required', 'validation_failed'] as const,
  };
  const submit = {
    id: `submit${name}`,
    summary: `Send ${form.title}; everything is checked`,
    tag,
    parameters: [RECORD, IF_MATCH_DRAFT, ONCE],
    body: FORM_BODIES.submit.schema,
    answer,
    headers: ['ETag'] as const,
    errors: ['conflict_state', 'conflict_version', 'validation_failed'] as const,
  };
  return {
    [base]: get({
      id: `submission${name}`,
      summary: `${form.title}, as filled in so far`,
      tag,
      parameters: [RECORD],
      answer,
      headers: ['ETag'],
      errors: ['conflict_state'],
    }),
    [`${base}/pages/{page}`]: patch(page),
    ...(mayFill(context, form, 'submit') ? { [`${base}/submit`]: post(submit) } : {}),
  };
}
