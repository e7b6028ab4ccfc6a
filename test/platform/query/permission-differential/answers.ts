import { fieldOf, type PlainSight } from './naive.ts';
import { evaluate, orderOf, type Kind, type PlainRow, type Value } from './plain.ts';
import { isSearchable, searchedFields, type Measure, type Question } from './questions.ts';
import { sorted } from './random-terms.ts';

type Json = Value | readonly Json[] | { readonly [name: string]: Json };

/** The right answer, by looking at every row; the question is one that is not refused. */
export function answerOf(question: Question, sight: PlainSight): Json {
  switch (question.kind) {
    case 'list':
      return listed(question, sight);
    case 'read': {
      const row = sight.byId(question.id);
      return row === null ? null : recordOf(sight, row, question.fields, question.expand);
    }
    case 'group':
      return grouped(question, sight);
    case 'search':
      return hits(question, sight);
    case 'export':
      return found(question, sight)
        .sort((left, right) => (left.id < right.id ? -1 : 1))
        .map((row) => exported(sight, row, question.fields));
  }
}

type Narrowed = Extract<Question, { kind: 'list' | 'group' | 'export' }>;

function found(question: Narrowed, sight: PlainSight): PlainRow[] {
  const { object, filter } = question;
  const search = 'search' in question ? question.search : null;
  return sight.live(object).filter((row) => (filter === null || evaluate(filter, sight, row) === true) && (search === null || isMatch(sight, row, search)));
}

function kindOf(sight: PlainSight, object: string, name: string): Kind {
  return fieldOf(sight.object(object), name)?.kind ?? 'text';
}

function listed(question: Extract<Question, { kind: 'list' }>, sight: PlainSight): Json {
  const { object, sort, fields, expand, count } = question;
  const keys = sort.map((entry) => ({ name: entry.replace(/^-/, ''), isDescending: entry.startsWith('-') }));
  const isIdDescending = keys.at(-1)?.isDescending ?? false;
  const rows = found(question, sight).sort((left, right) => {
    for (const { name, isDescending } of keys) {
      const sign = sorted(kindOf(sight, object, name), sight.value(left, name), sight.value(right, name), isDescending);
      if (sign !== 0) return sign;
    }
    return (left.id < right.id ? -1 : 1) * (isIdDescending ? -1 : 1);
  });
  const meta: Json = count === 'none' ? {} : count === 'exact' ? { count: rows.length } : { count: rows.length, countIsCapped: false };
  return { data: rows.map((row) => recordOf(sight, row, fields, expand)), meta };
}

/** A value as answers show it: exact numbers are texts. */
function shown(kind: Kind, value: Value): Value {
  return kind === 'decimal' && value !== null ? String(value) : value;
}

const OWN = ['id', 'version', 'createdAt', 'createdBy', 'updatedAt', 'updatedBy', 'ownerId'] as const;

function allFields(sight: PlainSight, object: string): readonly string[] {
  const own = sight.object(object).fields.map((field) => field.name);
  return [...OWN, ...own.filter((name) => sight.isReadable(object, name))];
}

function recordOf(sight: PlainSight, row: PlainRow, fields: readonly string[] | null, expand: readonly string[]): Json {
  const wanted = fields === null ? allFields(sight, row.object) : ['id', 'version', ...fields];
  const record: Record<string, Json> = {};
  for (const name of wanted) record[name] = name === 'displayName' ? nameOf(sight, row) : shown(kindOf(sight, row.object, name), sight.value(row, name));
  if (expand.length > 0) record['expanded'] = expandedOf(sight, row, expand);
  return record;
}

function exported(sight: PlainSight, row: PlainRow, fields: readonly string[] | null): Json {
  const record: Record<string, Json> = {};
  for (const name of fields ?? allFields(sight, row.object))
    record[name] = name === 'displayName' ? nameOf(sight, row) : shown(kindOf(sight, row.object, name), sight.value(row, name));
  return record;
}

function expandedOf(sight: PlainSight, row: PlainRow, paths: readonly string[]): Json {
  const expanded: Record<string, Json> = {};
  for (const name of new Set(paths.map((path) => path.split('.')[0] ?? ''))) {
    const inner = paths.filter((path) => path.startsWith(`${name}.`)).map((path) => path.slice(name.length + 1));
    const recordWithName = (other: PlainRow): Json => recordOf(sight, other, [...allFields(sight, other.object), 'displayName'], inner);
    if (sight.object(row.object).manys.some((many) => many.name === name)) {
      const children = [...sight.many(row, name)].sort((left, right) => (left.id < right.id ? -1 : 1));
      expanded[name] = { data: children.map(recordWithName), more: false };
      continue;
    }
    const other = sight.one(row, name);
    expanded[name] = other === null || other.isTrashed ? null : recordWithName(other);
  }
  return expanded;
}

/** References in a name are named themselves, two levels deep. */
function nameOf(sight: PlainSight, row: PlainRow, level = 0): string {
  const [lead, reference] = sight.object(row.object).nameFields;
  const first = sight.value(row, lead) ?? '';
  const other = reference === undefined || level >= 2 ? null : sight.one(row, reference);
  const second = other === null || other.isTrashed ? '' : nameOf(sight, other, level + 1);
  if (first === '' && second === '') return `${row.object} ${row.id.slice(-6)}`;
  return [String(first), ...(second === '' ? [] : [`(${second})`])].filter((part) => part !== '').join(' ');
}

