import type { RecordData } from '../../platform/query/types.ts';

export type PageAnswers = Readonly<Record<string, string | readonly string[]>>;

/** The pages of the application with what an invented doctor answers; what the plan knows already is filled in. */
export interface ApplicationAnswers {
  readonly page: string;
  readonly fields: PageAnswers;
  readonly rows?: { readonly relation: string; readonly fields: PageAnswers };
}

const HOSPITALS = ['Riverbend General Hospital', 'Saint Alder Medical Center', 'Mill Valley Hospital'];
const SCHOOLS = ['Northern Example Medical School', 'Example State University', 'Coastal Example College of Medicine'];
const INSURERS = ['Example Mutual', 'Physicians Example Reciprocal', 'New Harbor Assurance'];
const STREETS = ['Maple Street', 'Station Road', 'Mill Lane', 'College Avenue', 'River Road'];
const SPECIALTIES: Readonly<Record<string, string>> = {
  '207Q00000X': 'Family medicine',
  '207R00000X': 'Internal medicine',
  '208000000X': 'Pediatrics',
};

function pick(list: readonly string[], index: number): string {
  return list[index % list.length] ?? '';
}

/** A number with the check digit that the DEA uses. */
function deaNumber(lastName: string, index: number): string {
  const digits = String(123_456 + 7919 * index).slice(-6);
  const at = (place: number): number => Number(digits[place]);
  const check = (at(0) + at(2) + at(4) + 2 * (at(1) + at(3) + at(5))) % 10;
  return `B${lastName.slice(0, 1).toUpperCase()}${digits}${String(check)}`;
}

const inWords = (text: unknown): string =>
  String(text)
    .toLowerCase()
    .replace(/\b[a-z]/g, (letter) => letter.toUpperCase());

/** What the person behind a lead answers. `year` is the one in which the form is filled in. */
export function answersOf(lead: RecordData, index: number, year: number): readonly ApplicationAnswers[] {
  const born = 1962 + ((index * 7) % 24);
  const hospital = pick(HOSPITALS, index);
  const day = (years: number, rest: string): string => `${String(years)}-${rest}`;
  const phone = `+1 413 555 0${String(110 + index)}`;
  const state = String(lead['practiceState'] ?? 'MA');
  const disclosures = ['License', 'Dea', 'Privileges', 'Malpractice', 'Insurance', 'Sanction', 'Felony', 'Impairment'];
  return [
    { page: 'about-you', fields: { providerType: 'pcp', birthDate: day(born, '04-05') } },
    { page: 'contact', fields: { phone } },
    {
      page: 'professional-ids',
      fields: { prescribes: 'true', deaNumber: deaNumber(String(lead['lastName']), index), deaState: state, deaExpiresOn: day(year + 2, '05-31') },
    },
    {
      page: 'licenses',
      fields: {},
      rows: {
        relation: 'licenses',
        fields: { type: 'physician', state, number: String(240_100 + 37 * index), expiresOn: day(year + 2, '04-05') },
      },
    },
    {
      page: 'education',
      fields: {
        school: pick(SCHOOLS, index),
        degree: 'MD',
        graduatedOn: day(born + 26, '06-01'),
        residencyProgram: hospital,
        residencyCompletedOn: day(born + 29, '06-30'),
        inTraining: 'false',
      },
    },
    {
      page: 'specialty',
      fields: {
        specialty: SPECIALTIES[String(lead['taxonomyCode'])] ?? 'Primary care',
        boardStatus: 'certified',
        boardName: 'Example Board of Medicine',
        boardCertifiedOn: day(born + 30, '01-15'),
        languages: index % 2 === 0 ? ['en', 'es'] : ['en'],
        acceptsNewPatients: 'true',
      },
    },
    {
      page: 'work-history',
      fields: { employer: `${inWords(lead['lastName'])} Primary Care`, employedSince: day(born + 30, '02-01'), workGaps: 'false' },
    },
    {
      page: 'practice-locations',
      fields: {},
      rows: {
        relation: 'locations',
        fields: {
          locationName: 'Main office',
          addressLine1: `${String(5 + 13 * index)} ${pick(STREETS, index)}`,
          city: inWords(lead['practiceCity']),
          state,
          zip: String(lead['practiceZip']),
          phone,
        },
      },
    },
    { page: 'hospital', fields: { hasPrivileges: 'true', hospitalName: hospital, privilegeStatus: 'active' } },
    {
      page: 'malpractice',
      fields: {
        malpracticeCarrier: pick(INSURERS, index),
        malpracticePolicyNumber: `P-${String(70_400 + 91 * index)}`,
        malpracticeCoverageType: 'occurrence',
        malpracticePerOccurrence: '1,000,000',
        malpracticeAggregate: '3,000,000',
        malpracticeEffectiveFrom: day(year - 1, '07-01'),
        malpracticeExpiresOn: day(year + 1, '06-30'),
      },
    },
    { page: 'disclosures', fields: Object.fromEntries(disclosures.map((name) => [`disclosure${name}`, 'false'])) },
  ];
}

/** A certificate of one page, as PDF. */
export function certificate(words: string): Uint8Array {
  const text = `BT /F1 14 Tf 60 720 Td (${words.replace(/[()\\]/g, '')}) Tj ET`;
  const objects = [
    '<< /Type /Catalog /Pages 2 0 R >>',
    '<< /Type /Pages /Kids [3 0 R] /Count 1 >>',
    '<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>',
    `<< /Length ${String(text.length)} >>\nstream\n${text}\nendstream`,
    '<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>',
  ];
  let file = '%PDF-1.4\n';
  const places: string[] = [];
  for (const [index, body] of objects.entries()) {
    places.push(`${String(file.length).padStart(10, '0')} 00000 n \n`);
    file += `${String(index + 1)} 0 obj\n${body}\nendobj\n`;
  }
  const size = String(objects.length + 1);
  const table = `xref\n0 ${size}\n0000000000 65535 f \n${places.join('')}trailer\n<< /Size ${size} /Root 1 0 R >>\nstartxref\n${String(file.length)}\n%%EOF\n`;
  return Buffer.from(file + table, 'latin1');
}
