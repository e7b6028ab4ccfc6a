import { isGeo, isPlainDate } from './formats.ts';

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

/** Lists come as arrays, as text with semicolons, or as the text of an array. Empty is null. */
export function parseList(input: unknown): unknown {
  const given = typeof input === 'string' ? structured(input) : input;
  const list: unknown = typeof input === 'string' && !Array.isArray(given) ? input.split(';') : given;
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

/** Text that holds a list or an object of JSON, as files do, is what it holds; all else stays as it is. */
function structured(text: string): unknown {
  if (!/^\s*[[{]/.test(text)) return text;
  try {
    const value: unknown = JSON.parse(text);
    return value;
  } catch (error) {
    if (error instanceof SyntaxError) return text;
    throw error;
  }
}

/** JSON of any shape. */
export function parseJson(input: unknown): unknown {
  if (typeof input !== 'string') return input;
  return input.trim() === '' ? null : structured(input);
}

/** Members trimmed, empty ones left out, nine digits of a ZIP code written with its dash. */
export function parseAddress(input: unknown): unknown {
  const given = typeof input === 'string' ? structured(input) : input;
  if (typeof given !== 'object' || given === null || Array.isArray(given)) return parseText(input);
  const members: Record<string, unknown> = {};
  for (const [name, member] of Object.entries(given)) {
    const parsed = parseText(member);
    if (parsed !== null && parsed !== undefined)
      members[name] = name === 'postalCode' && typeof parsed === 'string' ? parsed.replace(/^(\d{5})-?(\d{4})$/, '$1-$2') : parsed;
  }
  return Object.keys(members).length === 0 ? null : members;
}

/**
 * A point on the earth as maps show it, latitude first: two numbers of decimal degrees with a comma, semicolon or space
 * between, or `{latitude, longitude}`. Kept to seven places, which is a centimetre.
 */
export function parseGeo(input: unknown): unknown {
  const parts = geoParts(input);
  if (parts === null) return parseText(input);
  const text = parts.map((part) => shortest(rounded(part))).join();
  return isGeo(text) ? text : parseText(input);
}

const DEGREES = /^[+-]?\d{1,3}(\.\d{1,20})?$/;

function geoParts(input: unknown): readonly string[] | null {
  const given: readonly unknown[] =
    typeof input === 'string'
      ? input.trim().split(/\s*[,;]\s*|\s+/)
      : typeof input === 'object' && input !== null && 'latitude' in input && 'longitude' in input && Object.keys(input).length === 2
        ? [input.latitude, input.longitude]
        : [];
  const texts = given.flatMap((part) => (typeof part === 'string' || typeof part === 'number' ? [String(part).trim()] : []));
  return texts.length === 2 && texts.every((text) => DEGREES.test(text)) ? texts : null;
}

/** Decimal text at seven places, half away from zero. */
function rounded(text: string): string {
  const [whole = '', part = ''] = text.replace(/^[+-]/, '').split('.');
  const digits = BigInt(`${whole}${part.slice(0, 7).padEnd(7, '0')}`) + (Number(part[7] ?? '0') >= 5 ? 1n : 0n);
  const all = String(digits).padStart(8, '0');
  return `${text.startsWith('-') ? '-' : ''}${all.slice(0, -7)}.${all.slice(-7)}`;
}

/** A reference to one of several objects: `{object, id}`, or `Object/id` in files. */
export function parsePolymorphic(input: unknown): unknown {
  const written = typeof input === 'string' ? /^\s*([A-Z][A-Za-z0-9]{0,59})\/([0-9A-Fa-f-]{36})\s*$/.exec(input) : null;
  if (written !== null) return { object: written[1], id: (written[2] ?? '').toLowerCase() };
  if (typeof input !== 'object' || input === null || Array.isArray(input)) return parseUuid(input);
  return 'id' in input ? { ...input, id: parseUuid(input.id) } : input;
}
