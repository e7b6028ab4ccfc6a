import type { Draw } from '../../../http/secrecy/calls.ts';
import { fieldOf, type PlainSight } from './naive.ts';
import type { PlainField, Term } from './plain.ts';
import { one, randomCondition, randomComparison, TEXTS } from './random-terms.ts';

export interface Measure {
  readonly op: 'count' | 'sum' | 'avg' | 'min' | 'max';
  readonly field: string | null;
}

/** A read as the test puts it; names in it may be hidden ones. */
export type Question =
  | {
      readonly kind: 'list';
      readonly object: string;
      readonly filter: Term | null;
      readonly search: string | null;
      readonly sort: readonly string[];
      readonly fields: readonly string[] | null;
      readonly expand: readonly string[];
      readonly limit: number;
      readonly count: 'none' | 'capped' | 'estimate' | 'exact';
    }
  | { readonly kind: 'read'; readonly object: string; readonly id: string; readonly fields: readonly string[] | null; readonly expand: readonly string[] }
  | {
      readonly kind: 'group';
      readonly object: string;
      readonly filter: Term | null;
      readonly groupBy: readonly string[];
      readonly measures: readonly Measure[];
    }
  | { readonly kind: 'search'; readonly text: string; readonly objects: readonly string[] | null; readonly limit: number }
  | {
      readonly kind: 'export';
      readonly object: string;
      readonly filter: Term | null;
      readonly search: string | null;
      readonly fields: readonly string[] | null;
    };

/** A hidden name is asked for once in so many questions, a hidden object too. */
const CURIOUS = 6;
const DEPTH = 4;

export function randomQuestion(draw: Draw, sight: PlainSight): Question {
  const isCurious = draw(CURIOUS) === 0;
  const all = [...sight.world.objects.keys()];
  const seen = all.filter((name) => sight.canRead(name));
  const object = seen.length === 0 || draw(15) === 0 ? one(draw, all) : one(draw, seen);
  const names = (at: string, field: string): boolean => isCurious || sight.isReadable(at, field);
  const objects = isCurious ? sight.world.objects : new Map([...sight.world.objects].filter(([name]) => sight.canRead(name)));
  const filter = (): Term | null => {
    const options = { objects, depth: DEPTH, names };
    return draw(3) === 0 ? null : draw(3) === 0 ? randomComparison(draw, object, null, options) : randomCondition(draw, object, options);
  };
  const known = sight.object(object).fields.filter((field) => names(object, field.name));
  const search = (share: number): string | null => (draw(share) === 0 ? randomText(draw) : null);
  const fields = (): readonly string[] | null =>
    draw(3) === 0 ? null : [...some(draw, known, 4).map((field) => field.name), ...(draw(2) === 0 ? ['displayName'] : [])];
  const expand = (share: number): readonly string[] =>
    draw(share) === 0 ? unique([0, 1].slice(draw(2)).flatMap(() => randomRelation(draw, sight, object, isCurious, 1 + draw(DEPTH)) ?? [])) : [];
  switch (draw(8)) {
    case 0:
    case 1:
    case 2: {
      const sort = some(draw, known.filter(isSortable), 3).map((field) => `${draw(2) === 0 ? '-' : ''}${field.name}`);
      const count = one(draw, ['none', 'capped', 'estimate', 'exact'] as const);
      return { kind: 'list', object, filter: filter(), search: search(3), sort, fields: fields(), expand: expand(3), limit: one(draw, [2, 7, 50, 500]), count };
    }
    case 3: {
      const id = one(draw, sight.world.rows.get(object) ?? []).id;
      return { kind: 'read', object, id, fields: fields(), expand: expand(2) };
    }
    case 4:
    case 5: {
      const groupBy = some(draw, known, 3).map((field) => field.name);
      return {
        kind: 'group',
        object,
        filter: filter(),
        groupBy,
        measures: [{ op: 'count', field: null }, ...some(draw, known, 3).map((field) => measureOf(draw, field))],
      };
    }
    case 6:
      return { kind: 'search', text: randomText(draw), objects: draw(3) === 0 ? [object] : null, limit: one(draw, [1, 3, 100]) };
    default:
      return { kind: 'export', object, filter: filter(), search: search(3), fields: fields() };
  }
}

const isSortable = (field: PlainField): boolean => field.kind !== 'reference' && (field.kind !== 'text' || field.formula === null);
const unique = (names: readonly string[]): readonly string[] => [...new Set(names)];

function some<T>(draw: Draw, list: readonly T[], below: number): readonly T[] {
  return list.length === 0 ? [] : [...new Set(Array.from({ length: draw(below) }, () => one(draw, list)))];
}

function randomText(draw: Draw): string {
  const text = one(draw, TEXTS);
  return draw(3) === 0 ? `${text} ${one(draw, TEXTS)}` : draw(3) === 0 ? text.slice(0, 1 + draw(3)).trim() : text;
}

function measureOf(draw: Draw, field: PlainField): Measure {
  const isNumber = field.kind === 'integer' || field.kind === 'decimal';
  const isOrdered = isNumber || field.kind === 'date' || field.kind === 'instant';
  return {
    op: one(draw, isNumber ? (['count', 'sum', 'avg', 'min', 'max'] as const) : isOrdered ? (['count', 'min', 'max'] as const) : (['count'] as const)),
    field: field.name,
  };
}

