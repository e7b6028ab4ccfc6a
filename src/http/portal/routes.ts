import { join } from 'node:path';
import { Router, urlencoded, type Request, type RequestHandler, type Response } from 'express';
import type { Knex } from 'knex';
import multer from 'multer';
import type { CallContext, Principal } from '../../platform/access/types.ts';
import { AppError, isAppError } from '../../platform/errors.ts';
import type { FileStore } from '../../platform/files/types.ts';
import { checkPage } from '../../platform/forms/check.ts';
import { dayText } from '../../platform/forms/controls.ts';
import { signDocument, signingForm } from '../../platform/forms/signing.ts';
import { pageErrors, type Forms, type FormsDeps, type OpenForm } from '../../platform/forms/submissions.ts';
import type { FormError, FormPageView } from '../../platform/forms/types.ts';
import { linkPrincipal, openPortalLink } from '../../platform/identity/portal-links.ts';
import type { PortalLink } from '../../platform/identity/portal-link.sql.ts';
import { packageRoot } from '../../platform/root.ts';
import { requestIdOf } from '../request-id.ts';
import { rememberLink, requireSameOrigin, secretOf } from './links.ts';
import type { RenderPage } from './render.ts';
import { statusView } from './status.ts';
import { typedInput, withRepeatAction } from './typed-input.ts';
import { answersOf, inputId, pageView } from './view.ts';

const MAX_UPLOAD_BYTES = 10 * 1024 * 1024;

export interface PortalDeps extends FormsDeps {
  readonly db: Knex;
  readonly forms: Forms;
  readonly files: FileStore;
  readonly render: RenderPage;
  readonly secureCookies: boolean;
  contextFor(principal: Principal, requestId: string): Promise<CallContext>;
  /** Takes an address out of campaign mail; answers false for an unknown token. */
  unsubscribe(token: string): Promise<boolean>;
}

interface LinkCall {
  readonly link: PortalLink;
  readonly form: string;
  readonly context: CallContext;
  readonly base: string;
}

const STATUS_WORDS = { 'not-started': 'Not started', 'in-progress': 'In progress', done: 'Done' } as const;

/** The time of an instant on the plan's clock. */
function clockTime(call: LinkCall, instant: string): string {
  return new Intl.DateTimeFormat('en-US', { timeStyle: 'short', timeZone: call.context.model.calendarLookup.planZone }).format(new Date(instant));
}

function body(request: Request): Readonly<Record<string, unknown>> {
  const sent: unknown = request.body;
  return typeof sent === 'object' && sent !== null ? Object.fromEntries(Object.entries(sent)) : {};
}

function text(request: Request, name: string): string {
  const value = body(request)[name];
  return typeof value === 'string' ? value : '';
}

async function linkCallOf(deps: PortalDeps, request: Request): Promise<LinkCall> {
  const linkId = String(request.params['link']);
  const probe = await deps.contextFor({ kind: 'guest' }, requestIdOf(request));
  const link = await openPortalLink(deps.db, secretOf(request, linkId), probe.now);
  if (link.id !== linkId || !link.purpose.startsWith('form:')) throw new AppError('not_found', 'This link does not open a form.');
  const context: CallContext = { ...probe, principal: linkPrincipal(link) };
  return { link, form: link.purpose.slice('form:'.length), context, base: `/portal/${linkId}` };
}

async function openForm(deps: PortalDeps, call: LinkCall): Promise<OpenForm> {
  return deps.forms.open(deps.db, call.context, call.form, call.link.recordId);
}

function pageOf(opened: OpenForm, name: string): FormPageView {
  const page = opened.pages.find((entry) => entry.name === name);
  if (page === undefined) throw new AppError('not_found', 'This part is not asked for with the answers so far. Go back to the list of parts.');
  return page;
}

function drawPage(deps: PortalDeps, call: LinkCall, opened: OpenForm, page: FormPageView, errors: readonly FormError[], savedAt: string | null): string {
  const ids = (relation: string, index: number): string => {
    const id = opened.submission.data.repeats[relation]?.[index]?.['id'];
    return typeof id === 'string' ? id : '';
  };
  return deps.render('page', { ...pageView(page, errors, ids), base: call.base, total: opened.pages.length, savedAt });
}

