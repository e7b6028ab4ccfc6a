import { checkPage } from '../../platform/forms/check.ts';
import { dayText } from '../../platform/forms/controls.ts';
import { isSame, seenOn } from '../../platform/forms/seen.ts';
import type { OpenForm } from '../../platform/forms/submissions.ts';
import type { AppError } from '../../platform/errors.ts';
import type { FormError, FormPageView, PageInput, Question, Typed } from '../../platform/forms/types.ts';
import type { FormPage } from '../../platform/metadata/screen-types.ts';
import type { LinkCall, PortalDeps } from './types.ts';
import { answersOf, inputId, pageShape, pageView } from './view.ts';

const STATUS_WORDS = { 'not-started': 'Not started', 'in-progress': 'In progress', done: 'Done' } as const;

/** The time of an instant on the plan's clock; null for none. */
export function clockTime(call: LinkCall, instant: string | null): string | null {
  if (instant === null) return null;
  return new Intl.DateTimeFormat('en-US', { timeStyle: 'short', timeZone: call.context.model.calendarLookup.planZone }).format(new Date(instant));
}

/** True when something on the page is asked only for some answers. */
function isConditional(page: FormPage | undefined): boolean {
  return (page?.sections ?? []).some(
    (section) =>
      section.visibleWhen !== undefined ||
      [...(section.fields ?? []), ...(section.repeat?.fields ?? [])].some((field) => field.visibleWhen !== undefined || field.requiredWhen !== undefined),
  );
}

/** One page of the form with what has been typed. `view` goes on with a view of the page that has sent already. */
export function drawPage(
  deps: PortalDeps,
  call: LinkCall,
  opened: OpenForm,
  page: FormPageView,
  errors: readonly FormError[],
  view: string = deps.newId(),
): string {
  const total = opened.pages.length;
  return deps.render.page('page', {
    ...pageView(page, total, errors),
    base: call.base,
    draft: opened.submission.id,
    seen: JSON.stringify(seenOn(page, view)),
    shape: pageShape(page, total),
    conditional: isConditional(opened.reader.form.pages.find((entry) => entry.name === page.name)),
    savedAt: clockTime(call, opened.submission.updatedAt),
  });
}

/** What a page in a browser needs to know after a save: the time, what it now shows, and its questions where they are others than it holds. */
export function drawSaved(
  deps: PortalDeps,
  call: LinkCall,
  opened: OpenForm,
  page: FormPageView | null,
  sent: { readonly input: PageInput; readonly shape: string; readonly view: string },
): Readonly<Record<string, unknown>> {
  const savedAt = clockTime(call, opened.submission.updatedAt);
  if (page === null) return { savedAt, seen: null, shape: null, html: null };
  const total = opened.pages.length;
  const shape = pageShape(page, total);
  const seen = seenOn(page, sent.view);
  const isShown = shape === sent.shape && isAsSent(page, sent.input);
  return { savedAt, seen: JSON.stringify(seen), shape, html: isShown ? null : deps.render.part('live', { ...pageView(page, total, []) }) };
}

/** True when every answer of the page stands as the browser sent it. */
function isAsSent(page: FormPageView, { fields, repeats }: PageInput): boolean {
  const same = (typed: Typed | undefined, question: Question): boolean => typed !== undefined && isSame(typed, question.value);
  return page.parts.every((part) => {
    switch (part.kind) {
      case 'fields':
        return part.questions.every((question) => same(fields[question.field], question));
      case 'repeat':
        return part.rows.every((row) => {
          const typed = repeats[part.relation]?.[row.index];
          return typed !== undefined && typed['id'] === row.id && row.questions.every((question) => same(typed[question.field], question));
        });
      case 'document':
        return true;
    }
  });
}

/** The list of all pages with where each stands. */
export function drawTasks(deps: PortalDeps, call: LinkCall, opened: OpenForm): string {
  const pages = opened.pages.map((page) => {
    const status = !opened.submission.visited.includes(page.name) ? 'not-started' : checkPage(opened.reader, page).length > 0 ? 'in-progress' : 'done';
    return { name: page.name, title: page.title, status, statusLabel: STATUS_WORDS[status] };
  });
  const unfinished = pages.find((page) => page.status !== 'done');
  const returned = opened.record[opened.reader.form.status?.notice ?? ''];
  return deps.render.page('tasks', {
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

/** All answers for reading over before they are sent. */
export function drawCheck(deps: PortalDeps, call: LinkCall, opened: OpenForm, errors: readonly FormError[], attestation: string): string {
  const own = errors.find((error) => error.name === 'attestation');
  return deps.render.page('check', {
    title: 'Check your answers',
    base: call.base,
    hasErrors: errors.length > 0,
    errors: errors.map((error) => ({
      message: error.message,
      href: error.page === '' ? `#${error.name}` : `${call.base}/page/${error.page}?check=1#${inputId(error.name)}`,
    })),
    editable: opened.editable,
    version: opened.submission.version,
    pages: opened.pages.map((page) => ({ name: page.name, title: page.title, answers: answersOf(page) })),
    attestation: opened.reader.form.attestation?.text ?? null,
    attestationError: own?.message ?? null,
    attestationValue: attestation,
  });
}

/** What is wrong with a form that was to be sent. */
export function formErrors(error: AppError): readonly FormError[] {
  if (error.code === 'conflict_version') return [{ page: '', name: 'answers', label: '', message: `${error.message} They stand below as they are now.` }];
  const list = error.extra['form'];
  if (Array.isArray(list)) return list.filter((entry): entry is FormError => typeof entry === 'object' && entry !== null && 'message' in entry);
  return error.errors.map((entry) => ({
    page: '',
    name: entry.pointer.slice(1),
    label: '',
    message: entry.fix === undefined ? entry.detail : `${entry.detail} ${entry.fix}`,
  }));
}
