import { sql } from '../../sql.ts';
import { toDecimal } from '../decimal.ts';
import type { FunctionEntry } from '../types.ts';
import { letSql } from './let.sql.ts';

/** No text made by an expression is longer (in code points); what would be is null. */
export const MAX_TEXT = 100_000;

const BLANKS = ' \t\r\n\f\v\u00a0';
const UPPER = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ';
const LOWER = 'abcdefghijklmnopqrstuvwxyz';
const TEXT = { kind: 'text' } as const;
const BOOLEAN = { kind: 'boolean' } as const;
const NUMBER = { kind: 'number' } as const;

/** Length in code points. */
export function codePoints(text: string): number {
  let count = 0;
  for (let index = 0; index < text.length; index += 1) {
    const unit = text.charCodeAt(index);
    if (unit >= 0xd800 && unit <= 0xdbff) index += 1;
    count += 1;
  }
  return count;
}

/** Null when the text is too long. */
export function boundedText(text: string): string | null {
  return text.length <= MAX_TEXT || codePoints(text) <= MAX_TEXT ? text : null;
}

function asText(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

/** A count or position: a whole number within +-1,000,000, else null. */
function whole(value: unknown): number | null {
  const number = toDecimal(value);
  return typeof number === 'number' && Math.abs(number) <= 1_000_000 ? number : null;
}

const WHOLE = { n: sql`_l.n = trunc(_l.n) and abs(_l.n) <= 1000000`, m: sql`_l.m = trunc(_l.m) and abs(_l.m) <= 1000000` } as const;

function trimmed(text: string): string {
  let [start, end] = [0, text.length];
  while (start < end && BLANKS.includes(text.charAt(start))) start += 1;
  while (end > start && BLANKS.includes(text.charAt(end - 1))) end -= 1;
  return text.slice(start, end);
}

function padLeft(text: string, length: number, fill: string): string | null {
  const missing = length - codePoints(text);
  if (length > MAX_TEXT) return null;
  if (missing <= 0 || fill === '') return text;
  const points = Array.from(fill);
  let pad = '';
  for (let index = 0; index < missing; index += 1) pad += points[index % points.length] ?? '';
  return pad + text;
}

function test(
  name: string,
  description: string,
  evaluate: (text: string, part: string) => boolean,
  toSql: NonNullable<FunctionEntry['toSql']>,
): readonly [string, FunctionEntry] {
  return [
    name,
    { name, parameters: ['text', 'text'], result: BOOLEAN, pure: true, description, evaluate: ([text, part]) => evaluate(asText(text), asText(part)), toSql },
  ];
}

function change(
  name: string,
  description: string,
  evaluate: (text: string) => string,
  toSql: NonNullable<FunctionEntry['toSql']>,
): readonly [string, FunctionEntry] {
  return [name, { name, parameters: ['text'], result: TEXT, pure: true, description, evaluate: ([text]) => evaluate(asText(text)), toSql }];
}

/** Functions on text. All may also be written as methods: `name.startsWith('A')`. Lengths and positions count code points. */
export const TEXT_FUNCTIONS: readonly (readonly [string, FunctionEntry])[] = [
  test(
    'startsWith',
    'True when the text begins with the other.',
    (text, part) => text.startsWith(part),
    ([text, part]) => sql`starts_with(${text}, ${part})`,
  ),
  test(
    'endsWith',
    'True when the text ends with the other.',
    (text, part) => text.endsWith(part),
    ([text, part]) => letSql({ v: text ?? sql`null`, p: part ?? sql`null` }, sql`right(_l.v, length(_l.p)) = _l.p`),
  ),
  test(
    'contains',
    'True when the other text occurs in the text.',
    (text, part) => text.includes(part),
    // LIKE rather than strpos: with a constant part a trigram index serves.
    ([text, part]) => sql`(${text} like ('%' || replace(replace(replace(${part}, '\\', '\\\\'), '%', '\\%'), '_', '\\_') || '%'))`,
  ),
  [
    'size',
    {
      name: 'size',
      parameters: ['text'],
      result: NUMBER,
      pure: true,
      description: 'Number of characters (code points) of a text, or of elements of a list.',
      evaluate: ([text]) => codePoints(asText(text)),
      toSql: ([text]) => sql`length(${text})::numeric`,
    },
  ],
  [
    'size#2',
    {
      name: 'size',
      parameters: ['list'],
      result: NUMBER,
      pure: true,
      description: 'Number of elements of a list.',
      evaluate: ([list]) => (Array.isArray(list) ? list.length : null),
      toSql: ([list]) => sql`cardinality(${list})::numeric`,
    },
  ],
  change(
    'lower',
    'Latin letters A to Z made small.',
    (text) => text.replace(/[A-Z]+/g, (part) => part.toLowerCase()),
    ([text]) => sql`translate(${text}, ${UPPER}::text, ${LOWER}::text)`,
  ),
  change(
    'upper',
    'Latin letters a to z made capital.',
    (text) => text.replace(/[a-z]+/g, (part) => part.toUpperCase()),
    ([text]) => sql`translate(${text}, ${LOWER}::text, ${UPPER}::text)`,
  ),
  change('trim', 'Without blanks at both ends.', trimmed, ([text]) => sql`btrim(${text}, ${BLANKS}::text)`),
  [
    'substring',
    {
      name: 'substring',
      parameters: ['text', 'number', 'number'],
      optional: 1,
      result: TEXT,
      pure: true,
      description: 'The characters from position `start` (0 = first) up to, not including, `end`; positions beyond the text are cut.',
      evaluate: ([text, from, to]) => {
        const start = whole(from);
        const end = to === undefined ? 1_000_000 : whole(to);
        return start === null || end === null
          ? null
          : Array.from(asText(text))
              .slice(Math.max(0, start), Math.max(0, start, end))
              .join('');
      },
      toSql: ([text, from, to]) =>
        letSql(
          { v: text ?? sql`null`, n: from ?? sql`null`, m: to ?? sql`1000000::numeric` },
          sql`case when ${WHOLE.n} and ${WHOLE.m} then substr(_l.v, greatest(_l.n, 0)::integer + 1, greatest(_l.m - greatest(_l.n, 0), 0)::integer) end`,
        ),
    },
  ],
  [
    'replace',
    {
      name: 'replace',
      parameters: ['text', 'text', 'text'],
      result: TEXT,
      pure: true,
      description: 'The text with every occurrence of the second replaced by the third.',
      evaluate: ([text, from, to]) => (from === '' ? text : boundedText(asText(text).split(asText(from)).join(asText(to)))),
      toSql: ([text, from, to]) =>
        letSql(
          { v: text ?? sql`null`, f: from ?? sql`null`, t: to ?? sql`null` },
          sql`case when _l.f = '' and _l.t is not null then _l.v when length(_l.v) + (length(_l.v) - length(replace(_l.v, _l.f, ''))) / nullif(length(_l.f), 0) * (length(_l.t) - length(_l.f)) <= ${MAX_TEXT}::integer then replace(_l.v, _l.f, _l.t) end`,
        ),
    },
  ],
  [
    'padLeft',
    {
      name: 'padLeft',
      parameters: ['text', 'number', 'text'],
      optional: 1,
      result: TEXT,
      pure: true,
      description: 'The text filled on the left to a length, with blanks or the characters given.',
      evaluate: ([text, length, fill]) => {
        const wanted = whole(length);
        return wanted === null ? null : padLeft(asText(text), wanted, fill === undefined ? ' ' : asText(fill));
      },
      toSql: ([text, length, fill]) =>
        letSql(
          { v: text ?? sql`null`, n: length ?? sql`null`, f: fill ?? sql`' '` },
          sql`case when ${WHOLE.n} and _l.n <= ${MAX_TEXT}::integer and _l.f is not null then case when length(_l.v) >= _l.n then _l.v else lpad(_l.v, _l.n::integer, _l.f) end end`,
        ),
    },
  ],
  [
    'split',
    {
      name: 'split',
      parameters: ['text', 'text'],
      result: { kind: 'list', of: TEXT },
      pure: true,
      description: 'The parts of a text between separators; with an empty separator the text itself.',
      evaluate: ([text, separator]) => (text === '' ? [] : separator === '' ? [text] : asText(text).split(asText(separator))),
      toSql: ([text, separator]) =>
        letSql({ v: text ?? sql`null`, s: separator ?? sql`null` }, sql`case when _l.s is not null then string_to_array(_l.v, _l.s) end`),
    },
  ],
  [
    'join',
    {
      name: 'join',
      parameters: ['list', 'text'],
      result: TEXT,
      pure: true,
      description: 'The texts of a list with a separator between them; nulls are left out.',
      evaluate: ([list, separator]) => (Array.isArray(list) ? boundedText(list.filter((item) => item !== null).join(asText(separator))) : null),
      toSql: ([list, separator]) =>
        letSql({ v: sql`array_to_string(${list}, ${separator})` }, sql`case when length(_l.v) <= ${MAX_TEXT}::integer then _l.v end`),
    },
  ],
];
