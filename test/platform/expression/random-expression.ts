import { overloadsOf } from '../../../src/platform/expression/functions.ts';
import type { ExprSchema, ExprType, FunctionEntry } from '../../../src/platform/expression/types.ts';

/** A stream of choices: the first number chosen is the simplest. */
export interface Entropy {
  /** A number from 0 to `below` - 1. */
  next(below: number): number;
}

/** Reads choices from a list of numbers; when it is used up every choice is the first. */
export function entropyFrom(numbers: readonly number[]): Entropy {
  let index = 0;
  return { next: (below) => (numbers[index++] ?? 0) % below };
}

/** The kinds of single values. */
export const SCALARS = ['boolean', 'number', 'text', 'date', 'instant', 'duration', 'uuid'] as const;

export type Scalar = (typeof SCALARS)[number];
export type Kind = Scalar | `list:${Scalar}`;

interface Limits {
  readonly depth: number;
  readonly relations: boolean;
  /** Whether `user` and `subject` are known. */
  readonly caller: boolean;
}

interface Place extends Limits {
  readonly schema: ExprSchema;
  /** Names by which records can be reached: '' is the root. */
  readonly records: readonly { readonly name: string; readonly object: string }[];
  /** Names of the elements of lists. */
  readonly elements: readonly { readonly name: string; readonly kind: Scalar }[];
  readonly inRelations: number;
  readonly inLists: number;
  readonly entropy: Entropy;
}

type Make = (kind: Kind) => string;
type Maker = () => string;

/** Text of a random expression of a kind; it always type-checks, but may be over budget. */
export function randomText(schema: ExprSchema, object: string, kind: Kind, entropy: Entropy, limits: Limits): string {
  return expression(kind, { schema, entropy, records: [{ name: '', object }], elements: [], inRelations: 0, inLists: 0, ...limits });
}

/** A call of one function of the table. */
export function randomCall(
  schema: ExprSchema,
  object: string,
  entry: FunctionEntry,
  entropy: Entropy,
  limits: Limits,
): { readonly text: string; readonly kind: Kind } {
  const place: Place = { schema, entropy, records: [{ name: '', object }], elements: [], inRelations: 0, inLists: 0, ...limits };
  const allowed = SCALARS.filter((scalar) => (entry.elements ?? ['text']).includes(scalar));
  const element = pick(place, allowed);
  const given: ExprType = entry.gives === 'element' ? { kind: element } : entry.gives === 'list' ? { kind: 'list', of: { kind: element } } : entry.result;
  const kind = [...SCALARS, ...SCALARS.map(listOf)].find((known) => matches(given, known));
  if (kind === undefined) throw new RangeError(`${entry.name} gives a kind that is not known here`);
  return { text: call(entry, element, (wanted) => expression(wanted, place), place), kind };
}

function listOf(scalar: Scalar): `list:${Scalar}` {
  return `list:${scalar}`;
}

function pick<T>(place: Place, items: readonly T[]): T {
  const item = items[place.entropy.next(items.length)];
  if (item === undefined) throw new RangeError('Nothing to choose from');
  return item;
}

/** Kind of the elements of a list; null for single values. */
function scalarOf(kind: Kind): Scalar | null {
  return SCALARS.find((scalar) => kind === `list:${scalar}`) ?? null;
}

const LITERALS: Readonly<Record<Scalar, readonly string[]>> = {
  boolean: ['true', 'false'],
  number: [
    '0',
    '1',
    '2',
    '3',
    '-1',
    '0.5',
    '7',
    '2.5',
    '100',
    '1.250',
    '9007199254740993',
    '0.000000000001',
    '1000000000000000',
    '123456789012345678901234567890.5',
  ],
  text: [
    "'a'",
    "'b'",
    "'A'",
    "''",
    "'é'",
    "'10'",
    "'a%b'",
    "'_'",
    "'🙂'",
    "'ab'",
    "'2026-01-31'",
    "'1.5'",
    "'\\\\'",
    "'e\\u0301'",
    "', '",
    "'P1M'",
    "'(617) 555-0100'",
  ],
  date: ["date('2026-01-31')", "date('2024-02-29')", 'today()', "date('2026-07-06')", "date('9999-12-31')", "date('0001-01-01')"],
  instant: ["instant('2026-03-08T07:00:00Z')", 'now()', "at(date('2026-11-01'), '01:30')", 'startOfDay(today())', "instant('0001-01-01T00:00:00Z')"],
  duration: ["duration('P3M')", "duration('-P1Y2M3D')", "duration('PT4H')", "duration('P2BD')", "duration('P0D')", "duration('PT90M')", "duration('P2WT3S')"],
  uuid: ['id'],
};

