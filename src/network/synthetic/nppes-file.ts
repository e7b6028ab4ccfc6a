import type { RandomBytes } from '../../platform/ids.ts';
import { withCheckDigit } from '../npi/npi.ts';

/** Columns before, between and after the repeated groups of the NPPES dissemination file (329 columns, as of 2018). */
const LEADING = [
  'NPI',
  'Entity Type Code',
  'Replacement NPI',
  'Employer Identification Number (EIN)',
  'Provider Organization Name (Legal Business Name)',
  'Provider Last Name (Legal Name)',
  'Provider First Name',
  'Provider Middle Name',
  'Provider Name Prefix Text',
  'Provider Name Suffix Text',
  'Provider Credential Text',
  'Provider Other Organization Name',
  'Provider Other Organization Name Type Code',
  'Provider Other Last Name',
  'Provider Other First Name',
  'Provider Other Middle Name',
  'Provider Other Name Prefix Text',
  'Provider Other Name Suffix Text',
  'Provider Other Credential Text',
  'Provider Other Last Name Type Code',
  ...addressColumns('Mailing'),
  ...addressColumns('Practice Location'),
  'Provider Enumeration Date',
  'Last Update Date',
  'NPI Deactivation Reason Code',
  'NPI Deactivation Date',
  'NPI Reactivation Date',
  'Provider Gender Code',
  'Authorized Official Last Name',
  'Authorized Official First Name',
  'Authorized Official Middle Name',
  'Authorized Official Title or Position',
  'Authorized Official Telephone Number',
];
const TRAILING = [
  'Is Sole Proprietor',
  'Is Organization Subpart',
  'Parent Organization LBN',
  'Parent Organization TIN',
  'Authorized Official Name Prefix Text',
  'Authorized Official Name Suffix Text',
  'Authorized Official Credential Text',
];

function addressColumns(kind: string): readonly string[] {
  const place = `Business ${kind} Address`;
  return [
    `Provider First Line ${place}`,
    `Provider Second Line ${place}`,
    `Provider ${place} City Name`,
    `Provider ${place} State Name`,
    `Provider ${place} Postal Code`,
    `Provider ${place} Country Code (If outside U.S.)`,
    `Provider ${place} Telephone Number`,
    `Provider ${place} Fax Number`,
  ];
}

const numbered = (count: number, names: readonly string[]): readonly string[] =>
  Array.from({ length: count }, (_, index) => names.map((name) => `${name}_${String(index + 1)}`)).flat();

/** The file's header: 329 columns in its order. */
export const NPPES_COLUMNS: readonly string[] = [
  ...LEADING,
  ...numbered(15, [
    'Healthcare Provider Taxonomy Code',
    'Provider License Number',
    'Provider License Number State Code',
    'Healthcare Provider Primary Taxonomy Switch',
  ]),
  ...numbered(50, ['Other Provider Identifier', 'Other Provider Identifier Type Code', 'Other Provider Identifier State', 'Other Provider Identifier Issuer']),
  ...TRAILING,
  ...numbered(15, ['Healthcare Provider Taxonomy Group']),
];

const FIRST_NAMES = [
  'Ada',
  'Ben',
  'Carla',
  'Dev',
  'Elena',
  'Farid',
  'Grace',
  'Hugo',
  'Ines',
  'Jonas',
  'Keiko',
  'Liam',
  'Maya',
  'Nils',
  'Olga',
  'Paulo',
  'Quinn',
  'Rosa',
  'Samir',
  'Tess',
];
const LAST_NAMES = [
  'Alder',
  'Birch',
  'Cedar',
  'Dogwood',
  'Elmhurst',
  'Fernwood',
  'Ginkgo',
  'Hawthorn',
  'Ironwood',
  'Juniper',
  'Larch',
  'Mapleton',
  'Oakes',
  'Pinewood',
  'Redbud',
  'Sequoia',
  'Tamarack',
  'Willows',
  'Yewdale',
  'Zelkova',
];
const PLACES = [
  { city: 'SPRINGFIELD', state: 'MA', zip: '01101' },
  { city: 'WORCESTER', state: 'MA', zip: '01601' },
  { city: 'PROVIDENCE', state: 'RI', zip: '02901' },
  { city: 'NEWPORT', state: 'RI', zip: '02840' },
  { city: 'BOSTON', state: 'MA', zip: '02101' },
];
/** Taxonomy codes as file content (never the code set itself), with the credential that goes with each. */
const SPECIALTIES = [
  { code: '207Q00000X', credential: 'M.D.' },
  { code: '207R00000X', credential: 'M.D.' },
  { code: '208000000X', credential: 'D.O.' },
  { code: '207RC0000X', credential: 'M.D.' },
  { code: '363LF0000X', credential: 'NP' },
];

