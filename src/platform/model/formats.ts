/** Whether texts are what their format says. Plain functions: no expression here can run long on hostile input. */
export type FormatCheck = (text: string) => boolean;

const DAYS_IN_MONTH = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] as const;

/** `YYYY-MM-DD`, a day that exists, years 0001 to 9999. */
export function isPlainDate(text: string): boolean {
  const match = /^(\d{4})-(\d{2})-(\d{2})$/.exec(text);
  if (match === null) return false;
  const [year, month, day] = [Number(match[1]), Number(match[2]), Number(match[3])];
  if (year < 1 || month < 1 || month > 12 || day < 1) return false;
  const isLeap = (year % 4 === 0 && year % 100 !== 0) || year % 400 === 0;
  return day <= (month === 2 && isLeap ? 29 : (DAYS_IN_MONTH[month - 1] ?? 0));
}

/** RFC 3339 in UTC with milliseconds, as instants are stored and answered. */
export function isInstant(text: string): boolean {
  const match = /^(\d{4}-\d{2}-\d{2})T([01]\d|2[0-3]):[0-5]\d:[0-5]\d\.\d{3}Z$/.exec(text);
  return match !== null && isPlainDate(match[1] ?? '');
}

function isEmail(text: string): boolean {
  const at = text.lastIndexOf('@');
  const [local, domain] = [text.slice(0, at), text.slice(at + 1)];
  if (at < 1 || text.length > 254 || local.length > 64) return false;
  if (!/^[^\s@<>(),;:"[\]\\]+$/.test(local) || local.startsWith('.') || local.endsWith('.') || local.includes('..')) return false;
  const labels = domain.split('.');
  return labels.length > 1 && labels.every((label) => /^[\p{L}\p{N}]([\p{L}\p{N}-]{0,61}[\p{L}\p{N}])?$/u.test(label));
}

function isUrl(text: string): boolean {
  return /^https?:\/\//i.test(text) && URL.canParse(text);
}

/** Latitude and longitude in decimal degrees, as `parseGeo` writes them: `42.1015,-72.5898`. */
export function isGeo(text: string): boolean {
  const match = /^(-?(?:0|[1-9]\d?)(?:\.\d{1,7})?),(-?(?:0|[1-9]\d{0,2})(?:\.\d{1,7})?)$/.exec(text);
  return match !== null && Math.abs(Number(match[1])) <= 90 && Math.abs(Number(match[2])) <= 180;
}

/** Formats by name, as the JSON Schemas of records use them. */
export const FORMATS: Readonly<Record<string, FormatCheck>> = {
  uuid: (text) => /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/.test(text),
  date: isPlainDate,
  'date-time': isInstant,
  time: (text) => /^([01]\d|2[0-3]):[0-5]\d$/.test(text),
  duration: (text) =>
    /^-?P(?=\d|T\d)(\d{1,6}Y)?(\d{1,6}M)?(\d{1,6}W)?(\d{1,6}D)?(T(?=\d)(\d{1,6}H)?(\d{1,6}M)?(\d{1,6}S)?)?$/.test(text) || /^-?P\d{1,6}BD$/.test(text),
  email: isEmail,
  uri: isUrl,
  geo: isGeo,
  phone: (text) => /^\+\d{8,15}(;ext=\d{1,7})?$/.test(text),
  decimal: (text) => /^-?(0|[1-9]\d{0,27})(\.\d{1,12})?$/.test(text),
};