function matches(type: ExprType, kind: Kind): boolean {
  const of = scalarOf(kind);
  return of === null ? type.kind === kind : type.kind === 'list' && type.of.kind === of;
}

/** Names of fields of a kind that can be reached: of the root, of records named by `exists`, one or two references away. */
function fields(place: Place, kind: Kind, isSortable = false): readonly string[] {
  const found: string[] = [];
  const visit = (prefix: string, object: string, hops: number): void => {
    for (const field of place.schema.object(object)?.fields.values() ?? []) {
      const path = prefix + field.name;
      if (field.kind === 'value' && matches(field.type, kind) && (!isSortable || field.sortColumn !== undefined)) found.push(path);
      if (field.kind === 'formula' && matches(field.type, kind) && !isSortable) found.push(path);
      if (field.kind === 'one') {
        if (kind === 'uuid') found.push(path);
        if (hops > 0) visit(`${path}.`, field.object, hops - 1);
      }
    }
  };

  for (const record of place.records) visit(record.name === '' ? '' : `${record.name}.`, record.object, 2);
  return found;
}

/** To-many paths that can be asked about, with the object they lead to. */
function manyPaths(place: Place): readonly { readonly path: string; readonly object: string }[] {
  if (!place.relations || place.inRelations >= 3) return [];
  const found: { path: string; object: string }[] = [];
  const visit = (prefix: string, object: string, hops: number): void => {
    for (const field of place.schema.object(object)?.fields.values() ?? []) {
      if (field.kind === 'many') found.push({ path: prefix + field.name, object: field.object });
      if (field.kind === 'one' && hops > 0) visit(`${prefix}${field.name}.`, field.object, hops - 1);
    }
  };

  for (const record of place.records) visit(record.name === '' ? '' : `${record.name}.`, record.object, 1);
  return found;
}

/** A literal of a kind, or the caller. */
function literal(kind: Kind, place: Place): string {
  const of = scalarOf(kind);
  if (of === null) return kind === 'uuid' && place.caller ? pick(place, ['user', 'subject', ...LITERALS.uuid]) : pick(place, scalarLiterals(kind));
  const items = Array.from({ length: place.entropy.next(4) }, (): string => (place.entropy.next(6) === 5 ? 'null' : literal(of, place)));
  return items.every((item) => item === 'null') && of !== 'text' ? `[${literal(of, place)}]` : `[${items.join(', ')}]`;
}

function scalarLiterals(kind: Kind): readonly string[] {
  const scalar = SCALARS.find((known) => known === kind);
  return scalar === undefined ? [] : LITERALS[scalar];
}

function simple(kind: Kind, place: Place): string {
  const elements = place.elements.filter((element) => element.kind === kind).map((element) => element.name);
  if (elements.length > 0 && place.entropy.next(2) === 0) return pick(place, elements);
  const names = fields(place, kind);
  return names.length === 0 || place.entropy.next(4) === 3 ? literal(kind, place) : pick(place, names);
}

function expression(kind: Kind, place: Place): string {
  if (place.depth <= 0 || place.entropy.next(6) === 0) return simple(kind, place);
  const inner: Place = { ...place, depth: place.depth - 1 };
  const of = (wanted: Kind): string => expression(wanted, inner);
  const groups = [forms(kind, of, inner), calls(kind, of, inner), shared(kind, of, inner)].filter((group) => group.length > 0);
  return pick(inner, pick(inner, groups))();
}

/** What gives any kind. */
function shared(kind: Kind, of: Make, place: Place): readonly Maker[] {
  const scalar = SCALARS.find((known) => known === kind);
  return [
    () => `(${of('boolean')} ? ${of(kind)} : ${of(kind)})`,
    () => `coalesce(${of(kind)}, ${of(kind)})`,
    ...(scalar === undefined ? [] : [() => `${of(listOf(scalar))}[${pick(place, ['0', '1', '2', of('number')])}]`]),
  ];
}

