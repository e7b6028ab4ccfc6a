import type { Request, Router } from 'express';
import { AppError, isAppError } from '../../platform/errors.ts';
import { checkPage } from '../../platform/forms/check.ts';
import { pageErrors, type OpenForm } from '../../platform/forms/submissions.ts';
import type { FormError, FormPageView, PageInput, Question, Sender } from '../../platform/forms/types.ts';
import { onModelInForce } from '../../platform/schema/processes.sql.ts';
import { drawCheck, drawPage, drawSaved, drawTasks, formErrors } from './draw.ts';
import { linkCallOf, readThroughLink } from './links.ts';
import { answersAndFiles, answersOnly, body, MAX_UPLOAD_BYTES, plainForm, text } from './read-form.ts';
import { drawSign } from './sign-routes.ts';
import { statusView } from './status.ts';
import { SHAPE, typedInput, VERSION } from './typed-input.ts';
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

/** Where to go on after a button inside the page was pressed: what came, else the group or the answer that it was about. */
function placeOf(page: FormPageView, action: string, sender: Sender | undefined): string {
  const [verb, target = ''] = action.split(':');
  const questions = questionsOf(page);
  const [relation = '', id] = target.split('/');
  const rows = page.parts.flatMap((part) => (part.kind === 'repeat' && part.relation === relation ? part.rows : []));
  const row = rows.find((entry) => entry.id === id);
  const named = (): string | undefined => {
    switch (verb) {
      case 'refresh':
        return questions.find((question) => !wasShown(question, sender))?.name;
      case 'add':
        return rows.at(-1)?.questions[0]?.name ?? relation;
      case 'remove':
        return relation;
      case 'keep':
      case 'take':
        return questions.find((question) => question.path === target)?.name ?? (row === undefined ? relation : `${relation}.${String(row.index)}`);
      default:
        return undefined;
    }
  };
  const name = named();
  return name === undefined ? '' : `#${inputId(name)}`;
}

function wasShown({ path, field }: Question, sender: Sender | undefined): boolean {
  const seen = sender?.seen ?? null;
  const [relation = '', id, name] = path.split('/');
  return seen !== null && (id === undefined || name === undefined ? Object.hasOwn(seen.fields, field) : Object.hasOwn(seen.rows[relation]?.[id] ?? {}, name));
}

function questionsOf(page: FormPageView): readonly Question[] {
  return page.parts.flatMap((part) => {
    switch (part.kind) {
      case 'fields':
        return part.questions;
      case 'repeat':
        return part.rows.flatMap((row) => row.questions);
      case 'document':
        return [];
    }
  });
}

/** The form as it stands, and what the browser sent for one of its pages. */
async function readPage(deps: PortalDeps, request: Request): Promise<{ readonly call: LinkCall; readonly name: string; readonly input: PageInput }> {
  const call = await linkCallOf(deps, request);
  const name = String(request.params['page']);
  const opened = await openForm(deps, call);
  const page = opened.reader.form.pages.find((entry) => entry.name === name);
  if (page === undefined) throw new AppError('not_found', 'This form has no such part. Go back to the list of parts.');
  return { call, name, input: typedInput(opened, page, body(request), text(request, 'action'), deps.newId) };
}

/** Keeps the documents that came with a page; answers the form after that, and what was wrong with some. */
async function keepFiles(
  deps: PortalDeps,
  call: LinkCall,
  request: Request,
  name: string,
  saved: OpenForm,
): Promise<{ readonly opened: OpenForm; readonly problems: readonly FormError[]; readonly isTooLarge: boolean }> {
  const files = Array.isArray(request.files) ? request.files : [];
  const problems: FormError[] = [];
  let opened = saved;
  for (const file of files) {
    const type = file.fieldname.replace(/^document\./, '');
    const complain = (message: string): void => void problems.push({ page: name, name: `document.${type}`, label: file.originalname, message });
    if (file.size > MAX_UPLOAD_BYTES) {
      complain(`${file.originalname} is larger than 10 MB. Choose a smaller one: a photo at lower quality, or fewer pages`);
      continue;
    }
    try {
      const { originalname, mimetype, buffer } = file;
      opened = await deps.forms.upload(deps.db, call.context, call.form, call.link.recordId, { type, name: originalname, mediaType: mimetype, bytes: buffer });
    } catch (error) {
      if (!isAppError(error)) throw error;
      complain(error.message);
    }
  }
  return { opened, problems, isTooLarge: files.some((file) => file.size > MAX_UPLOAD_BYTES) };
}

