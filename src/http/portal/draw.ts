import { checkPage } from '../../platform/forms/check.ts';
import { dayText } from '../../platform/forms/controls.ts';
import type { OpenForm } from '../../platform/forms/submissions.ts';
import type { AppError } from '../../platform/errors.ts';
import type { FormError, FormPageView } from '../../platform/forms/types.ts';
import type { LinkCall, PortalDeps } from './types.ts';
import { answersOf, inputId, pageView } from './view.ts';

const STATUS_WORDS = { 'not-started': 'Not started', 'in-progress': 'In progress', done: 'Done' } as const;

/** The time of an instant on the plan's clock. */
export function clockTime(call: LinkCall, instant: string): string {
  return new Intl.DateTimeFormat('en-US', { timeStyle: 'short', timeZone: call.context.model.calendarLookup.planZone }).format(new Date(instant));
}

/** One page of the form with what has been typed. */
export function drawPage(deps: PortalDeps, call: LinkCall, opened: OpenForm, page: FormPageView, errors: readonly FormError[], savedAt: string | null): string {
  const ids = (relation: string, index: number): string => {
    const id = opened.submission.data.repeats[relation]?.[index]?.['id'];
    return typeof id === 'string' ? id : '';
  };
  return deps.render('page', { ...pageView(page, errors, ids), base: call.base, total: opened.pages.length, savedAt });
}

/** The list of all pages with where each stands. */
export function drawTasks(deps: PortalDeps, call: LinkCall, opened: OpenForm): string {
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

/** All answers for reading over before they are sent. */
export function drawCheck(deps: PortalDeps, call: LinkCall, opened: OpenForm, errors: readonly FormError[], attestation: string): string {
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

/** What is wrong with a form that was to be sent. */
export function formErrors(error: AppError): readonly FormError[] {
  const list = error.extra['form'];
  if (Array.isArray(list)) return list.filter((entry): entry is FormError => typeof entry === 'object' && entry !== null && 'message' in entry);
  return error.errors.map((entry) => ({
    page: '',
    name: entry.pointer.slice(1),
    label: '',
    message: entry.fix === undefined ? entry.detail : `${entry.detail} ${entry.fix}`,
  }));
}
