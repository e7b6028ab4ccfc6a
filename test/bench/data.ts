import { createWriteStream } from 'node:fs';
import { once } from 'node:events';
import { finished } from 'node:stream/promises';
import { withCheckDigit } from '../../src/network/npi/npi.ts';

/** One synthetic record: field name to value, as the API takes it. Nobody in it exists. */
export type Values = Readonly<Record<string, string | number | boolean | readonly string[]>>;

const FIRST = ['Ana', 'Ben', 'Chloe', 'David', 'Elena', 'Farid', 'Grace', 'Hugo', 'Ines', 'Jonas', 'Kira', 'Liam', 'Mona', 'Nils', 'Olga', 'Paul'];
const LAST = ['Abbott', 'Brandt', 'Castro', 'Dubois', 'Ellison', 'Fischer', 'Garcia', 'Hansen', 'Ivanova', 'Jensen', 'Kowalski', 'Larsen', 'Moreau'];
const STREETS = ['Main Street', 'Elm Street', 'Harbor Road', 'Mill Lane', 'College Avenue', 'Park Drive', 'River Street'];
const PLACES = [
  ['Springfield', 'Hampden', '01101'],
  ['Worcester', 'Worcester', '01601'],
  ['Boston', 'Suffolk', '02108'],
  ['Lowell', 'Middlesex', '01850'],
  ['Salem', 'Essex', '01970'],
  ['Quincy', 'Norfolk', '02169'],
  ['Pittsfield', 'Berkshire', '01201'],
  ['Fall River', 'Bristol', '02720'],
] as const;
const STATES = ['MA', 'RI', 'CT', 'NH'] as const;
const TYPES = ['pcp', 'specialist', 'behavioral-health', 'ancillary', 'ltss'] as const;
const SPECIALTIES = [
  ['207Q00000X', 'Family Medicine'],
  ['207R00000X', 'Internal Medicine'],
  ['208000000X', 'Pediatrics'],
  ['207RC0000X', 'Cardiovascular Disease'],
  ['101YM0800X', 'Mental Health Counselor'],
  ['225100000X', 'Physical Therapist'],
] as const;

/** A number below `limit` that depends on the record and the field only, so that every run makes the same data. */
function pick(index: number, field: number, limit: number): number {
  let hash = Math.imul(index + 1, 0x9e3779b1) ^ Math.imul(field + 1, 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d);
  hash = Math.imul(hash ^ (hash >>> 12), 0x297a2d39);
  return ((hash ^ (hash >>> 15)) >>> 0) % limit;
}

function choose<T>(list: readonly T[], index: number, field: number): T {
  const found = list[pick(index, field, list.length)];
  if (found === undefined) throw new RangeError('Nothing to choose from.');
  return found;
}

function day(index: number, field: number, firstYear: number, years: number): string {
  const at = Date.UTC(firstYear, 0, 1) + pick(index, field, years * 365) * 86_400_000;
  return new Date(at).toISOString().slice(0, 10);
}

const phone = (index: number, field: number): string => `+1 413 555 ${String(pick(index, field, 10_000)).padStart(4, '0')}`;

const LETTERS = 26;
const WORD_LENGTH = 6;
/** A prime, so that neighbouring numbers have words that are not alike and no two the same one. */
const SPREAD = 39_916_801;

/** A word of six letters that no other record has, whatever the number of records: digits would stand in NPIs and addresses too. */
function wordOf(index: number): string {
  let rest = (index * SPREAD) % LETTERS ** WORD_LENGTH;
  let word = '';
  for (let at = 0; at < WORD_LENGTH; at += 1) {
    word += String.fromCharCode(97 + (rest % LETTERS));
    rest = Math.floor(rest / LETTERS);
  }
  return `${word.charAt(0).toUpperCase()}${word.slice(1)}`;
}

/** The provider number `index`: 26 filled fields. */
export function providerValues(index: number): Values {
  const first = choose(FIRST, index, 1);
  const last = choose(LAST, index, 2);
  const [code, specialty] = choose(SPECIALTIES, index, 3);
  const [city, county, zip] = choose(PLACES, index, 4);
  const [mailingCity, mailingCounty, mailingZip] = choose(PLACES, index, 5);
  return {
    npi: withCheckDigit(String(100_000_000 + index)),
    name: `${first} ${last} ${wordOf(index)}`,
    entityType: 'individual',
    type: choose(TYPES, index, 6),
    firstName: first,
    lastName: last,
    credential: 'MD',
    gender: choose(['female', 'male', 'undisclosed'], index, 7),
    taxonomyCode: code,
    specialty,
    languages: ['en', choose(['es', 'pt', 'fr'], index, 8)],
    email: `provider${String(index)}@practice.example`,
    phone: phone(index, 9),
    practiceAddressLine1: `${String(1 + pick(index, 10, 900))} ${choose(STREETS, index, 11)}`,
    practiceCity: city,
    practiceState: choose(STATES, index, 12),
    practiceZip: zip,
    practiceCounty: county,
    mailingAddressLine1: `${String(1 + pick(index, 13, 900))} ${choose(STREETS, index, 14)}`,
    mailingCity,
    mailingState: 'MA',
    mailingZip,
    mailingCounty,
    enumeratedOn: day(index, 15, 2006, 12),
    acceptsNewPatients: pick(index, 16, 2) === 1,
    nextVisitDueOn: day(index, 17, 2026, 2),
  };
}

/** The visit number `index`, of one of the given providers. */
export function visitValues(index: number, providers: readonly string[]): Values {
  return {
    provider: choose(providers, index, 21),
    channel: choose(['office', 'telephone', 'email'], index, 22),
    purpose: choose(['orientation', 'routine', 'ad-hoc', 'follow-up'], index, 23),
    dueOn: day(index, 24, 2026, 2),
    heldOn: day(index, 25, 2024, 2),
    attendees: `${choose(FIRST, index, 26)} ${choose(LAST, index, 27)}, office manager`,
    discussion: `Panel, billing and the directory were gone through; item ${String(index)} stays open.`,
    nextVisitOn: day(index, 28, 2027, 1),
  };
}

function cell(value: Values[string]): string {
  const text = typeof value === 'object' ? value.join(';') : String(value);
  return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** Writes records as CSV with the field names as header. */
export async function writeCsv(path: string, records: Iterable<Values>): Promise<void> {
  const file = createWriteStream(path);
  let block = '';
  let isFirst = true;
  for (const record of records) {
    if (isFirst) block += `${Object.keys(record).join(',')}\n`;
    isFirst = false;
    block += `${Object.values(record).map(cell).join(',')}\n`;
    if (block.length > 1_000_000) {
      if (!file.write(block)) await once(file, 'drain');
      block = '';
    }
  }
  file.end(block);
  await finished(file);
}

/** The records numbered `from` up to and without `to`. */
export function* records(from: number, to: number, make: (index: number) => Values): Generator<Values> {
  for (let index = from; index < to; index += 1) yield make(index);
}
