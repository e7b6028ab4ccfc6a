import { Parser } from 'htmlparser2';
import { AppError } from '../errors.ts';

/** A document as data: what the fixed Typst program renders. Text is text; nothing in it is ever code. */
export type DocumentInline =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'strong' | 'em'; readonly content: readonly DocumentInline[] }
  | { readonly kind: 'break' };

export type DocumentBlock =
  | { readonly kind: 'heading'; readonly level: number; readonly content: readonly DocumentInline[] }
  | { readonly kind: 'paragraph'; readonly content: readonly DocumentInline[] }
  | { readonly kind: 'list'; readonly ordered: boolean; readonly items: readonly (readonly DocumentBlock[])[] }
  | { readonly kind: 'table'; readonly columns: number; readonly header: readonly DocumentRow[]; readonly rows: readonly DocumentRow[] }
  | { readonly kind: 'page-break' }
  | { readonly kind: 'signature'; readonly name: string; readonly label: string };

/** Cells of one row; `th` cells are shown as such wherever they stand. */
export type DocumentRow = readonly { readonly isHeader: boolean; readonly content: readonly DocumentInline[] }[];

type Inline = { kind: 'text'; text: string } | { kind: 'strong' | 'em'; content: Inline[] } | { kind: 'break' };

type Frame =
  | { readonly tag: 'document'; readonly blocks: DocumentBlock[] }
  | { readonly tag: 'li'; readonly blocks: DocumentBlock[]; inline: Inline[] }
  | { readonly tag: 'h1' | 'h2' | 'h3' | 'p' | 'strong' | 'em' | 'td' | 'th'; readonly content: Inline[] }
  | { readonly tag: 'ul' | 'ol'; readonly items: (readonly DocumentBlock[])[] }
  | { readonly tag: 'table'; readonly header: DocumentRow[]; readonly rows: DocumentRow[] }
  | { readonly tag: 'thead' | 'tbody' }
  | { readonly tag: 'tr'; readonly cells: DocumentRow[number][]; readonly line: number };

type Tag = Frame['tag'];

const INLINE_PARENTS: readonly Tag[] = ['h1', 'h2', 'h3', 'p', 'strong', 'em', 'td', 'th', 'li'];
const BLOCK_PARENTS: readonly Tag[] = ['document', 'li'];
/** Where each element may stand. */
const PARENTS: Readonly<Record<string, readonly Tag[]>> = {
  h1: ['document'],
  h2: ['document'],
  h3: ['document'],
  p: BLOCK_PARENTS,
  ul: BLOCK_PARENTS,
  ol: BLOCK_PARENTS,
  table: ['document'],
  hr: ['document'],
  signature: ['document'],
  li: ['ul', 'ol'],
  thead: ['table'],
  tbody: ['table'],
  tr: ['table', 'thead', 'tbody'],
  td: ['tr'],
  th: ['tr'],
  strong: INLINE_PARENTS,
  em: INLINE_PARENTS,
  br: INLINE_PARENTS,
};
const ATTRIBUTES: Readonly<Record<string, readonly string[]>> = { signature: ['name', 'label'], th: ['scope'] };
const MAX_DEPTH = 24;

/** Joins runs of white space, as HTML does, and takes it off both ends. */
function tidy(content: readonly Inline[]): DocumentInline[] {
  const flat = content.map((node): Inline => (node.kind === 'text' ? { kind: 'text', text: node.text.replace(/[ \t\r\n\f]+/g, ' ') } : node));
  const first = flat[0];
  if (first?.kind === 'text') first.text = first.text.trimStart();
  const last = flat.at(-1);
  if (last?.kind === 'text') last.text = last.text.trimEnd();
  return flat.filter((node) => node.kind !== 'text' || node.text !== '');
}

/**
 * Parses the HTML subset of documents into a tree.
 * @param name template's name, for messages
 * @throws AppError metadata_invalid with the line, for any element, attribute or nesting that documents do not have
 */
