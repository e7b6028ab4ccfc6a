import type { Draw } from '../../../http/secrecy/calls.ts';
import { orderOf, type Kind, type PlainField, type PlainObject, type Term, type Value } from './plain.ts';

export const TEXTS = ['alpha', 'Beta', 'beta', 'gamma ray', 'Delta', 'omega', 'Zulu', 'zu', 'be', 'del'] as const;
const DAYS = ['2024-02-29', '2025-01-01', '2025-06-30', '2026-03-01'] as const;
const MOMENTS = ['2025-01-01T08:00:00.000Z', '2025-01-01T08:00:00.001Z', '2026-02-03T23:59:59.999Z'] as const;

export function one<T>(draw: Draw, list: readonly T[]): T {
  const found = list[draw(list.length)];
  if (found === undefined) throw new RangeError('Nothing to choose from.');
  return found;
}

/** A value of the kind; never null. References are made by whoever knows the rows. */
export function randomValue(draw: Draw, kind: Exclude<Kind, 'reference'>): Exclude<Value, null> {
  switch (kind) {
    case 'text':
      return one(draw, TEXTS);
    case 'integer':
      return draw(9) - 2;
    case 'decimal':
      return (draw(60) - 12) / 4;
    case 'boolean':
      return draw(2) === 0;
    case 'date':
      return one(draw, DAYS);
    case 'instant':
      return one(draw, MOMENTS);
  }
}

export type Objects = ReadonlyMap<string, PlainObject>;

export interface TermOptions {
  readonly objects: Objects;
  /** References that may be followed one after the other. */
  readonly depth: number;
  /** Which fields may be named. */
  readonly names: (object: string, field: string) => boolean;
}

/** A random condition on a row of the object. */
export function randomCondition(draw: Draw, object: string, options: TermOptions): Term {
  switch (draw(10)) {
    case 0:
      return { is: 'not', part: randomCondition(draw, object, options) };
    case 1:
    case 2:
      return {
        is: 'logic',
        operator: draw(2) === 0 ? '&&' : '||',
        parts: [randomCondition(draw, object, options), randomComparison(draw, object, null, options)],
      };
    case 3:
    case 4: {
      const related = randomRelated(draw, object, options);
      return related ?? randomComparison(draw, object, null, options);
    }
    default:
      return randomComparison(draw, object, null, options);
  }
}

const plain = (object: string, field: PlainField, { names }: TermOptions): boolean => names(object, field.name);

/** Something about a field of the record, or of one that its references lead to. */
export function randomComparison(draw: Draw, object: string, of: string | null, options: TermOptions): Term {
  const { steps, field } = randomPath(draw, object, options);
  const path: Term = { is: 'path', of, steps, kind: field?.kind ?? 'reference' };
  if (field === null) return { is: 'compare', operator: '==', left: path, right: { is: 'user' } };
  if (field.kind === 'reference' || draw(8) === 0)
    return { is: 'compare', operator: draw(2) === 0 ? '==' : '!=', left: path, right: { is: 'literal', kind: field.kind, value: null } };
  const isOrdered = field.kind !== 'boolean' && (field.kind !== 'text' || field.formula === null);
  const operator = isOrdered ? one(draw, ['==', '!=', '<', '<=', '>', '>='] as const) : one(draw, ['==', '!='] as const);
  return { is: 'compare', operator, left: path, right: { is: 'literal', kind: field.kind, value: randomValue(draw, field.kind) } };
}

/** Names from the object to a field; null for the owner, who is compared with the caller. */
function randomPath(draw: Draw, object: string, options: TermOptions): { readonly steps: readonly string[]; readonly field: PlainField | null } {
  const fields = options.objects.get(object)?.fields.filter((field) => plain(object, field, options)) ?? [];
  const references = fields.filter((field) => field.to !== null && options.objects.has(field.to));
  const steps: string[] = [];
  if (options.depth > 0 && references.length > 0 && draw(2) === 0) {
    const reference = one(draw, references);
    const behind = randomPath(draw, reference.to ?? '', { ...options, depth: options.depth - 1 });
    return { steps: [...steps, reference.name, ...behind.steps], field: behind.field };
  }
  if (fields.length === 0 || draw(8) === 0) return { steps: ['ownerId'], field: null };
  const field = one(draw, fields);
  return { steps: [field.name], field };
}

function randomRelated(draw: Draw, object: string, options: TermOptions): Term | null {
  const described = options.objects.get(object);
  const manys = described?.manys.filter((many) => options.names(many.object, many.via) && options.objects.has(many.object)) ?? [];
  if (manys.length === 0) return null;
  const many = one(draw, manys);
  const as = `x${String(options.depth)}`;
  const where = randomComparison(draw, many.object, as, { ...options, depth: Math.max(0, options.depth - 2) });
  if (draw(2) === 0) return { is: 'related', how: 'exists', steps: [many.name], as, where };
  const count: Term = { is: 'related', how: 'count', steps: [many.name], as, where };
  return { is: 'compare', operator: '>=', left: count, right: { is: 'literal', kind: 'integer', value: draw(3) } };
}

/** The order of a sort: nulls last both ways. */
export function sorted(kind: Kind, left: Value, right: Value, isDescending: boolean): number {
  if (left === null || right === null) return left === right ? 0 : left === null ? 1 : -1;
  return orderOf(kind, left, right, true) * (isDescending ? -1 : 1);
}