function drawTasks(deps: PortalDeps, call: LinkCall, opened: OpenForm): string {
  const pages = opened.pages.map((page) => {
    const status = !opened.submission.visited.includes(page.name) ? 'not-started' : checkPage(opened.reader, page).length > 0 ? 'in-progress' : 'done';
    return { name: page.name, title: page.title, status, statusLabel: STATUS_WORDS[status] };
  });
  const unfinished = pages.find((page) => page.status !== 'done');
  const returned = opened.record[opened.reader.form.status?.notice ?? ''];
  return deps.render('tasks', {
    title: opened.reader.form.title,
    base: call.base,
    pages,
    returned: typeof returned === 'string' ? returned : null,
    done: pages.filter((page) => page.status === 'done').length,
    total: pages.length,
    begun: opened.submission.visited.length > 0,
    next:
      opened.submission.lastPage !== null && pages.some((page) => page.name === opened.submission.lastPage && page.status !== 'done')
        ? opened.submission.lastPage
        : (unfinished?.name ?? pages[0]?.name ?? ''),
    ready: unfinished === undefined,
    expires: dayText(call.link.expiresAt.slice(0, 10)),
  });
}

function drawCheck(deps: PortalDeps, call: LinkCall, opened: OpenForm, errors: readonly FormError[], attestation: string): string {
  const own = errors.find((error) => error.name === 'attestation');
  return deps.render('check', {
    title: 'Check your answers',
    base: call.base,
    hasErrors: errors.length > 0,
    errors: errors.map((error) => ({
      message: error.message,
      href: error.page === '' ? `#${error.name}` : `${call.base}/page/${error.page}?check=1#${inputId(error.name)}`,
    })),
    editable: opened.editable,
    pages: opened.pages.map((page) => ({ name: page.name, title: page.title, answers: answersOf(page) })),
    attestation: opened.reader.form.attestation?.text ?? null,
    attestationError: own?.message ?? null,
    attestationValue: attestation,
  });
}

function formErrors(error: AppError): readonly FormError[] {
  const list = error.extra['form'];
  if (Array.isArray(list)) return list.filter((entry): entry is FormError => typeof entry === 'object' && entry !== null && 'message' in entry);
  return error.errors.map((entry) => ({
    page: '',
    name: entry.pointer.slice(1),
    label: '',
    message: entry.fix === undefined ? entry.detail : `${entry.detail} ${entry.fix}`,
  }));
}

/** Where to go on after a button inside the page was pressed: the row that was added, else the group it belongs to. */
function placeOf(page: FormPageView, action: string): string {
  const [verb, relation = ''] = action.split(':');
  const part = page.parts.find((entry) => entry.kind === 'repeat' && entry.relation === relation);
  if (part?.kind !== 'repeat') return '';
  const first = verb === 'add' ? part.rows.at(-1)?.questions[0] : undefined;
  return `#${inputId(first?.name ?? relation)}`;
}