export function parseDocument(name: string, html: string): readonly DocumentBlock[] {
  const root: Frame = { tag: 'document', blocks: [] };
  const stack: Frame[] = [root];
  const top = (): Frame => stack.at(-1) ?? root;
  const lineAt = (index: number): number => html.slice(0, Math.max(index, 0)).split('\n').length;
  const refuse = (detail: string, fix: string, index = parser.startIndex): never => {
    const line = lineAt(index);
    throw new AppError('metadata_invalid', `Document ${name}, line ${line}: ${detail}`, {
      errors: [{ pointer: `templates/${name}.hbs#/${line}`, code: 'document', detail, fix }],
    });
  };

  const addBlock = (block: DocumentBlock): void => {
    const parent = top();
    if (parent.tag === 'li') flushItem(parent);
    if (parent.tag === 'document' || parent.tag === 'li') parent.blocks.push(block);
  };
  const addInline = (node: Inline): void => {
    const parent = top();
    if (parent.tag === 'li') parent.inline.push(node);
    else if ('content' in parent) parent.content.push(node);
  };

  const open = (tag: string, attributes: Readonly<Record<string, string>>): void => {
    const parents = PARENTS[tag];
    if (parents === undefined) return refuse(`<${tag}> is not an element of documents.`, `Use ${Object.keys(PARENTS).join(', ')}.`);
    if (!parents.includes(top().tag)) return refuse(`<${tag}> cannot stand in <${top().tag}>.`, `Put it into ${parents.join(', ')}.`);
    for (const attribute of Object.keys(attributes))
      if (!(ATTRIBUTES[tag] ?? []).includes(attribute)) return refuse(`<${tag}> has no attribute "${attribute}".`, 'Take it away; documents have one look.');
    if (stack.length >= MAX_DEPTH) return refuse('Elements are nested too deeply.', 'Use fewer levels.');
    switch (tag) {
      case 'h1':
      case 'h2':
      case 'h3':
      case 'p':
      case 'strong':
      case 'em':
      case 'td':
      case 'th':
        stack.push({ tag, content: [] });
        return;
      case 'ul':
      case 'ol':
        stack.push({ tag, items: [] });
        return;
      case 'li':
        stack.push({ tag, blocks: [], inline: [] });
        return;
      case 'table':
        stack.push({ tag, header: [], rows: [] });
        return;
      case 'thead':
      case 'tbody':
        stack.push({ tag });
        return;
      case 'tr':
        stack.push({ tag, cells: [], line: parser.startIndex });
        return;
      case 'br':
        return addInline({ kind: 'break' });
      case 'hr':
        return addBlock({ kind: 'page-break' });
      default: {
        const signer = attributes['name'] ?? '';
        if (!/^[a-z][a-z0-9-]{0,40}$/.test(signer))
          return refuse('<signature> needs a name of lower-case letters, digits and "-".', 'Write <signature name="provider">.');
        addBlock({ kind: 'signature', name: signer, label: attributes['label'] ?? signer });
      }
    }
  };

  const close = (tag: string, isImplied: boolean): void => {
    if (tag === 'signature' || tag === 'br' || tag === 'hr') return;
    const frame = top();
    if (frame.tag !== tag || isImplied)
      return refuse(`<${frame.tag}> is not closed before ${isImplied ? 'the next element' : `</${tag}>`}.`, `Write </${frame.tag}>.`);
    stack.pop();
    switch (frame.tag) {
      case 'h1':
      case 'h2':
      case 'h3':
        return addBlock({ kind: 'heading', level: Number(frame.tag.slice(1)), content: tidy(frame.content) });
      case 'p':
        return addBlock({ kind: 'paragraph', content: tidy(frame.content) });
      case 'strong':
      case 'em':
        return addInline({ kind: frame.tag, content: frame.content });
      case 'ul':
      case 'ol':
        return addBlock({ kind: 'list', ordered: frame.tag === 'ol', items: frame.items });
      case 'li': {
        flushItem(frame);
        const parent = top();
        if ('items' in parent) parent.items.push(frame.blocks);
        return;
      }
      case 'td':
      case 'th': {
        const parent = top();
        if (parent.tag === 'tr') parent.cells.push({ isHeader: frame.tag === 'th', content: tidy(frame.content) });
        return;
      }
      case 'tr': {
        const table = stack.findLast((entry) => entry.tag === 'table');
        if (table?.tag !== 'table') return;
        const width = (table.header[0] ?? table.rows[0] ?? frame.cells).length;
        if (frame.cells.length === 0 || frame.cells.length !== width)
          return refuse(`This row has ${frame.cells.length} cells, the first has ${width}.`, 'Give every row of a table the same number of cells.', frame.line);
        const isHead = top().tag === 'thead' || (table.rows.length === 0 && frame.cells.every((cell) => cell.isHeader));
        (isHead ? table.header : table.rows).push(frame.cells);
        return;
      }
      case 'table':
        if (frame.header.length + frame.rows.length === 0) return refuse('The table has no rows.', 'Leave the table out when there is nothing to show.');
        return addBlock({ kind: 'table', columns: (frame.header[0] ?? frame.rows[0] ?? []).length, header: frame.header, rows: frame.rows });
      case 'thead':
      case 'tbody':
      case 'document':
        return;
    }
  };

  const text = (value: string): void => {
    if (value.trim() === '' && !INLINE_PARENTS.includes(top().tag)) return;
    if (!INLINE_PARENTS.includes(top().tag)) return refuse(`Text cannot stand in <${top().tag}>.`, 'Put it into a paragraph or a cell.');
    addInline({ kind: 'text', text: value });
  };

  const parser = new Parser(
    {
      onopentag: open,
      onclosetag: close,
      ontext: text,
      onprocessinginstruction: () => refuse('Declarations are not part of documents.', 'Begin with the text itself.'),
    },
    { lowerCaseTags: true, decodeEntities: true, recognizeSelfClosing: true },
  );
  parser.write(html);
  parser.end();
  return root.blocks;
}

/** Text that stands directly in a list item becomes a paragraph of it. */
function flushItem(frame: Extract<Frame, { tag: 'li' }>): void {
  const content = tidy(frame.inline);
  frame.inline = [];
  if (content.length > 0) frame.blocks.push({ kind: 'paragraph', content });
}

/** The plain text of some content, e.g. for a title. */
export function inlineText(content: readonly DocumentInline[]): string {
  return content.map((node) => (node.kind === 'text' ? node.text : node.kind === 'break' ? ' ' : inlineText(node.content))).join('');
}