function keysOf(sight: PlainSight, row: PlainRow): string {
  return searchedFields(sight, row.object)
    .flatMap((name) => row.values[name] ?? [])
    .join(' ')
    .toLowerCase();
}

/** Every word stands in the values that are searched, and all of these may be read in the row. */
export function isMatch(sight: PlainSight, row: PlainRow, text: string): boolean {
  const keys = keysOf(sight, row);
  const isIn = (word: string): boolean => (word.length < 3 ? keys.startsWith(word) || keys.includes(` ${word}`) : keys.includes(word));
  return mayFind(sight, row) && text.toLowerCase().split(' ').every(isIn);
}

export function mayFind(sight: PlainSight, row: PlainRow): boolean {
  return isSearchable(sight, row.object) && sight.givesAll(row, searchedFields(sight, row.object));
}

export function hitOf(sight: PlainSight, row: PlainRow, text: string): Json {
  const words = text.toLowerCase().split(' ');
  const values = searchedFields(sight, row.object).flatMap((name) => sight.value(row, name) ?? []);
  const matched = values.find((value) => words.some((word) => String(value).toLowerCase().includes(word))) ?? '';
  return { object: row.object, id: row.id, name: nameOf(sight, row), matched };
}

function hits({ text, objects, limit }: Extract<Question, { kind: 'search' }>, sight: PlainSight): Json {
  const names = objects ?? [...sight.world.objects.keys()].filter((name) => isSearchable(sight, name));
  const rank = (row: PlainRow): string => `${keysOf(sight, row).startsWith(text.toLowerCase()) ? '1' : '2'} ${row.object} ${row.id}`;
  const fit = names.flatMap((name) => sight.live(name).filter((row) => isMatch(sight, row, text)));
  return fit
    .sort((left, right) => (rank(left) < rank(right) ? -1 : 1))
    .slice(0, limit)
    .map((row) => hitOf(sight, row, text));
}

function grouped({ object, groupBy, measures, ...rest }: Extract<Question, { kind: 'group' }>, sight: PlainSight): Json {
  const rows = found({ object, groupBy, measures, ...rest }, sight);
  const groups = new Map<string, PlainRow[]>(groupBy.length === 0 ? [['[]', []]] : []);
  for (const row of rows) {
    const key = JSON.stringify(groupBy.map((name) => sight.value(row, name)));
    groups.set(key, [...(groups.get(key) ?? []), row]);
  }
  const order = (left: readonly PlainRow[], right: readonly PlainRow[]): number => {
    for (const name of groupBy) {
      const [first, second] = [left, right].map((members) => (members[0] === undefined ? null : sight.value(members[0], name)));
      if (first === second) continue;
      if (first === null || first === undefined) return 1;
      if (second === null || second === undefined) return -1;
      return orderOf(kindOf(sight, object, name), first, second, false);
    }
    return 0;
  };
  return [...groups.values()].sort(order).map((members) => {
    const record: Record<string, Json> = {};
    for (const name of groupBy) record[name] = members[0] === undefined ? null : shown(kindOf(sight, object, name), sight.value(members[0], name));
    for (const [index, measure] of measures.entries()) record[`m${String(index)}`] = measured(sight, object, measure, members);
    return record;
  });
}

function measured(sight: PlainSight, object: string, { op, field }: Measure, rows: readonly PlainRow[]): Value {
  if (field === null) return rows.length;
  const kind = kindOf(sight, object, field);
  const values = rows.flatMap((row) => sight.value(row, field) ?? []);
  if (op === 'count') return values.length;
  if (values.length === 0) return null;
  const numbers = values.map(Number);
  switch (op) {
    case 'sum':
      return String(numbers.reduce((sum, value) => sum + value, 0));
    case 'avg':
      return average(numbers);
    case 'min':
    case 'max': {
      const least = values.reduce((best, value) => (orderOf(kind, value, best, false) < 0 === (op === 'min') ? value : best));
      return shown(kind, least);
    }
  }
}

/** To twelve places, halves to the even one. Random numbers are whole quarters, so that their sums are exact. */
function average(numbers: readonly number[]): string {
  const numerator = BigInt(numbers.reduce((sum, value) => sum + value * 4, 0)) * 10n ** 12n;
  const divisor = BigInt(numbers.length) * 4n;
  const [whole, rest] = [numerator / divisor, numerator % divisor];
  const twice = 2n * (rest < 0n ? -rest : rest);
  const isUp = twice > divisor || (twice === divisor && whole % 2n !== 0n);
  const rounded = isUp ? whole + (numerator < 0n ? -1n : 1n) : whole;
  const digits = (rounded < 0n ? -rounded : rounded).toString().padStart(13, '0');
  const text = `${digits.slice(0, -12)}.${digits.slice(-12)}`.replace(/\.?0+$/, '');
  return rounded < 0n ? `-${text}` : text;
}
