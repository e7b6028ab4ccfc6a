import { sql, type Sql } from '../../sql.ts';
import { toDecimal } from '../decimal.ts';
import type { FunctionEntry, FunctionExample } from '../types.ts';
import { MAX_LIST, MAX_TEXT, codePoints, lastPoints, makeList, makeText, slicePoints, spend, spendText } from '../work.ts';
import { BOOLEAN, NUMBER, TEXT, asList, asText, inGroup, type Definition } from './define.ts';
import { letSql } from './let.sql.ts';

const BLANKS = ' \t\r\n\f\v\u00a0';
const UPPER = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ';
const LOWER = 'abcdefghijklmnopqrstuvwxyz';
const TOO_LONG = 'Null when the result would be longer than 100,000 characters.';
const POSITION = 'Null when a position or length is no whole number.';

/** A count or position: a whole number within +-1,000,000, else null. */
export function whole(value: unknown): number | null {
  const number = toDecimal(value);
  return typeof number === 'number' && Math.abs(number) <= 1_000_000 ? number : null;
}

/** The same in SQL, for `_l.n` and `_l.m`. */
export const WHOLE = { n: sql`_l.n = trunc(_l.n) and abs(_l.n) <= 1000000`, m: sql`_l.m = trunc(_l.m) and abs(_l.m) <= 1000000` } as const;

function trimmed(text: string): string {
  let [start, end2] = [0, text.length];
  while (start < end2 && BLANKS.includes(text.charAt(start))) start += 1;
  while (end2 > start && BLANKS.includes(text.charAt(end2 - 1))) end2 -= 1;
  return text.slice(start, end2);
}

/** What `pad` has to add to reach a length in code points; null when that is too long. */
function padding(text: string, length: number, fill: string): string | null {
  const missing = length - codePoints(text);
  if (length > MAX_TEXT) return null;
  spendText(Math.max(length, 0));
  if (missing <= 0 || fill === '') return '';
  const points = Array.from(fill);
  let pad2 = '';
  for (let index = 0; index < missing; index += 1) pad2 += points[index % points.length] ?? '';
  return pad2;
}

function pad(name: 'padLeft' | 'padRight', side: string, example: FunctionExample): Definition {
  const put = name === 'padLeft' ? (text: string, fill: string): string => fill + text : (text: string, fill: string): string => text + fill;
  const native = name === 'padLeft' ? sql`lpad` : sql`rpad`;
  return {
    name,
    parameters: ['text', 'number', 'text'],
    optional: 1,
    result: TEXT,
    pure: true,
    description: `The text filled on the ${side} to a length, with blanks or the characters given.`,
    nulls: `${POSITION} ${TOO_LONG}`,
    examples: [example],
    evaluate: (args) => {
      const [text, wanted] = [asText(args[0]), whole(args[1])];
      const fill = wanted === null ? null : padding(text, wanted, args[2] === undefined ? ' ' : asText(args[2]));
      return fill === null ? null : put(text, fill);
    },
    toSql: ([text, length, fill]) =>
      letSql(
        { v: text ?? sql`null`, n: length ?? sql`null`, f: fill ?? sql`' '` },
        sql`case when ${WHOLE.n} and _l.n <= ${MAX_TEXT}::integer and _l.f is not null then case when length(_l.v) >= _l.n then _l.v else ${native}(_l.v, _l.n::integer, _l.f) end end`,
      ),
  };
}

function test(
  name: string,
  description: string,
  examples: FunctionEntry['examples'],
  evaluate: (text: string, part: string) => boolean,
  toSql: NonNullable<FunctionEntry['toSql']>,
): Definition {
  return {
    name,
    parameters: ['text', 'text'],
    result: BOOLEAN,
    pure: true,
    description,
    examples,
    evaluate: (args) => evaluate(asText(args[0]), asText(args[1])),
    toSql,
  };
}

function change(
  name: string,
  description: string,
  example: FunctionExample,
  evaluate: (text: string) => string,
  toSql: NonNullable<FunctionEntry['toSql']>,
): Definition {
  return {
    name,
    parameters: ['text'],
    result: TEXT,
    pure: true,
    description,
    examples: [example],
    evaluate: ([value]) => {
      const text = asText(value);
      spendText(text.length);
      return evaluate(text);
    },
    toSql,
  };
}

