import { createHash } from 'node:crypto';
import { AppError } from '../errors.ts';
import type { Model } from '../model/types.ts';
import { makePdfRenderer, type PdfRenderer } from './pdf.ts';
import { compileTemplate, type CompiledTemplate } from './template-engine.ts';
import { inlineText, parseDocument, type DocumentBlock } from './tree.ts';

/** What stands above a signature line once it is signed. */
export interface ShownSignature {
  readonly name: string;
  /** One line of evidence, e.g. when and how. */
  readonly evidence: string;
}

export interface RenderDocument {
  /** Path below `templates/`, without extension (`agreements/participation`). */
  readonly template: string;
  readonly data: Readonly<Record<string, unknown>>;
  readonly model: Model;
  /** The document's date, and the only time in it. */
  readonly now: string;
  /** By the `name` of the signature field. */
  readonly signatures?: Readonly<Record<string, ShownSignature>>;
}

export interface RenderedDocument {
  readonly title: string;
  readonly html: string;
  readonly pdf: Uint8Array;
  /** Of the PDF's bytes; the same input always gives the same bytes. */
  readonly sha256: string;
  /** Names of the signature fields, in order. */
  readonly signatures: readonly string[];
}

export interface Documents {
  /**
   * Renders a template to HTML and to a tagged PDF.
   * @throws AppError rule_failed (a value is missing), metadata_invalid (the template holds what documents do not have)
   */
  renderDocument(request: RenderDocument): Promise<RenderedDocument>;
  close(): void;
}

export interface DocumentsOptions {
  readonly plan: { readonly name: string; readonly address: string; readonly phone: string };
  readonly renderer?: PdfRenderer;
}

interface CompiledDocument {
  readonly title: CompiledTemplate | null;
  readonly footer: CompiledTemplate | null;
  readonly body: CompiledTemplate;
}

const FRONT_MATTER = /^\uFEFF?(?:---\r?\n)?((?:[a-z]+:[^\n]*\n)+)---[ \t]*\r?\n/;

function compileDocument(model: Model, name: string): CompiledDocument {
  const text = model.templates.get(name);
  if (text === undefined)
    throw new AppError('rule_failed', `There is no template templates/${name}.hbs.`, {
      errors: [{ pointer: `templates/${name}.hbs`, code: 'unknown_template', detail: 'There is no such template.' }],
    });
  const front = FRONT_MATTER.exec(text);
  const values = new Map<string, string>();
  for (const line of (front?.[1] ?? '').split(/\r?\n/).filter((entry) => entry !== '')) {
    const [key = '', ...rest] = line.split(':');
    if (key !== 'title' && key !== 'footer')
      throw new AppError('metadata_invalid', `Template ${name}: "${key}:" above "---" is neither "title:" nor "footer:".`);
    values.set(key, rest.join(':').trim());
  }
  const optional = (source: string | undefined): CompiledTemplate | null => (source === undefined ? null : compileTemplate(name, source, { escape: false }));
  return {
    title: optional(values.get('title')),
    footer: optional(values.get('footer')),
    body: compileTemplate(name, text.slice(front?.[0].length ?? 0), { escape: true }),
  };
}

function firstHeading(blocks: readonly DocumentBlock[]): string | undefined {
  for (const block of blocks) if (block.kind === 'heading') return inlineText(block.content);
  return undefined;
}

/** Year, month, day, hour, minute, second in UTC, as the Typst program takes them. */
function dateParts(now: string): readonly number[] {
  const parts = /^(\d{4})-(\d{2})-(\d{2})T(\d{2}):(\d{2}):(\d{2})/.exec(now);
  if (parts === null) throw new AppError('internal', `The time of a document must be an instant, not ${now}.`);
  return parts.slice(1).map(Number);
}

/** Letters and agreements: Handlebars -> HTML subset -> tree -> one fixed Typst program -> tagged PDF. */
export function makeDocuments(options: DocumentsOptions): Documents {
  const renderer = options.renderer ?? makePdfRenderer();
  const compiled = new WeakMap<Model, Map<string, CompiledDocument>>();
  const get = (model: Model, name: string): CompiledDocument => {
    const known = compiled.get(model) ?? new Map<string, CompiledDocument>();
    compiled.set(model, known);
    const document = known.get(name) ?? compileDocument(model, name);
    known.set(name, document);
    return document;
  };
  return {
    async renderDocument({ template, data, model, now, signatures = {} }) {
      const document = get(model, template);
      const zone = { zone: model.calendarLookup.planZone };
      const all = { ...data, plan: options.plan };
      const html = document.body(all, zone);
      const blocks = parseDocument(template, html);
      const title = document.title?.(all, zone) ?? firstHeading(blocks) ?? template;
      const footer = document.footer?.(all, zone) ?? `${options.plan.name} · ${title}`;
      const fields = blocks.filter((block) => block.kind === 'signature').map((block) => block.name);
      const shown = blocks.map((block) =>
        block.kind === 'signature' ? { ...block, signedBy: signatures[block.name]?.name ?? null, evidence: signatures[block.name]?.evidence ?? null } : block,
      );
      const pdf = await renderer.render(JSON.stringify({ title, footer, author: options.plan.name, date: dateParts(now), blocks: shown }));
      return { title, html, pdf, sha256: createHash('sha256').update(pdf).digest('hex'), signatures: fields };
    },
    close: () => renderer.close(),
  };
}