/** Filling in a form through a personal link: its pages, the check, sending it, and where it stands. */
export function addFormRoutes(router: Router, deps: PortalDeps): void {
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
      response.send(drawPage(deps, call, opened, page, errors));
    }
  });

  router.post('/:link/page/:page/autosave', readThroughLink(deps, answersOnly), async (request, response) => {
    const { call, name, input } = await readPage(deps, request);
    const saved = await deps.forms.savePage(deps.db, call.context, call.form, call.link.recordId, name, input, false);
    const page = saved.pages.find((entry) => entry.name === name) ?? null;
    response.json(drawSaved(deps, call, saved, page, { input, shape: text(request, SHAPE), view: input.sender?.seen?.view ?? deps.newId() }));
  });

  router.post('/:link/page/:page', readThroughLink(deps, answersAndFiles), async (request, response) => {
    const action = text(request, 'action');
    const { call, name, input } = await readPage(deps, request);
    const leave = action === 'continue' || action === '';
    const saved = await deps.forms.savePage(deps.db, call.context, call.form, call.link.recordId, name, input, leave);
    const { opened, problems, isTooLarge } = await keepFiles(deps, call, request, name, saved);
    const page = opened.pages.find((entry) => entry.name === name);
    if (page === undefined) {
      response.redirect(303, call.base);
      return;
    }
    const errors = [...problems, ...(leave ? checkPage(opened.reader, page) : [])];
    const next = opened.pages[opened.pages.indexOf(page) + 1];
    if (errors.length > 0) response.status(isTooLarge ? 413 : 422).send(drawPage(deps, call, opened, page, errors, input.sender?.seen?.view));
    else if (action === 'save') response.redirect(303, call.base);
    else if (leave) response.redirect(303, next === undefined ? `${call.base}/check` : `${call.base}/page/${next.name}`);
    else response.redirect(303, `${call.base}/page/${name}${placeOf(page, action, input.sender)}`);
  });

  router.get('/:link/check', async (request, response) => {
    const call = await linkCallOf(deps, request);
    response.send(drawCheck(deps, call, await openForm(deps, call), [], ''));
  });
  router.post('/:link/check', readThroughLink(deps, plainForm), async (request, response) => {
    const call = await linkCallOf(deps, request);
    const attestation = text(request, 'attestation');
    const version = /^\d{1,9}$/.test(text(request, VERSION)) ? [Number(text(request, VERSION))] : [];
    const submit = async (): Promise<void> => {
      const { context } = await linkCallOf(deps, request);
      await deps.forms.submit(deps.db, context, call.form, call.link.recordId, attestation, ...version);
    };
    try {
      await onModelInForce(submit);
      response.redirect(303, `${call.base}/status?sent=1`);
    } catch (error) {
      if (!isAppError(error)) throw error;
      const opened = await openForm(deps, call);
      // Sent twice, by two presses of the button or from two devices: it was sent, and that is what the page says.
      if (error.code === 'conflict_state' && opened.submission.state === 'submitted') response.redirect(303, `${call.base}/status?sent=1`);
      else if (error.code !== 'validation_failed' && error.code !== 'conflict_version') throw error;
      else response.status(error.code === 'conflict_version' ? 412 : 422).send(drawCheck(deps, call, opened, formErrors(error), attestation));
    }
  });
  router.get('/:link/status', async (request, response) => {
    const call = await linkCallOf(deps, request);
    const opened = await openForm(deps, call);
    response.send(deps.render.page('status', { ...(await statusView(deps, call.context, opened)), base: call.base, justSent: request.query['sent'] === '1' }));
  });
}