/** `left` and `right`: that many characters of one end. */
function end(name: 'left' | 'right', description: string, example: FunctionExample): Definition {
  const native = name === 'left' ? sql`left` : sql`right`;
  return {
    name,
    parameters: ['text', 'number'],
    result: TEXT,
    pure: true,
    description,
    nulls: POSITION,
    examples: [example],
    evaluate: (args) => {
      const [text, count] = [asText(args[0]), whole(args[1])];
      if (count === null) return null;
      return name === 'left' ? slicePoints(text, 0, Math.max(count, 0)) : lastPoints(text, Math.max(count, 0));
    },
    toSql: ([text, count]) =>
      letSql({ v: text ?? sql`null`, n: count ?? sql`null` }, sql`case when ${WHOLE.n} then ${native}(_l.v, greatest(_l.n, 0)::integer) end`),
  };
}

function likeSql(part: Sql | undefined): Sql {
  return sql`replace(replace(replace(${part}, '\\', '\\\\'), '%', '\\%'), '_', '\\_')`;
}

function occurrences(text: string, part: string): number {
  let count = 0;
  for (let at = text.indexOf(part); at >= 0; at = text.indexOf(part, at + part.length)) count += 1;
  return count;
}

function replaced(text: string, from: string, to: string): string | null {
  if (from === '') return text;
  spendText(text.length);
  const count = occurrences(text, from);
  spend(count);
  // A dollar sign means something to replaceAll.
  const make = (): string => (to.includes('$') ? text.split(from).join(to) : text.replaceAll(from, to));
  return count === 0 ? text : makeText(text.length + count * (to.length - from.length), make);
}

function joined(list: readonly unknown[], separator: string): string | null {
  const texts = list.filter((item) => typeof item === 'string');
  return makeText(
    texts.reduce((sum, text) => sum + text.length, Math.max(texts.length - 1, 0) * separator.length),
    () => texts.join(separator),
  );
}

