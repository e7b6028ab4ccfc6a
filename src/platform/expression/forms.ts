import type { FunctionExample } from './types.ts';

/** A form of the language that is no function of the table: an operator, a question about related records, a list macro. */
export interface LanguageForm {
  /** As it is written. */
  readonly form: string;
  /** Name by which it is called, when it looks like a function. */
  readonly name?: string;
  readonly group: string;
  readonly description: string;
  readonly nulls: string;
  readonly refuses?: string;
  /** Why it cannot run in SQL. */
  readonly obstacle?: string;
  readonly examples: readonly FunctionExample[];
}

const OPERATORS = 'Operators';
const RECORDS = 'Related records';
const ELEMENTS = 'Elements of lists';
const VALUES = 'Values that may be missing, and policies';

/** What the checker knows besides the functions; the reference is made from both. */
export const LANGUAGE_FORMS: readonly LanguageForm[] = [
  {
    form: 'a == b, a != b',
    group: OPERATORS,
    description: 'Equality. `!=` is the exact opposite of `==`. Text is compared character by character, numbers by value, durations as they are written.',
    nulls: 'Never null. Null equals null and nothing else.',
    refuses: 'Values of different kinds; a text compared with a reference that is not a record id.',
    examples: [
      { text: '0.1 + 0.2 == 0.3', result: true },
      { text: 'null == null', result: true },
      { text: "subtitle != 'x'", result: true },
    ],
  },
  {
    form: 'a < b, a <= b, a > b, a >= b',
    group: OPERATORS,
    description:
      'Order of numbers, days, instants, and of sortable text fields with one another and with literal text (without case and accents, numbers by size).',
    nulls: 'Never null; false with a null operand.',
    refuses: 'Other kinds; text that is not a sortable field or literal. Durations are compared by `months`, `days` or `hours`.',
    examples: [
      { text: 'pages < 500', result: true },
      { text: "title < 'Zebra'", result: true },
      { text: '!(null < 1)', result: true },
    ],
  },
  {
    form: 'a in list',
    group: OPERATORS,
    description: 'True when the list has the value; also written `list.contains(a)`.',
    nulls: 'Never null; false when either is null. Nulls in the list are equal to nothing.',
    refuses: 'A value of another kind than the list holds.',
    examples: [
      { text: "status in ['new', 'lent']", result: true },
      { text: "tags.contains('sea')", result: true },
    ],
  },
  {
    form: '!a, a && b, a || b',
    group: OPERATORS,
    description: 'Not, and, or. `!` is plain: of whatever is not true it is true.',
    nulls: 'Never null; a null condition counts as not true.',
    refuses: 'Anything but conditions.',
    examples: [{ text: '!(subtitle == null) || pages > 100', result: true }],
  },
  {
    form: 'condition ? a : b',
    group: OPERATORS,
    description: 'One of two values of one kind.',
    nulls: 'Null when the value chosen is null; a null condition chooses the second.',
    refuses: 'Values of different kinds.',
    examples: [{ text: "pages > 300 ? 'long' : 'short'", result: 'long' }],
  },
  {
    form: 'a + b, a - b, a * b, a / b, a % b, -a',
    group: OPERATORS,
    description: 'Exact decimal arithmetic. Quotients are rounded half to even at 12 places; `%` is the remainder of a division towards zero.',
    nulls: 'Null with a null operand, when dividing by zero, at or beyond 10^34, and with more than 100 decimal places.',
    refuses: 'Values other than numbers, apart from what is listed here.',
    examples: [
      { text: '1 / 3', result: '0.333333333333' },
      { text: '1974 % 2', result: 0 },
      { text: 'price * 3', result: '59.97' },
    ],
  },
  {
    form: 'text + text, list + list, day + duration, duration + duration, duration * n',
    group: OPERATORS,
    description: 'Texts and lists put together; days, instants and durations moved: see `concat`, `addDuration`, `times`, `negate`.',
    nulls: 'Null with a null operand, and where the functions say so. Texts above 100,000 characters are null.',
    examples: [
      { text: "title + '!'", result: 'Sea and Sky!' },
      { text: 'boughtOn + loanTime', result: '2026-04-30' },
    ],
  },
  {
    form: 'reference.field',
    group: RECORDS,
    description:
      'A field of the record that a reference leads to, even when that record is in the trash. A reference by itself is the id of its record. `this` is the record itself.',
    nulls: 'Null when the reference is empty or leads nowhere.',
    refuses: 'Names that the object does not have.',
    examples: [
      { text: 'author.name', result: 'Ida Pfeiffer' },
      { text: 'author.country.name == null', result: true },
    ],
  },
  {
    form: 'records.exists(x, condition)',
    name: 'exists',
    group: RECORDS,
    description: 'True when at least one related record meets the condition. Records in the trash are not seen, by none of these.',
    nulls: 'Never null; false when there are no records.',
    refuses: 'More than 40 questions about related records in one expression with its formulas, or more than four in one another.',
    examples: [{ text: 'loans.exists(l, l.returnedOn == null)', result: true }],
  },
  {
    form: 'records.all(x, condition)',
    name: 'all',
    group: RECORDS,
    description: 'True when no related record fails the condition.',
    nulls: 'Never null; true when there are no records.',
    examples: [{ text: 'loans.all(l, l.fee >= 0)', result: false }],
  },
  {
    form: 'records.count(), records.count(x, condition)',
    name: 'count',
    group: RECORDS,
    description: 'How many related records there are, or meet the condition.',
    nulls: 'Never null; 0 when there are none.',
    examples: [
      { text: 'loans.count()', result: 3 },
      { text: 'loans.count(l, l.fee > 1)', result: 1 },
    ],
  },
  {
    form: 'records.sum(x, value), records.sum(x, value, condition)',
    name: 'sum',
    group: RECORDS,
    description: 'The sum of a number over the related records, or those that meet the condition. Nulls are left out.',
    nulls: 'Null only at or beyond 10^34; nothing sums to 0.',
    refuses: 'Values other than numbers.',
    examples: [
      { text: 'loans.sum(l, l.fee)', result: '3.25' },
      { text: 'loans.sum(l, l.fee, l.returnedOn != null)', result: '2.5' },
    ],
  },
  {
    form: 'records.min(x, value), records.max(x, value)',
    name: 'min',
    group: RECORDS,
    description: 'The least or greatest number, day or instant over the related records; a condition may come last, as in `sum`.',
    nulls: 'Nulls are left out; null when there is no value.',
    refuses: 'Values of other kinds.',
    examples: [
      { text: 'loans.max(l, l.lentOn)', result: '2026-06-01' },
      { text: 'loans.min(l, l.fee, l.fee > 5)', result: null },
    ],
  },
  {
    form: 'records.avg(x, value)',
    name: 'avg',
    group: RECORDS,
    description: 'The average of a number, rounded half to even at 12 places; a condition may come last.',
    nulls: 'Nulls are left out; null when there is no value.',
    refuses: 'Values other than numbers.',
    examples: [{ text: 'loans.avg(l, l.fee)', result: '1.625' }],
  },
  {
    form: 'records.map(x, value), records.map(x, value, condition)',
    name: 'map',
    group: RECORDS,
    description: 'The list of a value over the related records, in the order of their ids (oldest first).',
    nulls: 'Nulls are left out; null when there would be more than 1,000 elements, or texts above 100,000 characters in all.',
    refuses: "Values that are lists or records' parts.",
    examples: [{ text: "loans.map(l, l.reader).distinct().join(', ')", result: 'Ben, Ada' }],
  },
  {
    form: 'list.exists(x, condition), list.all(x, condition)',
    name: 'exists',
    group: ELEMENTS,
    description: 'The same questions about the elements of a list.',
    nulls: 'Never null; of a null list `exists` is false and `all` is true.',
    refuses: 'More than two such questions in one another.',
    examples: [
      { text: "tags.exists(t, t.startsWith('s'))", result: true },
      { text: 'tags.all(t, size(t) == 3)', result: false },
    ],
  },
  {
    form: 'list.filter(x, condition)',
    name: 'filter',
    group: ELEMENTS,
    description: 'The elements that meet the condition.',
    nulls: 'Null when the list is null.',
    examples: [{ text: "tags.filter(t, t != 'sea')", result: ['travel'] }],
  },
  {
    form: 'list.map(x, value), list.map(x, value, condition)',
    name: 'map',
    group: ELEMENTS,
    description: 'The list of a value for each element, or for those that meet the condition.',
    nulls: 'Null when the list is null, or when it would hold more than 100,000 characters of text in all. Values that are null stay as null.',
    refuses: 'Values that are lists.',
    examples: [{ text: 'tags.map(t, t.upper())', result: ['SEA', 'TRAVEL'] }],
  },
  {
    form: 'coalesce(a, b, ...)',
    name: 'coalesce',
    group: VALUES,
    description: 'The first value that is not null.',
    nulls: 'Null when all are.',
    refuses: 'Values of different kinds.',
    examples: [{ text: 'coalesce(subtitle, title)', result: 'Sea and Sky' }],
  },
  {
    form: 'has(a), isNull(a)',
    name: 'has',
    group: VALUES,
    description: '`has(a)` is `a != null`, `isNull(a)` is `a == null`.',
    nulls: 'Never null.',
    examples: [
      { text: 'has(title)', result: true },
      { text: 'isNull(subtitle)', result: true },
    ],
  },
  {
    form: "policy('name', input, asOf).result",
    name: 'policy',
    group: VALUES,
    description:
      "A result of the policy in force on a day (today when left out). The input is a record of the object that the policy is about, or its keys: `{'size': 3}`.",
    nulls: 'Null when no version is in force on that day or no row matches.',
    refuses: 'A policy that does not exist or is no literal; keys that it does not have, lacks, or of another kind.',
    obstacle: 'policies are asked in JavaScript only; keep the result in a field',
    examples: [{ text: "policy('loan-time', this, date('2026-01-01')).time", result: 'P1M' }],
  },
];

/** Names of forms that are called like functions. */
export const FORM_NAMES: readonly string[] = ['coalesce', 'has', 'isNull', 'policy'];
