import { isPlainDate } from './formats.ts';

/**
 * Coercion of what people and files send into the form that is stored. A parser never complains: what it cannot
 * understand it answers unchanged, and validation says what is wrong with it. Nothing written is null.
 */
export function parseText(input: unknown): unknown {
  if (typeof input !== 'string') return input;
  const trimmed = input.trim();
  return trimmed === '' ? null : trimmed.normalize('NFC');
}

/** Long text keeps its inner and leading space. */
export function parseLongText(input: unknown): unknown {
  if (typeof input !== 'string') return input;
  return input.trim() === '' ? null : input.replaceAll('\r\n', '\n').trimEnd().normalize('NFC');
}

export function parseEmail(input: unknown): unknown {
  const text = parseText(input);
  return typeof text === 'string' ? text.toLowerCase() : text;
}

/** Ten digits are a number of the US plan; anything else needs its country code. Stored as E.164 with an optional extension. */
export function parsePhone(input: unknown): unknown {
  const text = parseText(input);
  if (typeof text !== 'string') return text;
  const match = /^([+\d][\d\s().\-/]*\d|\([\d\s().\-/]*\d)(?:\s*(?:;ext=|x|ext\.?|extension)\s*(\d{1,7}))?$/i.exec(text);
  if (match === null) return text;
  const main = match[1] ?? '';
  const digits = main.replaceAll(/\D/g, '');
  const extension = match[2] === undefined ? '' : `;ext=${match[2]}`;
  if (main.startsWith('+')) return `+${digits}${extension}`;
  if (digits.length === 10) return `+1${digits}${extension}`;
  if (digits.length === 11 && digits.startsWith('1')) return `+${digits}${extension}`;
  return text;
}

export function parseInteger(input: unknown): unknown {
  const text = parseText(input);
  if (typeof text !== 'string') return text;
  const plain = text.replaceAll(/(?<=\d)[, ](?=\d{3}(\D|$))/g, '');
  return /^[+-]?\d{1,15}(\.0+)?$/.test(plain) ? Number(plain) : text;
}

/** Exact decimal text in its shortest form; `$`, `%` and thousands separators are taken off. */
export function parseDecimal(input: unknown): unknown {
  if (typeof input === 'number') return Number.isFinite(input) ? shortest(plainNotation(input)) : input;
  const text = parseText(input);
  if (typeof text !== 'string') return text;
  const bare = text.replace(/^([+-]?)\s*\$\s*/, '$1').replace(/\s*%$/, '');
  const plain = bare.replaceAll(/(?<=\d)[, ](?=\d{3}(\D|$))/g, '');
  return /^[+-]?(\d+(\.\d*)?|\.\d+)$/.test(plain) ? shortest(plain) : text;
}

function plainNotation(value: number): string {
  const text = String(value);
  return text.includes('e') ? value.toFixed(Math.abs(value) < 1 ? 12 : 0) : text;
}

function shortest(text: string): string {
  const isNegative = text.startsWith('-');
  const [whole = '', part = ''] = text.replace(/^[+-]/, '').split('.');
  const digits = whole.replace(/^0+(?=\d)/, '') || '0';
  const decimals = part.replace(/0+$/, '');
  const plain = decimals === '' ? digits : `${digits}.${decimals}`;
  return isNegative && plain !== '0' ? `-${plain}` : plain;
}

const TRUE = new Set(['true', 'yes', 'y', '1', 't', 'on']);
const FALSE = new Set(['false', 'no', 'n', '0', 'f', 'off']);

export function parseBoolean(input: unknown): unknown {
  const text = parseText(input);
  if (typeof text !== 'string') return text;
  const word = text.toLowerCase();
  if (TRUE.has(word)) return true;
  return FALSE.has(word) ? false : text;
}

/** ISO days, and the US form MM/DD/YYYY that files use. */
export function parseDate(input: unknown): unknown {
  const text = parseText(input);
  if (typeof text !== 'string') return text;
  const us = /^(\d{1,2})[/-](\d{1,2})[/-](\d{4})$/.exec(text);
  if (us === null) return text;
  const iso = `${us[3] ?? ''}-${(us[1] ?? '').padStart(2, '0')}-${(us[2] ?? '').padStart(2, '0')}`;
  return isPlainDate(iso) ? iso : text;
}

/** RFC 3339 with any offset, to UTC with milliseconds. An instant without a zone is not understood. */
export function parseInstant(input: unknown): unknown {
  const text = parseText(input);
  if (typeof text !== 'string') return text;
  const match = /^(\d{4}-\d{2}-\d{2})[Tt ](\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?)([Zz]|[+-]\d{2}:\d{2})$/.exec(text);
  if (match === null || !isPlainDate(match[1] ?? '')) return text;
  const ms = Date.parse(`${match[1] ?? ''}T${(match[2] ?? '').replace(/(\.\d{3})\d+$/, '$1')}${(match[3] ?? '').toUpperCase()}`);
  return Number.isNaN(ms) ? text : new Date(ms).toISOString();
}

export function parseTime(input: unknown): unknown {
  const text = parseText(input);
  if (typeof text !== 'string') return text;
  const match = /^(\d{1,2}):(\d{2})(?::00)?\s*([ap])?\.?m?\.?$/i.exec(text);
  if (match === null) return text;
  const half = match[3]?.toLowerCase();
  const hour = Number(match[1]);
  if (half !== undefined && (hour < 1 || hour > 12)) return text;
  const hours = half === undefined ? hour : (hour % 12) + (half === 'p' ? 12 : 0);
  return `${String(hours).padStart(2, '0')}:${match[2] ?? ''}`;
}

export function parseUuid(input: unknown): unknown {
  const text = parseText(input);
  return typeof text === 'string' ? text.toLowerCase() : text;
}

/** Lists come as arrays, or as text with semicolons. Empty is null. */
export function parseList(input: unknown): unknown {
  const list: unknown = typeof input === 'string' ? input.split(';') : input;
  if (!Array.isArray(list)) return list;
  const items = list.map(parseText).filter((item) => item !== null);
  return items.length === 0 ? null : [...new Set(items)];
}

/** A code, or a label or another spelling of a code, as files have them. */
export function parseCode(input: unknown, values: readonly { readonly code: string; readonly label: string }[]): unknown {
  const text = parseText(input);
  if (typeof text !== 'string' || values.some((value) => value.code === text)) return text;
  const wanted = text.toLowerCase();
  return (values.find((value) => value.code.toLowerCase() === wanted) ?? values.find((value) => value.label.toLowerCase() === wanted))?.code ?? text;
}

/** Members trimmed, empty ones left out, nine digits of a ZIP code written with its dash. */
export function parseAddress(input: unknown): unknown {
  if (typeof input !== 'object' || input === null || Array.isArray(input)) return parseText(input);
  const members: Record<string, unknown> = {};
  for (const [name, member] of Object.entries(input)) {
    const parsed = parseText(member);
    if (parsed !== null && parsed !== undefined)
      members[name] = name === 'postalCode' && typeof parsed === 'string' ? parsed.replace(/^(\d{5})-?(\d{4})$/, '$1-$2') : parsed;
  }
  return Object.keys(members).length === 0 ? null : members;
}

/** A reference to one of several objects: `{object, id}`. */
export function parsePolymorphic(input: unknown): unknown {
  if (typeof input !== 'object' || input === null || Array.isArray(input)) return parseUuid(input);
  return 'id' in input ? { ...input, id: parseUuid(input.id) } : input;
}
