import Handlebars from 'handlebars';
import { DateTime } from 'luxon';

/** Raised inside a template when a value that must be shown is missing; the engine adds template and place. */
export class MissingValue extends Error {
  readonly variable: string;

  constructor(variable: string) {
    super(`the variable "${variable}" has no value`);
    this.name = 'MissingValue';
    this.variable = variable;
  }
}

/** Raised when a helper is given something it cannot show. */
export class BadHelperInput extends Error {}

type Helper = (zone: string, args: readonly unknown[]) => unknown;

function isMissing(value: unknown): boolean {
  return value === null || value === undefined || value === '';
}

function moment(zone: string, value: unknown, helper: string): DateTime {
  if (isMissing(value)) throw new MissingValue(`(${helper})`);
  const text = String(value);
  const parsed = /^\d{4}-\d{2}-\d{2}$/.test(text) ? DateTime.fromISO(text, { zone }) : DateTime.fromISO(text, { setZone: true }).setZone(zone);
  if (!parsed.isValid) throw new BadHelperInput(`the helper "${helper}" needs a day or an instant`);
  return parsed.setLocale('en-US');
}

function isNumericText(text: string): text is `${number}` {
  return /^-?\d+(?:\.\d+)?$/.test(text);
}

function formatNumber(value: unknown, helper: string, options: Intl.NumberFormatOptions): string {
  if (isMissing(value)) throw new MissingValue(`(${helper})`);
  const text = String(value);
  if (!isNumericText(text)) throw new BadHelperInput(`the helper "${helper}" needs a number`);
  return new Intl.NumberFormat('en-US', options).format(text);
}

function format(args: readonly unknown[], fallback: string): string {
  return typeof args[1] === 'string' ? args[1] : fallback;
}

function list(value: unknown, helper: string): readonly unknown[] {
  if (!Array.isArray(value)) throw new BadHelperInput(`the helper "${helper}" needs a list`);
  return value;
}

/** The allow-list: nothing else can be called from a template. All are pure. */
export const TEMPLATE_HELPERS: Readonly<Record<string, Helper>> = {
  /** A day in words (`January 5, 2026`), or by a Luxon format. */
  date: (zone, args) => moment(zone, args[0], 'date').toFormat(format(args, 'MMMM d, yyyy')),
  /** An instant in the plan's zone. */
  dateTime: (zone, args) => moment(zone, args[0], 'dateTime').toFormat(format(args, "MMMM d, yyyy 'at' h:mm a ZZZZ")),
  money: (_zone, args) => formatNumber(args[0], 'money', { style: 'currency', currency: 'USD' }),
  number: (_zone, args) => formatNumber(args[0], 'number', { maximumFractionDigits: 6 }),
  percent: (_zone, args) => `${formatNumber(args[0], 'percent', { maximumFractionDigits: 2 })} %`,
  eq: (_zone, args) => args[0] === args[1],
  ne: (_zone, args) => args[0] !== args[1],
  and: (_zone, args) => args.every((value) => value === true || (!isMissing(value) && value !== false)),
  or: (_zone, args) => args.some((value) => value === true || (!isMissing(value) && value !== false)),
  not: (_zone, args) => isMissing(args[0]) || args[0] === false,
  /** The value, or nothing: says that it may be empty. */
  optional: (_zone, args) => (isMissing(args[0]) ? '' : args[0]),
  default: (_zone, args) => (isMissing(args[0]) ? args[1] : args[0]),
  /** Text of several lines, each kept as one. */
  lines: (_zone, args) => {
    if (isMissing(args[0])) throw new MissingValue('(lines)');
    return new Handlebars.SafeString(Handlebars.escapeExpression(String(args[0])).replace(/\r?\n/g, '<br>'));
  },
  upper: (_zone, args) => String(args[0] ?? '').toUpperCase(),
  lower: (_zone, args) => String(args[0] ?? '').toLowerCase(),
  count: (_zone, args) => list(args[0], 'count').length,
  join: (_zone, args) => list(args[0], 'join').map(String).join(format(args, ', ')),
  /** Position for people, from a zero-based `@index`. */
  ordinal: (_zone, args) => Number(args[0]) + 1,
  /** Made by the engine around each plain `{{variable}}`: a value that is missing stops the rendering. */
  __value: (_zone, args) => {
    if (isMissing(args[0])) throw new MissingValue(String(args[1]));
    if (typeof args[0] === 'object' && !(args[0] instanceof Handlebars.SafeString))
      throw new BadHelperInput(`the variable "${String(args[1])}" holds several values, so name one of them`);
    return args[0];
  },
};