/** Calls of functions that give a kind. */
function calls(kind: Kind, of: Make, place: Place): readonly Maker[] {
  const found: Maker[] = [];
  for (const name of new Set([...place.schema.functions.values()].map((entry) => entry.name)))
    for (const [, entry] of overloadsOf(place.schema.functions, name)) {
      const elements = elementsFor(entry, kind);
      if (entry.toSql !== undefined && elements.length > 0) found.push(() => call(entry, pick(place, elements), of, place));
    }
  return found;
}

/** Kinds of elements with which a function gives a kind. */
function elementsFor(entry: FunctionEntry, kind: Kind): readonly Scalar[] {
  const allowed = SCALARS.filter((scalar) => (entry.elements ?? ['text']).includes(scalar));
  if (entry.gives === 'element') return allowed.filter((scalar) => scalar === kind);
  if (entry.gives === 'list') return allowed.filter((scalar) => kind === `list:${scalar}`);
  return matches(entry.result, kind) ? allowed : [];
}

function call(entry: FunctionEntry, element: Scalar, of: Make, place: Place): string {
  const count = entry.parameters.length - place.entropy.next((entry.optional ?? 0) + 1);
  const args = entry.parameters.slice(0, count).map((parameter, index) => {
    if (index === entry.calendar) return "'plan'";
    if (parameter === 'list') return of(listOf(element));
    const scalar = SCALARS.find((known) => known === parameter);
    if (scalar === undefined) throw new RangeError(`No expression of kind ${parameter}`);
    const text = scalar === 'number' && place.entropy.next(2) === 0 ? pick(place, ['0', '1', '2', '3', '5', '-1', '10', '12']) : of(scalar);
    return entry.checkLiterals === undefined ? text : `coalesce(${text}, null)`;
  });
  return `${entry.name}(${args.join(', ')})`;
}

/** Asks a to-many path; `otherwise` where none can be reached. */
function related(place: Place, otherwise: string, ask: (path: string, item: string, inside: Place) => string): string {
  const paths = manyPaths(place);
  if (paths.length === 0) return otherwise;
  const { path, object } = pick(place, paths);
  const item = `r${String(place.records.length)}`;
  return ask(path, item, { ...place, inRelations: place.inRelations + 1, records: [...place.records, { name: item, object }] });
}

/** Asks the elements of a list. */
function each(place: Place, kind: Scalar, ask: (list: string, item: string, inside: Place) => string): string {
  const list = expression(listOf(kind), place.inLists > 0 ? { ...place, depth: 0 } : place);
  const item = `e${String(place.elements.length)}`;
  return ask(list, item, { ...place, inLists: place.inLists + 1, elements: [...place.elements, { name: item, kind }] });
}

function aggregates(place: Place, kind: 'number' | 'date' | 'instant', operators: readonly string[]): string {
  return related(place, literal(kind, place), (path, item, inside) => {
    const filter = place.entropy.next(2) === 0 ? '' : `, ${expression('boolean', inside)}`;
    return `${path}.${pick(place, operators)}(${item}, ${expression(kind, inside)}${filter})`;
  });
}