async function drawSign(
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
  return deps.render('sign', {
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

/** Lets a body be read only from our own pages and for a link that is good: nobody else makes us hold their files. */
function knownLink(deps: PortalDeps): RequestHandler {
  return async (request, _response, next) => {
    requireSameOrigin(request);
    await linkCallOf(deps, request);
    next();
  };
}

/** Reads a multipart form. Anything else is refused: taken for an empty form it would wipe out the answers of the page. */
function multipart(read: RequestHandler): RequestHandler {
  return (request, response, next) => {
    const again = 'Go back and send the form again.';
    if (request.is('multipart/form-data') === false)
      return next(new AppError('unsupported_media_type', `The form came in a shape that this page does not take. ${again}`));
    return read(request, response, (error: unknown) => {
      const isKnown = error === undefined || (error instanceof Error && error.name === 'MulterError');
      next(isKnown ? error : new AppError('bad_request', `The form did not arrive whole. ${again}`, { cause: error }));
    });
  };
}

/** Pages for people outside the plan: personal links, forms, signing, unsubscribing. They work without script. */
export function makePortalRoutes(deps: PortalDeps): Router {
  const router = Router();
  const upload = multer({ storage: multer.memoryStorage(), limits: { fileSize: MAX_UPLOAD_BYTES, files: 5, fields: 2000, fieldSize: 256 * 1024 } });
  const plain = urlencoded({ extended: false, limit: '256kb', parameterLimit: 2000 });
  const known = knownLink(deps);
  const asset = (file: string) => (_request: Request, response: Response) =>
    response.sendFile(join(packageRoot(), 'templates', 'portal', file), { maxAge: '1h' });

  router.get('/assets/portal.css', asset('portal.css'));
  router.get('/assets/portal.js', asset('portal.js'));

  router.get('/unsubscribe/:token', (request, response) => {
    const action = `/portal/unsubscribe/${encodeURIComponent(request.params.token)}`;
    response.send(
      deps.render('message', {
        title: 'Stop these mails',
        message: 'Press the button and we will not write to this address about joining our network again.',
        action,
        actionLabel: 'Stop these mails',
      }),
    );
  });
  router.post('/unsubscribe/:token', plain, async (request, response) => {
    if (!(await deps.unsubscribe(request.params.token)))
      throw new AppError('not_found', 'This link is not known. Write to us and we will take you off the list.');
    response.send(
      deps.render('message', { title: 'Done', message: 'We will not write to this address about joining our network again.', action: null, actionLabel: null }),
    );
  });

  router.get('/start/:secret', async (request, response) => {
    const { now } = await deps.contextFor({ kind: 'guest' }, requestIdOf(request));
    const link = await openPortalLink(deps.db, request.params.secret, now);
    rememberLink(response, link.id, request.params.secret, link.expiresAt, deps.secureCookies);
    response.redirect(303, `/portal/${link.id}`);
  });

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

  router.post('/:link/page/:page/autosave', known, multipart(upload.none()), async (request, response) => {
    const call = await linkCallOf(deps, request);
    const name = String(request.params['page']);
    const page = pageOf(await openForm(deps, call), name);
    const saved = await deps.forms.savePage(deps.db, call.context, call.form, call.link.recordId, name, typedInput(page, body(request)), false);
    response.json({ savedAt: clockTime(call, saved.submission.updatedAt) });
  });

  router.post('/:link/page/:page', known, multipart(upload.any()), async (request, response) => {
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
  router.post('/:link/check', known, plain, async (request, response) => {
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

  router.get('/:link/document', async (request, response) => {
    const call = await linkCallOf(deps, request);
    const { form, signing } = signingForm(call.context, call.form);
    const record = await deps.reader.get(deps.db, call.context, form.object, call.link.recordId, {});
    const fileId = record[signing.document];
    if (typeof fileId !== 'string') throw new AppError('not_found', 'The document is not ready yet.');
    const bytes = await deps.files.read(deps.db, fileId);
    response.type('application/pdf').setHeader('Content-Disposition', 'inline; filename="document.pdf"').send(Buffer.from(bytes));
  });
  router.post('/:link/sign', known, plain, async (request, response) => {
    const call = await linkCallOf(deps, request);
    const typed = { name: text(request, 'name'), title: text(request, 'title'), consent: text(request, 'consent') === 'yes' };
    const signer = {
      ...typed,
      address: request.ip ?? '',
      userAgent: request.headers['user-agent'] ?? '',
      party: 'portal' as const,
      seenHash: text(request, 'seenHash'),
    };
    try {
      await signDocument(deps, deps.db, call.context, call.form, call.link.recordId, signer);
      response.redirect(303, call.base);
    } catch (error) {
      if (!isAppError(error)) throw error;
      const errors = new Map(error.errors.length > 0 ? error.errors.map((entry) => [entry.pointer.slice(1), entry.detail]) : [['main', error.message]]);
      response.status(422).send(await drawSign(deps, call, typed, errors));
    }
  });

  return router;
}
