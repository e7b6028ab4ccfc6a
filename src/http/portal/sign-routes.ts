import type { Router } from 'express';
import { AppError, isAppError } from '../../platform/errors.ts';
import { signDocument, signingForm } from '../../platform/forms/signing.ts';
import { onModelInForce } from '../../platform/schema/processes.sql.ts';
import { linkCallOf, readThroughLink } from './links.ts';
import { plainForm, text } from './read-form.ts';
import type { LinkCall, PortalDeps } from './types.ts';

/** The page on which a document is read and signed. */
export async function drawSign(
  deps: PortalDeps,
  call: LinkCall,
  typed: { readonly name: string; readonly title: string; readonly consent: boolean },
  errors: ReadonlyMap<string, string>,
): Promise<string> {
  const { form, signing } = signingForm(call.context, call.form);
  const record = await deps.reader.get(deps.db, call.context, form.object, call.link.recordId, {});
  const path = call.context.model.objects.get(form.object)?.path;
  const state = path === undefined || path === null ? null : String(record[path.field]);
  const transition = path?.transitions.get(signing.transitions.portal ?? '');
  const canSign = transition !== undefined && state !== null && transition.from.includes(state);
  const states = path?.states ?? [];
  const position = states.findIndex((entry) => entry.name === state);
  const signed = !canSign && position >= states.findIndex((entry) => entry.name === transition?.to) && states[position]?.kind !== 'lost';
  return deps.render.page('sign', {
    title: form.title,
    base: call.base,
    lead: canSign || signed ? (form.confirmation?.body ?? '') : '',
    hasErrors: errors.size > 0,
    errors: [...errors].map(([name, message]) => ({ message, href: `#${name}` })),
    version: String(record[signing.version] ?? ''),
    hash: String(record[signing.hash] ?? ''),
    canSign,
    signed,
    waiting: !canSign && !signed,
    stateLabel: states[position]?.label ?? '',
    consent: signing.consent,
    nameValue: typed.name,
    titleValue: typed.title,
    consentValue: typed.consent,
    nameError: errors.get('name') ?? null,
    consentError: errors.get('consent') ?? null,
  });
}

/** Reading and signing a document through a personal link. */
export function addSignRoutes(router: Router, deps: PortalDeps): void {
  router.get('/:link/document', async (request, response) => {
    const call = await linkCallOf(deps, request);
    const { form, signing } = signingForm(call.context, call.form);
    const record = await deps.reader.get(deps.db, call.context, form.object, call.link.recordId, {});
    const fileId = record[signing.document];
    if (typeof fileId !== 'string') throw new AppError('not_found', 'The document is not ready yet.');
    const bytes = await deps.files.read(deps.db, fileId);
    response.type('application/pdf').setHeader('Content-Disposition', 'inline; filename="document.pdf"').send(Buffer.from(bytes));
  });
  router.post('/:link/sign', readThroughLink(deps, plainForm), async (request, response) => {
    const call = await linkCallOf(deps, request);
    const typed = { name: text(request, 'name'), title: text(request, 'title'), consent: text(request, 'consent') === 'yes' };
    const signer = {
      ...typed,
      address: request.ip ?? '',
      userAgent: request.headers['user-agent'] ?? '',
      party: 'portal' as const,
      seenHash: text(request, 'seenHash'),
    };
    const sign = async (): Promise<void> => {
      const { context } = await linkCallOf(deps, request);
      await signDocument(deps, deps.db, context, call.form, call.link.recordId, signer);
    };
    try {
      await onModelInForce(sign);
      response.redirect(303, call.base);
    } catch (error) {
      if (!isAppError(error)) throw error;
      const errors = new Map(error.errors.length > 0 ? error.errors.map((entry) => [entry.pointer.slice(1), entry.detail]) : [['main', error.message]]);
      response.status(422).send(await drawSign(deps, call, typed, errors));
    }
  });
}