/** Operators and questions that give a kind. */
function forms(kind: Kind, of: Make, place: Place): readonly Maker[] {
  const two = (wanted: Kind): readonly [string, string] => [of(wanted), of(wanted)];
  const any = (): Kind => pick(place, ['boolean', 'number', 'text', 'date', 'instant', 'duration', 'uuid', 'list:text', 'list:number', 'list:date'] as const);
  const item = scalarOf(kind);
  if (item !== null) return listForms(item, of, place);
  switch (kind) {
    case 'boolean': {
      const order = (wanted: Kind): string => two(wanted).join(` ${pick(place, ['<', '<=', '>', '>='])} `);
      const sortable = fields(place, 'text', true);
      const scalar = pick(place, SCALARS);
      return [
        () => `!(${of('boolean')})`,
        () => `(${two('boolean').join(' && ')})`,
        () => `(${two('boolean').join(' || ')})`,
        () => `(${of('boolean')} && ${two('boolean').join(' || ')})`,
        () => `(${two(any()).join(pick(place, [' == ', ' != ']))})`,
        () => `(${two(pick(place, ['number', 'text'] as const)).join(pick(place, [' == ', ' != ']))})`,
        () => `(${order('number')})`,
        () => `(${order('date')})`,
        () => `(${order('instant')})`,
        () =>
          sortable.length === 0
            ? 'true'
            : `(${pick(place, sortable)} ${pick(place, ['<', '<=', '>', '>='])} ${place.entropy.next(2) === 0 ? pick(place, sortable) : pick(place, LITERALS.text)})`,
        () => `(${of(scalar)} in ${of(listOf(scalar))})`,
        () => `${of(listOf(scalar))}.contains(${of(scalar)})`,
        () => `(${simple('number', place)} in [${of('number')}, ${simple('number', place)}, 1])`,
        () => `(${simple('number', place)} in [1, 2.5, 7])`,
        () => `(${simple('uuid', place)} in [${simple('uuid', place)}, ${literal('uuid', place)}])`,
        () => `(${simple('uuid', place)} ${pick(place, ['==', '!='])} '00000000-0000-7000-8000-000000000101')`,
        () => `${pick(place, ['has', 'isNull'])}(${of(any())})`,
        () => `(${of(any())} ${pick(place, ['==', '!='])} null)`,
        () => related(place, 'false', (path, name, inside) => `${path}.${pick(place, ['exists', 'all'])}(${name}, ${expression('boolean', inside)})`),
        () => related(place, 'true', (path, name, inside) => `${path}.${pick(place, ['exists', 'all'])}(${name}, ${expression('boolean', inside)})`),
        () =>
          place.inLists > 1
            ? 'true'
            : each(place, scalar, (list, name, inside) => `${list}.${pick(place, ['exists', 'all'])}(${name}, ${expression('boolean', inside)})`),
      ];
    }
    case 'number':
      return [
        ...['+', '-', '*', '/', '%'].map((operator) => () => `(${of('number')} ${operator} ${of('number')})`),
        () => `-(${of('number')})`,
        () => related(place, '0', (path, name, inside) => `${path}.count(${name}, ${expression('boolean', inside)})`),
        () => related(place, '0', (path) => `${path}.count()`),
        () => aggregates(place, 'number', ['sum', 'min', 'max', 'avg']),
        () => aggregates(place, 'number', ['sum', 'avg']),
      ];
    case 'text':
      return [() => `(${of('text')} + ${of('text')})`];
    case 'date':
      return [() => `(${of('date')} ${pick(place, ['+', '-'])} coalesce(${of('duration')}, null))`, () => aggregates(place, 'date', ['min', 'max'])];
    case 'instant':
      return [() => `(${of('instant')} ${pick(place, ['+', '-'])} coalesce(${of('duration')}, null))`, () => aggregates(place, 'instant', ['min', 'max'])];
    case 'duration':
      return [
        () => `(coalesce(${of('duration')}, null) ${pick(place, ['+', '-'])} coalesce(${of('duration')}, null))`,
        () => `(${of('duration')} * ${pick(place, ['2', '-1', '0', of('number')])})`,
        () => `-(${of('duration')})`,
      ];
    default:
      return [() => simple('uuid', place)];
  }
}

function listForms(of: Scalar, make: Make, place: Place): readonly Maker[] {
  const kind = listOf(of);
  const filter = (inside: Place): string => (place.entropy.next(2) === 0 ? '' : `, ${expression('boolean', inside)}`);
  const from = pick(place, SCALARS);
  return [
    () => `[${make(of)}, ${simple(of, place)}]`,
    () => `(${make(kind)} + ${make(kind)})`,
    () => related(place, make(kind), (path, name, inside) => `${path}.map(${name}, ${expression(of, inside)}${filter(inside)})`),
    () => (place.inLists > 1 ? make(kind) : each(place, of, (list, name, inside) => `${list}.filter(${name}, ${expression('boolean', inside)})`)),
    () => (place.inLists > 1 ? make(kind) : each(place, from, (list, name, inside) => `${list}.map(${name}, ${expression(of, inside)}${filter(inside)})`)),
  ];
}