export interface SyntheticOptions {
  readonly rows: number;
  readonly random: RandomBytes;
  /** Family names and ZIP codes as many as a country has, for files of hundreds of thousands of rows; 20 names at 5 places otherwise. */
  readonly isCountry?: boolean;
}

function picker(random: RandomBytes) {
  const number = (below: number): number => {
    const [a = 0, b = 0, c = 0] = random(3);
    return (a * 65_536 + b * 256 + c) % below;
  };
  return {
    number,
    of: <T>(list: readonly [T, ...T[]] | readonly T[]): T => {
      const found = list[number(list.length)];
      if (found === undefined) throw new RangeError('Nothing to choose from.');
      return found;
    },
  };
}

/** One invented provider: NPIs below 1001000000, which were never assigned; names and addresses of nobody. */
function providerRow(index: number, random: RandomBytes, isCountry: boolean): ReadonlyMap<string, string> {
  const { number, of } = picker(random);
  const organization = index % 25 === 24;
  const place = isCountry ? { ...of(PLACES), zip: String(10_000 + number(40_000)) } : of(PLACES);
  const familyName = (): string => (isCountry ? `${of(LAST_NAMES)}${of(FIRST_NAMES)}${of(LAST_NAMES)}` : of(LAST_NAMES)).toUpperCase();
  const specialty = of(SPECIALTIES);
  const gender = of(['F', 'M']);
  const zip4 = String(1000 + number(9000));
  const street = `${String(1 + number(900))} ${of(LAST_NAMES).toUpperCase()} ST`;
  const phone = `555${String(1_000_000 + number(8_999_999))}`;
  const values = new Map<string, string>([
    ['NPI', withCheckDigit(String(100_000_000 + index))],
    ['Entity Type Code', organization ? '2' : '1'],
    ['Provider Enumeration Date', '05/23/2010'],
    ['Last Update Date', '07/08/2017'],
    ['Provider First Line Business Mailing Address', street],
    ['Provider Business Mailing Address City Name', place.city],
    ['Provider Business Mailing Address State Name', place.state],
    ['Provider Business Mailing Address Postal Code', `${place.zip}${zip4}`],
    ['Provider Business Mailing Address Country Code (If outside U.S.)', 'US'],
    ['Provider First Line Business Practice Location Address', street],
    ['Provider Business Practice Location Address City Name', place.city],
    ['Provider Business Practice Location Address State Name', place.state],
    ['Provider Business Practice Location Address Postal Code', `${place.zip}${zip4}`],
    ['Provider Business Practice Location Address Country Code (If outside U.S.)', 'US'],
    ['Provider Business Practice Location Address Telephone Number', phone],
  ]);
  if (organization) {
    values.set('Provider Organization Name (Legal Business Name)', `${of(LAST_NAMES).toUpperCase()} FAMILY HEALTH ${String(index)} LLC`);
    values.set('Authorized Official Last Name', of(LAST_NAMES).toUpperCase());
    values.set('Authorized Official First Name', of(FIRST_NAMES).toUpperCase());
    values.set('Healthcare Provider Taxonomy Code_1', '261QP2300X');
  } else {
    values.set('Provider Last Name (Legal Name)', familyName());
    values.set('Provider First Name', of(FIRST_NAMES).toUpperCase());
    values.set('Provider Credential Text', specialty.credential);
    values.set('Provider Gender Code', gender);
    // One row in ten has its primary taxonomy second, one in ten has no primary switch: both occur in real files.
    const second = index % 10 === 3;
    const group = second ? 2 : 1;
    if (second) {
      values.set('Healthcare Provider Taxonomy Code_1', '390200000X');
      values.set('Healthcare Provider Primary Taxonomy Switch_1', 'N');
    }
    values.set(`Healthcare Provider Taxonomy Code_${String(group)}`, specialty.code);
    values.set(`Provider License Number_${String(group)}`, `MD${String(10_000 + index)}`);
    values.set(`Provider License Number State Code_${String(group)}`, place.state);
    if (index % 10 !== 7) values.set(`Healthcare Provider Primary Taxonomy Switch_${String(group)}`, 'Y');
    if (index % 50 === 11) {
      values.set('NPI Deactivation Date', '02/03/2015');
      values.set('NPI Reactivation Date', '02/20/2015');
    }
  }
  return values;
}

const quoted = (text: string): string => `"${text.replaceAll('"', '""')}"`;

/** A file in the layout of NPPES with invented providers; the same seed gives the same bytes. Yields line by line. */
export function* syntheticNppes({ rows, random, isCountry = false }: SyntheticOptions): Generator<string> {
  yield `${NPPES_COLUMNS.map(quoted).join(',')}\n`;
  for (let index = 0; index < rows; index += 1) {
    const values = providerRow(index, random, isCountry);
    yield `${NPPES_COLUMNS.map((column) => quoted(values.get(column) ?? '')).join(',')}\n`;
  }
}