/** Relations one after the other, with dots. */
function randomRelation(draw: Draw, sight: PlainSight, object: string, isCurious: boolean, depth: number): string | null {
  const { fields, manys } = sight.object(object);
  const ones = fields.filter(
    (field) => field.to !== null && field.to !== 'User' && (isCurious || (sight.isReadable(object, field.name) && sight.canRead(field.to))),
  );
  const related = manys.filter((many) => isCurious || sight.isRelated(object, many.name));
  const steps = [...ones.map((field) => [field.name, field.to ?? ''] as const), ...related.map((many) => [many.name, many.object] as const)];
  if (steps.length === 0) return null;
  const [name, to] = one(draw, steps);
  const behind = depth > 1 && draw(2) === 0 ? randomRelation(draw, sight, to, isCurious, depth - 1) : null;
  return behind === null ? name : `${name}.${behind}`;
}

/** Why a question is refused: with which code, and the name in it that is hidden (null: none, the whole is not for this person). */
export interface Refusal {
  readonly code: 'not_found' | 'forbidden' | 'invalid_query';
  readonly hidden: string | null;
}

export function refusalOf(question: Question, sight: PlainSight): Refusal | null {
  const invalid = (hidden: string | null): Refusal => ({ code: 'invalid_query', hidden });
  if (question.kind === 'search') {
    const name = question.objects?.find((object) => !isSearchable(sight, object));
    return name === undefined ? null : invalid(name);
  }
  const { object } = question;
  if (!sight.canRead(object)) return { code: 'not_found', hidden: object };
  if (question.kind === 'export' && !sight.canExport(object)) return { code: 'forbidden', hidden: null };
  const hidden = hiddenName(question, sight);
  // The owner is hidden behind a closed reference only: elsewhere in the question and its answer the name may stand rightly.
  if (hidden !== null) return invalid(hidden === '' || hidden === 'ownerId' ? null : hidden);
  if ('search' in question && question.search !== null && !isSearchable(sight, object)) return invalid(null);
  if (question.kind !== 'read') return null;
  const isThere = sight.live(object).some((row) => row.id === question.id);
  return isThere ? null : { code: 'not_found', hidden: question.id };
}

/** Search looks into all fields that are searched; so whoever may not read one of them cannot search. */
export function isSearchable(sight: PlainSight, object: string): boolean {
  return sight.canRead(object) && searchedFields(sight, object).every((name) => sight.isReadable(object, name));
}

export function searchedFields(sight: PlainSight, object: string): readonly string[] {
  return sight.object(object).fields.flatMap((field) => (field.isSearched && !field.isRestricted ? [field.name] : []));
}

function hiddenName(question: Exclude<Question, { kind: 'search' }>, sight: PlainSight): string | null {
  const { object } = question;
  const fields = [
    ...('fields' in question ? (question.fields ?? []) : []),
    ...('sort' in question ? question.sort.map((entry) => entry.replace(/^-/, '')) : []),
    ...('groupBy' in question ? [...question.groupBy, ...question.measures.flatMap((measure) => measure.field ?? [])] : []),
  ];
  const hidden = fields.find((name) => name !== 'displayName' && !sight.isReadable(object, name));
  if (hidden !== undefined) return hidden;
  const inFilter = 'filter' in question && question.filter !== null ? hiddenInTerm(question.filter, object, sight, {}) : null;
  if (inFilter !== null || !('expand' in question)) return inFilter;
  for (const path of question.expand) {
    const found = hiddenOnWay(path.split('.'), object, sight, true);
    if (typeof found !== 'object') return found;
  }
  return null;
}

/** The first name of a path that is hidden (empty where the name is hidden as a relation only); or where the path ends. */
function hiddenOnWay(steps: readonly string[], object: string, sight: PlainSight, isExpanded: boolean): string | { readonly object: string } {
  let at = object;
  for (const [index, step] of steps.entries()) {
    const many = sight.object(at).manys.find((entry) => entry.name === step);
    if (many !== undefined) {
      if (!sight.isRelated(at, step)) return step;
      at = many.object;
      continue;
    }
    const to = fieldOf(sight.object(at), step)?.to ?? null;
    if (!sight.isReadable(at, step)) return step;
    if (to === null || to === 'User') continue;
    if (!sight.canRead(to)) {
      // The reference is a field that can be seen, but no relation.
      if (isExpanded) return '';
      // The reference can be seen, and is no more than an id: what is behind it has no names.
      return steps[index + 1] ?? { object: at };
    }
    at = to;
  }
  return { object: at };
}

function hiddenInTerm(term: Term, object: string, sight: PlainSight, variables: Readonly<Record<string, string>>): string | null {
  switch (term.is) {
    case 'path': {
      const found = hiddenOnWay(term.steps, term.of === null ? object : (variables[term.of] ?? ''), sight, false);
      return typeof found === 'string' ? found : null;
    }
    case 'compare':
      return hiddenInTerm(term.left, object, sight, variables) ?? hiddenInTerm(term.right, object, sight, variables);
    case 'logic':
      return term.parts.map((part) => hiddenInTerm(part, object, sight, variables)).find((name) => name !== null) ?? null;
    case 'not':
    case 'times':
      return hiddenInTerm(term.part, object, sight, variables);
    case 'related': {
      const found = hiddenOnWay(term.steps, object, sight, false);
      return typeof found === 'string' ? found : hiddenInTerm(term.where, object, sight, { ...variables, [term.as]: found.object });
    }
    case 'literal':
    case 'user':
      return null;
  }
}
