/** Kinds of values that the random packages have. Days and instants are texts in their order. */
export type Kind = 'text' | 'integer' | 'decimal' | 'boolean' | 'date' | 'instant' | 'reference';
export type Value = string | number | boolean | null;

export interface PlainField {
  readonly name: string;
  readonly kind: Kind;
  readonly isRestricted: boolean;
  readonly isSearched: boolean;
  /** Of a reference. */
  readonly to: string | null;
  readonly formula: Term | null;
}

export interface PlainMany {
  readonly name: string;
  readonly object: string;
  readonly via: string;
}

export interface PlainObject {
  readonly name: string;
  readonly fields: readonly PlainField[];
  readonly manys: readonly PlainMany[];
  /** The field that the display name begins with, and the reference that it may name in brackets. */
  readonly nameFields: readonly [string] | readonly [string, string];
}

export interface PlainGrant {
  /** A condition, or all rows. */
  readonly read: true | Term;
  /** Null: every field that is not restricted. */
  readonly fields: readonly string[] | null;
  readonly isExport: boolean;
}

export interface PlainRow {
  readonly object: string;
  readonly id: string;
  readonly isTrashed: boolean;
  readonly values: Readonly<Record<string, Value>>;
}

/** All that there is: what is described, who may what, and every row of every table. */
export interface PlainWorld {
  readonly objects: ReadonlyMap<string, PlainObject>;
  readonly sets: ReadonlyMap<string, ReadonlyMap<string, PlainGrant>>;
  readonly rows: ReadonlyMap<string, readonly PlainRow[]>;
}

/** A condition or a value, as a tree of the test's own: `textOf` writes it in the expression language, `evaluate` says what it means. */
export type Term =
  | { readonly is: 'path'; readonly of: string | null; readonly steps: readonly string[]; readonly kind: Kind }
  | { readonly is: 'literal'; readonly kind: Kind; readonly value: Value }
  | { readonly is: 'user' }
  | { readonly is: 'compare'; readonly operator: '==' | '!=' | '<' | '<=' | '>' | '>='; readonly left: Term; readonly right: Term }
  | { readonly is: 'logic'; readonly operator: '&&' | '||'; readonly parts: readonly Term[] }
  | { readonly is: 'not'; readonly part: Term }
  | { readonly is: 'times'; readonly part: Term; readonly by: number }
  | { readonly is: 'related'; readonly how: 'exists' | 'count'; readonly steps: readonly string[]; readonly as: string; readonly where: Term };

export type Rename = (name: string) => string;
const SAME: Rename = (name) => name;

/** The term in the expression language. */
export function textOf(term: Term, rename: Rename = SAME): string {
  switch (term.is) {
    case 'path':
      return [...(term.of === null ? [] : [term.of]), ...term.steps.map(rename)].join('.');
    case 'literal':
      return literalText(term.kind, term.value);
    case 'user':
      return 'user';
    case 'compare':
      return `${textOf(term.left, rename)} ${term.operator} ${textOf(term.right, rename)}`;
    case 'logic':
      return term.parts.map((part) => `(${textOf(part, rename)})`).join(` ${term.operator} `);
    case 'not':
      return `!(${textOf(term.part, rename)})`;
    case 'times':
      return `${textOf(term.part, rename)} * ${String(term.by)}`;
    case 'related':
      return `${term.steps.map(rename).join('.')}.${term.how}(${term.as}, ${textOf(term.where, rename)})`;
  }
}

function literalText(kind: Kind, value: Value): string {
  if (value === null) return 'null';
  if (kind === 'date') return `date('${String(value)}')`;
  if (kind === 'instant') return `instant('${String(value)}')`;
  return typeof value === 'string' && kind !== 'decimal' ? `'${value}'` : String(value);
}

/** What somebody sees of the rows. */
export interface Sight {
  readonly user: string;
  value(row: PlainRow, field: string): Value;
  /** The record that a reference leads to, in the trash too; null when it is not seen. */
  one(row: PlainRow, field: string): PlainRow | null;
  /** The live records that name this one. */
  many(row: PlainRow, relation: string): readonly PlainRow[];
}

type Bindings = Readonly<Record<string, PlainRow>>;

/** The term's value for a row. */
export function evaluate(term: Term, sight: Sight, row: PlainRow, bindings: Bindings = {}): Value {
  switch (term.is) {
    case 'path': {
      const start = term.of === null ? row : (bindings[term.of] ?? null);
      const last = follow(sight, start, term.steps.slice(0, -1));
      return last === null ? null : sight.value(last, term.steps.at(-1) ?? '');
    }
    case 'literal':
      return term.value;
    case 'user':
      return sight.user;
    case 'compare':
      return compare(term.operator, kindOf(term), evaluate(term.left, sight, row, bindings), evaluate(term.right, sight, row, bindings));
    case 'logic':
      return term.operator === '&&'
        ? term.parts.every((part) => evaluate(part, sight, row, bindings) === true)
        : term.parts.some((part) => evaluate(part, sight, row, bindings) === true);
    case 'not':
      return evaluate(term.part, sight, row, bindings) !== true;
    case 'times': {
      const value = evaluate(term.part, sight, row, bindings);
      return value === null ? null : Number(value) * term.by;
    }
    case 'related': {
      const from = follow(sight, row, term.steps.slice(0, -1));
      const found = from === null ? [] : sight.many(from, term.steps.at(-1) ?? '');
      const fit = found.filter((child) => evaluate(term.where, sight, row, { ...bindings, [term.as]: child }) === true);
      return term.how === 'exists' ? fit.length > 0 : fit.length;
    }
  }
}

function follow(sight: Sight, start: PlainRow | null, steps: readonly string[]): PlainRow | null {
  return steps.reduce<PlainRow | null>((row, step) => (row === null ? null : sight.one(row, step)), start);
}

function kindOf(term: Term): Kind {
  if (term.is === 'path' || term.is === 'literal') return term.kind;
  if (term.is === 'compare') return kindOf(term.left);
  return term.is === 'user' ? 'reference' : 'decimal';
}

function compare(operator: '==' | '!=' | '<' | '<=' | '>' | '>=', kind: Kind, left: Value, right: Value): boolean {
  if (operator === '==' || operator === '!=') {
    const isSame = left === null || right === null ? left === right : orderOf(kind, left, right, false) === 0;
    return isSame === (operator === '==');
  }
  if (left === null || right === null) return false;
  const sign = orderOf(kind, left, right, true);
  return operator === '<' ? sign < 0 : operator === '<=' ? sign <= 0 : operator === '>' ? sign > 0 : sign >= 0;
}

/** Negative, zero or positive; texts in the order of lists (letters small) when `isFolded`. All random texts are of plain letters and blanks. */
export function orderOf(kind: Kind, left: Exclude<Value, null>, right: Exclude<Value, null>, isFolded: boolean): number {
  if (kind === 'integer' || kind === 'decimal' || kind === 'boolean') return Number(left) - Number(right);
  const [first, second] = [String(left), String(right)].map((text) => (isFolded && kind === 'text' ? text.toLowerCase() : text));
  return first === second ? 0 : (first ?? '') < (second ?? '') ? -1 : 1;
}
