import { childrenOf, type Expr } from './tree.ts';
import type { ExprType } from './types.ts';
import { MAX_TEXT } from './work.ts';

/** What a text or list of texts may measure at most, and how many characters were handled on the way to it. */
export interface TextSize {
  /** Characters of the value; of a list, of all its elements; 0 for what is no text. */
  readonly length: number;
  /** Characters that are read and written to compute the value once, with everything below it. */
  readonly text: number;
}

/** What a text of a record is taken for: a long address or a short note. Texts that grow are what this is about. */
const STORED_TEXT = 1_000;
/** How many elements a list of a record, and how many related records, are taken for. */
const STORED_LIST = 50;
/** Room for an element of a list, and for a number, a day or a duration as text. */
const SHORT_TEXT = 64;

const holdsText = (type: ExprType): boolean => type.kind === 'text' || (type.kind === 'list' && holdsText(type.of));
const capped = (length: number): number => Math.min(MAX_TEXT, Math.ceil(length));
const literalText = (node: Expr | undefined): string | null => (node?.kind === 'literal' && typeof node.value === 'string' ? node.value : null);

/** The sizes of a node from those of the nodes below it. Estimates from above where literals say it, from what is usual where a record does. */
export function textSizeOf(node: Expr, sizeOf: (child: Expr) => TextSize): TextSize {
  const children = childrenOf(node);
  const below = children.reduce((sum, child) => sum + sizeOf(child).text, 0);
  const longest = (nodes: readonly Expr[]): number => Math.max(0, ...nodes.map((child) => sizeOf(child).length));
  const total = (nodes: readonly Expr[]): number => nodes.reduce((sum, child) => sum + sizeOf(child).length, 0);
  const kept = (length: number): TextSize => ({ length: holdsText(node.type) ? length : 0, text: below });
  switch (node.kind) {
    case 'literal':
      return kept(lengthOf(node.value));
    case 'conditional':
      return kept(longest([node.then, node.otherwise]));
    case 'coalesce':
      return kept(longest(node.items));
    case 'list':
      return kept(total(node.items));
    case 'concat': {
      const length = capped(total(children));
      return { length, text: below + length };
    }
    case 'call': {
      const length = holdsText(node.type) ? resultOf(node, (child) => sizeOf(child).length) : 0;
      // `replace` counts, measures, then replaces.
      return { length, text: below + total(node.args) * (node.entry === 'replace' ? 3 : 1) + length };
    }
    case 'each': {
      const [list, body] = [sizeOf(node.list), sizeOf(node.body)];
      const elements = node.list.kind === 'list' ? node.list.items.length : STORED_LIST;
      const length = node.operator === 'map' ? body.length * elements : list.length;
      return { length: holdsText(node.type) ? length : 0, text: list.text + body.text * elements + length };
    }
    case 'aggregate': {
      const [filter, value] = [node.filter === null ? null : sizeOf(node.filter), node.value === null ? null : sizeOf(node.value)];
      const length = (value?.length ?? 0) * (node.operator === 'map' ? STORED_LIST : 1);
      return { length: holdsText(node.type) ? length : 0, text: ((filter?.text ?? 0) + (value?.text ?? 0)) * STORED_LIST + sizeOf(node.of).text };
    }
    case 'element':
      return kept(SHORT_TEXT);
    default:
      return kept(STORED_TEXT);
  }
}

function lengthOf(value: unknown): number {
  if (typeof value === 'string') return value.length;
  return Array.isArray(value) ? value.reduce((sum: number, item: unknown) => sum + lengthOf(item), 0) : 0;
}

/** The longest result of a function that gives texts. */
function resultOf(node: Extract<Expr, { kind: 'call' }>, lengthBelow: (child: Expr) => number): number {
  const [first, second, third] = node.args;
  const given = first === undefined ? 0 : lengthBelow(first);
  switch (node.entry) {
    case 'replace': {
      const from = literalText(second)?.length ?? 1;
      const to = third === undefined ? 0 : lengthBelow(third);
      return capped(given * Math.max(1, to / Math.max(1, from)));
    }
    case 'padLeft':
    case 'padRight': {
      const wanted = second?.kind === 'literal' ? Number(second.value) : MAX_TEXT;
      return capped(Math.max(given, Number.isFinite(wanted) ? wanted : MAX_TEXT));
    }
    case 'join':
      return capped(given + STORED_LIST * (second === undefined ? 0 : lengthBelow(second)));
    default:
      return capped(Math.max(SHORT_TEXT, ...node.args.map(lengthBelow)));
  }
}
