import { Router } from 'express';
import { rightsFor, type Rights } from '../../platform/access/rights.ts';
import { AppError, isAppError } from '../../platform/errors.ts';
import { formOf } from '../../platform/forms/pages.ts';
import { signDocument, signingForm } from '../../platform/forms/signing.ts';
import type { Forms, FormsDeps, OpenForm } from '../../platform/forms/submissions.ts';
import type { TypedFields } from '../../platform/forms/types.ts';
import type { FormFile, FormSection } from '../../platform/metadata/screen-types.ts';
import { bodySchema, readBody } from '../body.ts';
import { handle, ifMatch, param, type Answer, type Call, type CallDeps } from '../call.ts';

export interface FormRouteDeps extends CallDeps, FormsDeps {
  readonly forms: Forms;
}

const TYPED = { type: 'object', additionalProperties: { anyOf: [{ type: 'string' }, { type: 'array', items: { type: 'string' } }] } } as const;

/** Bodies of these routes; the OpenAPI document shows the same schemas. */
export const FORM_BODIES = {
  page: bodySchema<{ readonly fields?: TypedFields; readonly repeats?: Readonly<Record<string, readonly TypedFields[]>>; readonly leave?: boolean }>({
    type: 'object',
    additionalProperties: false,
    properties: { fields: TYPED, repeats: { type: 'object', additionalProperties: { type: 'array', items: TYPED } }, leave: { type: 'boolean' } },
  }),
  submit: bodySchema<{ readonly attestation?: string }>({
    type: 'object',
    additionalProperties: false,
    properties: { attestation: { type: 'string', maxLength: 200 } },
  }),
  sign: bodySchema<{ readonly name: string; readonly title?: string; readonly consent: boolean; readonly seenHash: string | null }>({
    type: 'object',
    additionalProperties: false,
    required: ['name', 'consent', 'seenHash'],
    properties: {
      name: { type: 'string', maxLength: 200 },
      title: { type: 'string', maxLength: 200 },
      consent: { type: 'boolean' },
      seenHash: { type: ['string', 'null'], maxLength: 200 },
    },
  }),
};

function shape(opened: OpenForm): unknown {
  const { submission, pages, errors, editable } = opened;
  const { id, form, recordId, state, version, visited, lastPage, updatedAt, submittedAt } = submission;
  return { id, form, object: submission.object, recordId, state, version, visited, lastPage, updatedAt, submittedAt, editable, pages, errors };
}

/** If-Match may be left out: then what is sent is merged into the draft, and a form that was returned is not sent unread. */
function versionOf({ request }: Call): { readonly version?: number } {
  return request.get('if-match') === undefined ? {} : { version: ifMatch(request) };
}

/** The form after it was worked on. A stale version is answered with the form as it stands. */
async function formAfter(deps: FormRouteDeps, { request, db, context }: Call, work: (form: string, record: string) => Promise<OpenForm>): Promise<Answer> {
  const form = param(request, 'form');
  const record = param(request, 'record');
  try {
    const opened = await work(form, record);
    return { body: { data: shape(opened) }, version: opened.submission.version };
  } catch (error) {
    if (!isAppError(error, 'conflict_version')) throw error;
    const current = shape(await deps.forms.open(db, context, form, record));
    throw new AppError(error.code, error.message, { errors: error.errors, extra: { ...error.extra, current } });
  }
}

/** A form without the questions that the caller may not read: they may not know of them. */
function describeForm(form: FormFile, rights: Rights, rightsOf: (relation: string) => Rights | null): unknown {
  const shown = (section: FormSection): readonly unknown[] => {
    const fields = section.fields?.filter((field) => rights.readable.has(field.field));
    const related = section.repeat === undefined ? null : rightsOf(section.repeat.relation);
    const repeat =
      section.repeat === undefined || related?.canRead !== true
        ? undefined
        : { ...section.repeat, fields: section.repeat.fields.filter((field) => related.readable.has(field.field)) };
    const isLeft = (fields ?? []).length > 0 || repeat !== undefined || section.document !== undefined;
    return isLeft ? [{ ...section, fields, repeat }] : [];
  };
  const pages = form.pages.map((page) => ({ ...page, sections: page.sections.flatMap(shown) }));
  return { ...form, pages: pages.filter((page) => page.sections.length > 0) };
}

/** Generated forms: their description, drafts that accept anything, submission that validates, and signing for the plan. */
export function formRoutes(deps: FormRouteDeps): Router {
  const router = Router({ caseSensitive: true });
  router.get(
    '/forms/:form',
    handle(deps, ({ request, context }) => {
      const { form, object } = formOf(context.model, param(request, 'form'));
      const rights = rightsFor(context, object.name);
      if (!rights.canRead) throw new AppError('not_found', `There is no form named "${form.name}".`);
      const related = (relation: string): Rights | null => {
        const target = object.toMany.get(relation)?.object;
        return target === undefined ? null : rightsFor(context, target);
      };
      return Promise.resolve({ body: { data: describeForm(form, rights, related) } });
    }),
  );
  router.get(
    '/submissions/:form/:record',
    handle(deps, (call) => formAfter(deps, call, (form, record) => deps.forms.open(call.db, call.context, form, record))),
  );
  router.patch(
    '/submissions/:form/:record/pages/:page',
    handle(deps, (call) => {
      const { fields, repeats, leave } = readBody(call.request, FORM_BODIES.page);
      const input = { fields: fields ?? {}, repeats: repeats ?? {}, ...versionOf(call) };
      const page = param(call.request, 'page');
      return formAfter(deps, call, (form, record) => deps.forms.savePage(call.db, call.context, form, record, page, input, leave === true));
    }),
  );
  router.post(
    '/submissions/:form/:record/submit',
    handle(deps, (call) => {
      const { attestation } = readBody(call.request, FORM_BODIES.submit);
      const { version } = versionOf(call);
      return formAfter(deps, call, (form, record) => deps.forms.submit(call.db, call.context, form, record, attestation ?? '', version));
    }),
  );
  router.get(
    '/forms/:form/signing/:record',
    handle(deps, async ({ request, db, context }) => {
      const { form, signing } = signingForm(context, param(request, 'form'));
      const record = await deps.reader.get(db, context, form.object, param(request, 'record'));
      const path = context.model.objects.get(form.object)?.path;
      const transition = path?.transitions.get(signing.transitions.staff ?? '');
      const state = path === undefined || path === null ? undefined : record[path.field];
      const mayMove = transition !== undefined && rightsFor(context, form.object).transitions.has(transition.name);
      const canSign = mayMove && typeof state === 'string' && transition.from.includes(state);
      const part = (field: string): unknown => record[field] ?? null;
      return {
        body: { data: { consent: signing.consent, fileId: part(signing.document), hash: part(signing.hash), version: part(signing.version), canSign } },
      };
    }),
  );
  router.post(
    '/forms/:form/signing/:record',
    handle(deps, async ({ request, db, context }) => {
      const { form, signing } = signingForm(context, param(request, 'form'));
      if (!rightsFor(context, form.object).transitions.has(signing.transitions.staff ?? ''))
        throw new AppError('forbidden', 'You may not sign this for the plan.');
      const { name, title, consent, seenHash } = readBody(request, FORM_BODIES.sign);
      const evidence = { address: request.ip ?? '', userAgent: request.get('user-agent') ?? '', party: 'staff' as const };
      const record = await signDocument(deps, db, context, form.name, param(request, 'record'), {
        name,
        title: title ?? '',
        consent,
        seenHash: seenHash ?? '',
        ...evidence,
      });
      return { body: { data: record }, version: record.version };
    }),
  );
  return router;
}
