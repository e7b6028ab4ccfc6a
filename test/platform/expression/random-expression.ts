import type { ExprSchema, ExprType } from '../../../src/platform/expression/types.ts';

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

export type Kind = 'boolean' | 'number' | 'text' | 'date' | 'instant' | 'uuid' | 'list';

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
  readonly entropy: Entropy;
}

/** Text of a random expression of a kind; it always type-checks. */
export function randomText(schema: ExprSchema, object: string, kind: Kind, entropy: Entropy, limits: Limits): string {
  return expression(kind, { schema, entropy, records: [{ name: '', object }], ...limits });
}

function pick<T>(place: Place, items: readonly T[]): T {
  const item = items[place.entropy.next(items.length)];
  if (item === undefined) throw new RangeError('Nothing to choose from');
  return item;
}

const LITERALS: Readonly<Record<Kind, readonly string[]>> = {
  boolean: ['true', 'false'],
  number: ['0', '1', '2', '3', '-1', '0.5', '7', '2.5', '100', '1.250', '9007199254740993', '0.000000000001', '1000000000000000'],
  text: ["'a'", "'b'", "'A'", "''", "'é'", "'10'", "'a%b'", "'_'", "'🙂'", "'ab'", "'2026-01-31'", "'1.5'", "'\\\\'"],
  date: ["date('2026-01-31')", "date('2024-02-29')", 'today()', "date('2026-07-06')", "date('9999-12-31')"],
  instant: ["instant('2026-03-08T07:00:00Z')", 'now()', "at(date('2026-11-01'), '01:30')"],
  uuid: ["'00000000-0000-7000-8000-000000000101'"],
  list: ["['a', 'b']", "['é']", "['a', null]"],
};

const DURATIONS = ["'P3M'", "'P1Y2M3D'", "'-P1M'", "'P90D'", "'P2W'"];
const SPANS = ["'PT4H'", "'-PT90M'", "'P1D'", "'P2WT3S'"];

function matches(type: ExprType, kind: Kind): boolean {
  return type.kind === kind;
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
  if (!place.relations) return [];
  const found: { path: string; object: string }[] = [];
  const visit = (prefix: string, object: string, hops: number): void => {
    for (const field of place.schema.object(object)?.fields.values() ?? []) {
      if (field.kind === 'many') found.push({ path: prefix + field.name, object: field.object });
      if (field.kind === 'one' && hops > 0) visit(`${prefix}${field.name}.`, field.object, hops - 1);
    }
  };
  for (const record of place.records) visit(record.name === '' ? '' : `${record.name}.`, record.object, 2);
  return found;
}

/** A literal of a kind, or the caller. */
function literal(kind: Kind, place: Place): string {
  return pick(place, kind === 'uuid' && place.caller ? ['user', 'subject', ...LITERALS.uuid] : LITERALS[kind]);
}

function simple(kind: Kind, place: Place): string {
  const names = fields(place, kind);
  return names.length === 0 || place.entropy.next(4) === 3 ? literal(kind, place) : pick(place, names);
}

function expression(kind: Kind, place: Place): string {
  if (place.depth <= 0 || place.entropy.next(5) === 0) return simple(kind, place);
  const inner: Place = { ...place, depth: place.depth - 1 };
  const of = (part: Kind): string => expression(part, inner);
  const any = (): Kind => pick(place, ['number', 'text', 'date', 'instant', 'boolean', 'uuid', 'list'] as const);
  const common: (() => string)[] = [() => `(${of('boolean')} ? ${of(kind)} : ${of(kind)})`, () => `coalesce(${of(kind)}, ${of(kind)})`];
  const make = pick(place, [...(kind === 'uuid' || kind === 'list' ? [] : common), ...MAKERS[kind](of, inner, any)]);
  return make();
}

type Maker = (of: (kind: Kind) => string, place: Place, any: () => Kind) => readonly (() => string)[];

/** `path.exists(x, ...)` and the like; falls back to `otherwise` where no to-many path can be reached. */
function related(place: Place, otherwise: string, make: (path: string, item: string, inside: Place) => string): string {
  const paths = manyPaths(place);
  if (paths.length === 0) return otherwise;
  const { path, object } = pick(place, paths);
  const name = `x${String(place.records.length)}`;
  return make(path, name, { ...place, records: [...place.records, { name, object }] });
}

function aggregates(place: Place, kinds: 'number' | 'date' | 'instant', operators: readonly string[]): string {
  return related(place, pick(place, LITERALS[kinds]), (path, item, inside) => {
    const filter = place.entropy.next(2) === 0 ? '' : `, ${expression('boolean', inside)}`;
    return `${path}.${pick(place, operators)}(${item}, ${expression(kinds, inside)}${filter})`;
  });
}

