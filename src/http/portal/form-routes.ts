import type { Router } from 'express';
import { AppError, isAppError } from '../../platform/errors.ts';
import { checkPage } from '../../platform/forms/check.ts';
import { pageErrors, type OpenForm } from '../../platform/forms/submissions.ts';
import type { FormError, FormPageView } from '../../platform/forms/types.ts';
import { clockTime, drawCheck, drawPage, drawTasks, formErrors } from './draw.ts';
import { knownLink, linkCallOf } from './links.ts';
import { answersAndFiles, answersOnly, body, plainForm, text } from './read-form.ts';
import { drawSign } from './sign-routes.ts';
import { statusView } from './status.ts';
import { typedInput, withRepeatAction } from './typed-input.ts';
import type { LinkCall, PortalDeps } from './types.ts';
import { inputId } from './view.ts';

async function openForm(deps: PortalDeps, call: LinkCall): Promise<OpenForm> {
  return deps.forms.open(deps.db, call.context, call.form, call.link.recordId);
}

function pageOf(opened: OpenForm, name: string): FormPageView {
  const page = opened.pages.find((entry) => entry.name === name);
  if (page === undefined) throw new AppError('not_found', 'This part is not asked for with the answers so far. Go back to the list of parts.');
  return page;
}

/** Where to go on after a button inside the page was pressed: the row that was added, else the group it belongs to. */
function placeOf(page: FormPageView, action: string): string {
  const [verb, relation = ''] = action.split(':');
  const part = page.parts.find((entry) => entry.kind === 'repeat' && entry.relation === relation);
  if (part?.kind !== 'repeat') return '';
  const first = verb === 'add' ? part.rows.at(-1)?.questions[0] : undefined;
  return `#${inputId(first?.name ?? relation)}`;
}

/** Filling in a form through a personal link: its pages, the check, sending it, and where it stands. */
export function addFormRoutes(router: Router, deps: PortalDeps): void {
  const known = knownLink(deps);
  router.get('/:link', async (request, response) => {
    const call = await linkCallOf(deps, request);
    if (call.context.model.forms.get(call.form)?.signing !== undefined) {
      response.send(await drawSign(deps, call, { name: '', title: '', consent: false }, new Map()));
      return;
    }
    const opened = await openForm(deps, call);
    if (opened.editable) response.send(drawTasks(deps, call, opened));
    else response.redirect(303, `${call.base}/status`);
  });

  router.get('/:link/page/:page', async (request, response) => {
    const call = await linkCallOf(deps, request);
    const opened = await openForm(deps, call);
    if (!opened.editable) response.redirect(303, `${call.base}/status`);
    else {
      const page = pageOf(opened, request.params.page);
      // Complaints are shown to who comes to see them, not to who comes back to go on.
      const errors = request.query['check'] === undefined ? [] : pageErrors(opened, page.name);
      const savedAt = opened.submission.lastPage === null ? null : clockTime(call, opened.submission.updatedAt);
      response.send(drawPage(deps, call, opened, page, errors, savedAt));
    }
  });

  router.post('/:link/page/:page/autosave', known, answersOnly, async (request, response) => {
    const call = await linkCallOf(deps, request);
    const name = String(request.params['page']);
    const page = pageOf(await openForm(deps, call), name);
    const saved = await deps.forms.savePage(deps.db, call.context, call.form, call.link.recordId, name, typedInput(page, body(request)), false);
    response.json({ savedAt: clockTime(call, saved.submission.updatedAt) });
  });

  router.post('/:link/page/:page', known, answersAndFiles, async (request, response) => {
    const call = await linkCallOf(deps, request);
    const name = String(request.params['page']);
    const action = text(request, 'action');
    const before = await openForm(deps, call);
    const input = withRepeatAction(typedInput(pageOf(before, name), body(request)), action);
    const leave = action === 'continue' || action === '';
    let opened = await deps.forms.savePage(deps.db, call.context, call.form, call.link.recordId, name, input, leave);
    const problems: FormError[] = [];
    for (const file of Array.isArray(request.files) ? request.files : []) {
      const type = file.fieldname.replace(/^document\./, '');
      try {
        opened = await deps.forms.upload(deps.db, call.context, call.form, call.link.recordId, {
          type,
          name: file.originalname,
          mediaType: file.mimetype,
          bytes: file.buffer,
        });
      } catch (error) {
        if (!isAppError(error)) throw error;
        problems.push({ page: name, name: `document.${type}`, label: file.originalname, message: error.message });
      }
    }
    const page = pageOf(opened, name);
    const errors = [...problems, ...(leave ? checkPage(opened.reader, page) : [])];
    if (errors.length > 0 || !leave) {
      if (errors.length > 0) response.status(422).send(drawPage(deps, call, opened, page, errors, clockTime(call, opened.submission.updatedAt)));
      else response.redirect(303, action === 'save' ? call.base : `${call.base}/page/${name}${placeOf(page, action)}`);
      return;
    }
    const next = opened.pages[opened.pages.findIndex((entry) => entry.name === name) + 1];
    response.redirect(303, next === undefined ? `${call.base}/check` : `${call.base}/page/${next.name}`);
  });

  router.get('/:link/check', async (request, response) => {
    const call = await linkCallOf(deps, request);
    response.send(drawCheck(deps, call, await openForm(deps, call), [], ''));
  });
  router.post('/:link/check', known, plainForm, async (request, response) => {
    const call = await linkCallOf(deps, request);
    const attestation = text(request, 'attestation');
    try {
      await deps.forms.submit(deps.db, call.context, call.form, call.link.recordId, attestation);
      response.redirect(303, `${call.base}/status?sent=1`);
    } catch (error) {
      if (!isAppError(error, 'validation_failed')) throw error;
      response.status(422).send(drawCheck(deps, call, await openForm(deps, call), formErrors(error), attestation));
    }
  });
  router.get('/:link/status', async (request, response) => {
    const call = await linkCallOf(deps, request);
    const opened = await openForm(deps, call);
    response.send(deps.render('status', { ...(await statusView(deps, call.context, opened)), base: call.base, justSent: request.query['sent'] === '1' }));
  });
}