/** Functions on text. Lengths and positions count code points. */
export const TEXT_FUNCTIONS: readonly FunctionEntry[] = inGroup('Text', [
  test(
    'startsWith',
    'True when the text begins with the other.',
    [{ text: "'Boston'.startsWith('Bo')", result: true }],
    (text, part) => text.startsWith(part),
    ([text, part]) => sql`starts_with(${text}, ${part})`,
  ),
  test(
    'endsWith',
    'True when the text ends with the other.',
    [{ text: "'a@example.org'.endsWith('.org')", result: true }],
    (text, part) => text.endsWith(part),
    ([text, part]) => letSql({ v: text ?? sql`null`, p: part ?? sql`null` }, sql`right(_l.v, length(_l.p)) = _l.p`),
  ),
  test(
    'contains',
    'True when the other text occurs in the text; upper and lower case differ. `list.contains(x)` is `x in list`.',
    [{ text: "'North Shore'.contains('Sho')", result: true }],
    (text, part) => {
      spendText(text.length);
      return text.includes(part);
    },
    // LIKE rather than strpos: with a constant part a trigram index serves.
    ([text, part]) => sql`(${text} like ('%' || ${likeSql(part)} || '%'))`,
  ),
  {
    name: 'size',
    parameters: ['text'],
    result: NUMBER,
    pure: true,
    description: 'Number of characters (code points) of a text.',
    examples: [{ text: "size('\u{1F642}x')", result: 2 }],
    evaluate: ([text]) => codePoints(asText(text)),
    toSql: ([text]) => sql`length(${text})::numeric`,
  },
  {
    name: 'indexOf',
    parameters: ['text', 'text'],
    result: NUMBER,
    pure: true,
    description: 'Position of the first occurrence of the other text (0 = first character); -1 when it does not occur.',
    examples: [
      { text: "indexOf('a-b-c', '-')", result: 1 },
      { text: "indexOf('abc', 'x')", result: -1 },
    ],
    evaluate: (args) => {
      const text = asText(args[0]);
      const at = text.indexOf(asText(args[1]));
      spendText(text.length);
      return at < 0 ? -1 : codePoints(text.slice(0, at));
    },
    toSql: ([text, part]) => sql`(strpos(${text}, ${part}) - 1)::numeric`,
  },
  change(
    'lower',
    'The letters A to Z made small; all others stay, for their cases differ between systems.',
    { text: "lower('\xC9mile ROUX')", result: '\xC9mile roux' },
    (text) => text.replace(/[A-Z]+/g, (part) => part.toLowerCase()),
    ([text]) => sql`translate(${text}, ${UPPER}::text, ${LOWER}::text)`,
  ),
  change(
    'upper',
    'The letters a to z made capital; all others stay.',
    { text: "upper('ma')", result: 'MA' },
    (text) => text.replace(/[a-z]+/g, (part) => part.toUpperCase()),
    ([text]) => sql`translate(${text}, ${LOWER}::text, ${UPPER}::text)`,
  ),
  change('trim', 'Without blanks at both ends.', { text: "trim('  a b ')", result: 'a b' }, trimmed, ([text]) => sql`btrim(${text}, ${BLANKS}::text)`),
  change(
    'digits',
    'The digits 0 to 9 of the text and nothing else.',
    { text: "digits('(617) 555-0100')", result: '6175550100' },
    (text) => text.replace(/[^0-9]+/g, ''),
    ([text]) => sql`regexp_replace(${text}, '[^0-9]+', '', 'g')`,
  ),
  {
    name: 'substring',
    parameters: ['text', 'number', 'number'],
    optional: 1,
    result: TEXT,
    pure: true,
    description: 'The characters from position `start` (0 = first) up to, not including, `end`; positions beyond the text are cut.',
    nulls: POSITION,
    examples: [
      { text: "substring('02139-4307', 0, 5)", result: '02139' },
      { text: "substring('abc', 1)", result: 'bc' },
    ],
    evaluate: ([value, from, to]) => {
      const [text, start, end2] = [asText(value), whole(from), to === undefined ? 1_000_000 : whole(to)];
      if (start === null || end2 === null) return null;
      return slicePoints(text, Math.max(0, start), Math.max(0, end2));
    },
    toSql: ([text, from, to]) =>
      letSql(
        { v: text ?? sql`null`, n: from ?? sql`null`, m: to ?? sql`1000000::numeric` },
        sql`case when ${WHOLE.n} and ${WHOLE.m} then substr(_l.v, greatest(_l.n, 0)::integer + 1, greatest(_l.m - greatest(_l.n, 0), 0)::integer) end`,
      ),
  },
  end('left', 'The first characters, at most that many.', { text: "left('02139-4307', 5)", result: '02139' }),
  end('right', 'The last characters, at most that many.', { text: "right('123456789', 4)", result: '6789' }),
  {
    name: 'replace',
    parameters: ['text', 'text', 'text'],
    result: TEXT,
    pure: true,
    description: 'The text with every occurrence of the second replaced by the third.',
    nulls: TOO_LONG,
    examples: [{ text: "replace('a-b-c', '-', '')", result: 'abc' }],
    evaluate: (args) => replaced(asText(args[0]), asText(args[1]), asText(args[2])),
    toSql: ([text, from, to]) =>
      letSql(
        { v: text ?? sql`null`, f: from ?? sql`null`, t: to ?? sql`null` },
        sql`case when _l.f = '' and _l.t is not null then _l.v
          when length(_l.v) = length(replace(_l.v, _l.f, '')) and _l.t is not null then _l.v
          when length(_l.v) + (length(_l.v) - length(replace(_l.v, _l.f, ''))) / nullif(length(_l.f), 0)::bigint * (length(_l.t) - length(_l.f)) <= ${MAX_TEXT}::integer then replace(_l.v, _l.f, _l.t) end`,
      ),
  },
  pad('padLeft', 'left', { text: "padLeft('7', 3, '0')", result: '007' }),
  pad('padRight', 'right', { text: "padRight('ab', 4, '.')", result: 'ab..' }),
  {
    name: 'split',
    parameters: ['text', 'text'],
    result: { kind: 'list', of: TEXT },
    pure: true,
    description: 'The parts of a text between separators; with an empty separator the text itself, of an empty text no part.',
    nulls: 'Null when there would be more than 1,000 parts.',
    examples: [{ text: "split('a,b,c', ',')", result: ['a', 'b', 'c'] }],
    evaluate: (args) => {
      const [text, separator] = [asText(args[0]), asText(args[1])];
      spendText(text.length);
      return text === '' ? [] : separator === '' ? [text] : makeList(text.split(separator, MAX_LIST + 1));
    },
    toSql: ([text, separator]) =>
      letSql(
        { a: letSql({ v: text ?? sql`null`, s: separator ?? sql`null` }, sql`case when _l.s is not null then string_to_array(_l.v, _l.s) end`) },
        sql`case when cardinality(_l.a) <= ${MAX_LIST}::integer then _l.a end`,
      ),
  },
  {
    name: 'join',
    parameters: ['list', 'text'],
    result: TEXT,
    pure: true,
    description: 'The texts of a list with a separator between them; nulls are left out.',
    nulls: TOO_LONG,
    examples: [{ text: "join(['a', null, 'b'], ', ')", result: 'a, b' }],
    evaluate: (args) => joined(asList(args[0]), asText(args[1])),
    toSql: ([list, separator]) => letSql({ v: sql`array_to_string(${list}, ${separator})` }, sql`case when length(_l.v) <= ${MAX_TEXT}::integer then _l.v end`),
  },
]);