const MAKERS: Readonly<Record<Kind, Maker>> = {
  boolean: (of, place, any) => {
    const two = (kind: Kind): readonly [string, string] => [of(kind), of(kind)];
    const order = (kind: Kind): string => two(kind).join(` ${pick(place, ['<', '<=', '>', '>='])} `);
    const sortable = fields(place, 'text', true);
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
      () => `(${of('text')} in ${of('list')})`,
      () => `(${simple('number', place)} in [${of('number')}, ${simple('number', place)}, 1])`,
      () => `(${simple('number', place)} in [1, 2.5, 7])`,
      () => `(${of('date')} in [${two('date').join(', ')}])`,
      () => `(${simple('uuid', place)} in [${simple('uuid', place)}, ${literal('uuid', place)}])`,
      () => `${pick(place, ['has', 'isNull'])}(${of(any())})`,
      () => `(${of(any())} ${pick(place, ['==', '!='])} null)`,
      () => `${of('text')}.${pick(place, ['startsWith', 'endsWith', 'contains'])}(${of('text')})`,
      () => `isBusinessDay(${of('date')}, 'plan')`,
      () => related(place, 'false', (path, item, inside) => `${path}.${pick(place, ['exists', 'all'])}(${item}, ${expression('boolean', inside)})`),
      () => related(place, 'true', (path, item, inside) => `${path}.${pick(place, ['exists', 'all'])}(${item}, ${expression('boolean', inside)})`),
    ];
  },
  number: (of, place) => {
    const arithmetic = (operator: string): string => `(${of('number')} ${operator} ${of('number')})`;
    return [
      () => arithmetic('+'),
      () => arithmetic('-'),
      () => arithmetic('*'),
      () => arithmetic('/'),
      () => `-(${of('number')})`,
      () => `${pick(place, ['min', 'max'])}(${of('number')}, ${of('number')}, ${of('number')})`,
      () => `round(${of('number')}, ${pick(place, ['0', '1', '2', '-1', of('number')])})`,
      () => `${pick(place, ['abs', 'floor', 'ceil', 'round'])}(${of('number')})`,
      () => `number(${of('text')})`,
      () => `size(${of('text')})`,
      () => `size(${of('list')})`,
      () => `days(${of('date')}, ${of('date')})`,
      () => `monthsBetween(${of('date')}, ${of('date')})`,
      () => `${pick(place, ['seconds', 'minutes', 'hours'])}(${of('instant')}, ${of('instant')})`,
      () => `${of('date')}.${pick(place, ['year', 'month', 'day', 'weekday'])}()`,
      () => `businessDaysBetween(${of('date')}, ${of('date')}, 'plan')`,
      () => related(place, '0', (path, item, inside) => `${path}.count(${item}, ${expression('boolean', inside)})`),
      () => related(place, '0', (path) => `${path}.count()`),
      () => aggregates(place, 'number', ['sum', 'min', 'max', 'avg']),
      () => aggregates(place, 'number', ['sum', 'avg']),
    ];
  },
  text: (of, place) => [
    () => `(${of('text')} + ${of('text')})`,
    () => `${of('text')}.${pick(place, ['lower', 'upper', 'trim'])}()`,
    () => `${of('text')}.substring(${of('number')}, ${of('number')})`,
    () => `substring(${of('text')}, ${pick(place, ['0', '1', '2'])})`,
    () => `${of('text')}.replace(${of('text')}, ${of('text')})`,
    () => `padLeft(${of('text')}, ${pick(place, ['3', '5', of('number')])}, ${of('text')})`,
    () => `text(${of(pick(place, ['number', 'date', 'boolean', 'instant'] as const))})`,
    () => `${of('list')}.join(${of('text')})`,
  ],
  date: (of, place) => [
    () => `addDays(${of('date')}, ${of('number')})`,
    () => `addMonths(${of('date')}, ${of('number')})`,
    () => `addDuration(${of('date')}, ${place.entropy.next(3) === 0 ? of('text').replace(/^'.*/su, "'P1M'") : pick(place, DURATIONS)})`,
    () => `${pick(place, ['startOfMonth', 'endOfMonth', 'startOfQuarter', 'endOfQuarter'])}(${of('date')})`,
    () => `nextWeekday(${of('date')}, ${pick(place, ['1', '5', '7', of('number')])})`,
    () => `dayOf(${of('instant')})`,
    () => `addBusinessDays(${of('date')}, ${of('number')}, 'plan')`,
    () => `date(${of('text').replace(/^'.*/su, "'2026-02-01'")})`,
    () => `${pick(place, ['min', 'max'])}(${of('date')}, ${of('date')})`,
    () => aggregates(place, 'date', ['min', 'max']),
  ],
  instant: (of, place) => [
    () => `addDuration(${of('instant')}, ${place.entropy.next(3) === 0 ? of('text').replace(/^'.*/su, "'PT1M'") : pick(place, SPANS)})`,
    () => `${pick(place, ['min', 'max'])}(${of('instant')}, ${of('instant')})`,
    () => aggregates(place, 'instant', ['min', 'max']),
  ],
  uuid: (_of, place) => [() => simple('uuid', place)],
  list: (of, place) => [() => `[${of('text')}, ${simple('text', place)}]`, () => `split(${of('text')}, ${of('text')})`],
};
