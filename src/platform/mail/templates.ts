import { compile } from 'html-to-text';
import { compileTemplate, finishedHtml, type CompiledTemplate } from '../documents/template-engine.ts';
import { AppError } from '../errors.ts';
import type { Model } from '../model/types.ts';
import { oneLine } from './address.ts';

export interface RenderedMail {
  readonly subject: string;
  readonly html: string;
  readonly text: string;
}

/** What the shared layout is given besides the body. */
export interface LayoutData {
  readonly plan: { readonly name: string; readonly address: string; readonly phone: string; readonly url: string };
  /** Link of the one-click page; null in transactional mail. */
  readonly unsubscribeUrl: string | null;
}

interface CompiledMail {
  readonly subject: CompiledTemplate;
  readonly preheader: CompiledTemplate | null;
  readonly body: CompiledTemplate;
  readonly layout: CompiledTemplate;
  readonly plain: CompiledTemplate | null;
}

const FRONT_MATTER = ['subject', 'preheader'];

/**
 * Splits `key: value` lines, a line `---`, and the body (an opening `---` line is allowed).
 * @throws AppError metadata_invalid
 */
export function splitFrontMatter(
  name: string,
  text: string,
  known: readonly string[],
): { readonly values: ReadonlyMap<string, string>; readonly body: string } {
  const match = /^\uFEFF?(?:---\r?\n)?([\s\S]*?)(?:^|\r?\n)---[ \t]*\r?\n([\s\S]*)$/.exec(text);
  const values = new Map<string, string>();
  if (match === null) throw new AppError('metadata_invalid', `Template ${name} must begin with lines such as "${known[0] ?? 'title'}: ..." and a line "---".`);
  for (const line of (match[1] ?? '').split(/\r?\n/).filter((entry) => entry.trim() !== '')) {
    const pair = /^([a-z]+):\s*(.*?)\s*$/.exec(line);
    if (pair?.[1] === undefined || !known.includes(pair[1]))
      throw new AppError(
        'metadata_invalid',
        `Template ${name}: the line "${line}" above "---" is not one of ${known.map((key) => `"${key}: ..."`).join(', ')}.`,
      );
    values.set(pair[1], pair[2] ?? '');
  }
  return { values, body: match[2] ?? '' };
}

function sourceOf(model: Model, name: string): string {
  const text = model.templates.get(name);
  if (text === undefined)
    throw new AppError('rule_failed', `There is no template templates/${name}.hbs.`, {
      errors: [{ pointer: `templates/${name}.hbs`, code: 'unknown_template', detail: 'There is no such template.' }],
    });
  return text;
}

function compileMail(model: Model, name: string): CompiledMail {
  const { values, body } = splitFrontMatter(name, sourceOf(model, name), FRONT_MATTER);
  const subject = values.get('subject');
  if (subject === undefined || subject === '') throw new AppError('metadata_invalid', `Template ${name} has no subject.`);
  const preheader = values.get('preheader');
  const plain = model.templates.get(`${name}.txt`);
  return {
    subject: compileTemplate(name, subject, { escape: false }),
    preheader: preheader === undefined ? null : compileTemplate(name, preheader, { escape: false }),
    body: compileTemplate(name, body, { escape: true }),
    layout: compileTemplate('mail/_layout', sourceOf(model, 'mail/_layout'), { escape: true, htmlNames: ['body'] }),
    plain: plain === undefined ? null : compileTemplate(`${name}.txt`, plain, { escape: false }),
  };
}

const toPlain = compile({
  wordwrap: 78,
  selectors: [
    { selector: 'a', options: { hideLinkHrefIfSameAsText: true } },
    { selector: 'img', format: 'skip' },
    { selector: '.preheader', format: 'skip' },
  ],
});

function plainFooter(layout: LayoutData): string {
  const unsubscribe = layout.unsubscribeUrl === null ? '' : `\nTo get no more mail like this: ${layout.unsubscribeUrl}`;
  return `\n\n-- \n${layout.plan.name}\n${layout.plan.address}\n${layout.plan.phone}${unsubscribe}\n`;
}

export interface MailTemplates {
  /**
   * Subject, HTML in the shared layout, and plain text.
   * @throws AppError rule_failed (naming template and variable), metadata_invalid
   */
  render(model: Model, name: string, data: Readonly<Record<string, unknown>>, layout: LayoutData): RenderedMail;
}

/** Mail templates, compiled once for each version of the Model. */
export function makeMailTemplates(): MailTemplates {
  const compiled = new WeakMap<Model, Map<string, CompiledMail>>();
  const get = (model: Model, name: string): CompiledMail => {
    const known = compiled.get(model) ?? new Map<string, CompiledMail>();
    compiled.set(model, known);
    const mail = known.get(name) ?? compileMail(model, name);
    known.set(name, mail);
    return mail;
  };
  return {
    render(model, name, data, layout) {
      const mail = get(model, name);
      const options = { zone: model.calendarLookup.planZone };
      const all = { ...data, plan: layout.plan, unsubscribeUrl: layout.unsubscribeUrl };
      const subject = oneLine(mail.subject(all, options).trim(), `The subject of template ${name}`);
      const preheader = mail.preheader === null ? null : mail.preheader(all, options);
      const body = finishedHtml(mail.body(all, options));
      const html = mail.layout({ plan: layout.plan, unsubscribeUrl: layout.unsubscribeUrl, subject, preheader, body }, options);
      const text = mail.plain === null ? toPlain(html) : `${mail.plain(all, options).trim()}${plainFooter(layout)}`;
      return { subject, html, text };
    },
  };
}
