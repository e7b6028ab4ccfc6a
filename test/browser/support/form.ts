import type { Locator, Page } from 'playwright-core';

/** What is typed or chosen, by the name of the input. */
export type Answers = Readonly<Record<string, string | readonly string[]>>;

/** A PNG of one pixel, as a photo of a certificate. */
const CERTIFICATE = {
  name: 'certificate.png',
  mimeType: 'image/png',
  buffer: Buffer.from('iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==', 'base64'),
};

/** Everything that the form of a family doctor asks, optional questions too. */
export const FAMILY_DOCTOR: Answers = {
  entityType: 'individual',
  providerType: 'pcp',
  npi: '1000000004',
  firstName: 'Ada',
  middleName: 'M',
  lastName: 'Alder',
  suffix: 'Jr',
  otherNames: 'Ada Birch',
  credential: 'MD',
  gender: 'female',
  birthDate: '1975-04-01',
  email: 'ada@practice.example',
  phone: '413 555 0100',
  fax: '413 555 0101',
  contactName: 'Mona Manager',
  contactEmail: 'mona@practice.example',
  mailingAddressLine1: '7 Oakes Street',
  mailingAddressLine2: 'Floor 2',
  mailingCity: 'Springfield',
  mailingState: 'MA',
  mailingZip: '01101',
  mailingZip4: '1234',
  taxonomyCode: '207Q00000X',
  caqhId: '12345678',
  medicareId: 'M123',
  medicaidId: 'D456',
  prescribes: 'true',
  deaNumber: 'BA1234563',
  deaState: 'MA',
  deaExpiresOn: '2029-05-31',
  'licenses.0.type': 'physician',
  'licenses.0.state': 'MA',
  'licenses.0.number': '246645',
  'licenses.0.issuedOn': '2019-06-01',
  'licenses.0.expiresOn': '2028-05-31',
  'licenses.1.type': 'physician',
  'licenses.1.state': 'CT',
  'licenses.1.number': '7001',
  'licenses.1.issuedOn': '2020-06-01',
  'licenses.1.expiresOn': '2028-06-30',
  school: 'State Medical School',
  degree: 'MD',
  graduatedOn: '2001-06-01',
  residencyProgram: 'City Hospital',
  residencyCompletedOn: '2004-06-30',
  fellowshipProgram: 'Lake Hospital',
  inTraining: 'false',
  specialty: 'Family medicine',
  secondarySpecialty: 'Geriatrics',
  boardStatus: 'certified',
  boardName: 'Example board',
  boardCertifiedOn: '2010-01-01',
  boardExpiresOn: '2030-01-01',
  languages: ['en', 'es'],
  acceptsNewPatients: 'true',
  telehealth: 'true',
  panelLimit: '1500',
  employer: 'Oakes Family Practice',
  employedSince: '2004-09-01',
  workGaps: 'true',
  workGapsDetail: 'Six months of parental leave in 2008.',
  'locations.0.locationName': 'Main office',
  'locations.0.addressLine1': '7 Oakes Street',
  'locations.0.addressLine2': 'Floor 2',
  'locations.0.city': 'Springfield',
  'locations.0.state': 'MA',
  'locations.0.zip': '01101',
  'locations.0.zip4': '1234',
  'locations.0.phone': '413 555 0100',
  'locations.0.fax': '413 555 0101',
  'locations.0.taxId': '12-3456789',
  'locations.0.groupNpi': '1000000004',
  'locations.0.officeHours': 'Weekdays 9 to 5',
  'locations.0.wheelchairAccessible': 'true',
  'locations.0.publicTransit': 'true',
  'locations.0.acceptsNewPatients': 'true',
  hasPrivileges: 'true',
  hospitalName: 'City Hospital',
  privilegeStatus: 'active',
  malpracticeCarrier: 'Mutual of Physicians',
  malpracticePolicyNumber: 'MP-1',
  malpracticeCoverageType: 'occurrence',
  malpracticePerOccurrence: '1,000,000',
  malpracticeAggregate: '3,000,000',
  malpracticeEffectiveFrom: '2026-01-01',
  malpracticeExpiresOn: '2027-12-31',
  disclosureLicense: 'false',
  disclosureDea: 'false',
  disclosurePrivileges: 'false',
  disclosureMalpractice: 'true',
  disclosureMalpracticeDetail: 'A claim of 2015 was settled.',
  disclosureInsurance: 'false',
  disclosureSanction: 'false',
  disclosureFelony: 'false',
  disclosureImpairment: 'false',
};

/** Names of the page's inputs that people fill in, each once. */
async function namesOn(page: Page): Promise<readonly string[]> {
  const inputs = page.locator('main form').locator('input:not([type=hidden]), select, textarea');
  const names: string[] = [];
  for (const input of await inputs.all()) names.push((await input.getAttribute('name')) ?? '');
  return [...new Set(names)];
}

function named(page: Page, name: string): Locator {
  return page.locator(`[name="${name}"]`);
}

async function kindOf(input: Locator): Promise<string> {
  const type = await input.first().getAttribute('type');
  return type === 'radio' || type === 'checkbox' || type === 'file'
    ? type
    : (await input.first().locator('xpath=self::select').count()) > 0
      ? 'select'
      : 'text';
}

/** Answers every question that the page shows and the answers know; a page's certificate is chosen as well. */
export async function fillPage(page: Page, answers: Answers): Promise<void> {
  for (const name of await namesOn(page)) {
    const input = named(page, name);
    const kind = await kindOf(input);
    const given = answers[name];
    if (kind === 'file') await input.setInputFiles(CERTIFICATE);
    else if (given === undefined) continue;
    else if (kind === 'radio' || kind === 'checkbox') for (const value of [given].flat()) await page.locator(`[name="${name}"][value="${value}"]`).check();
    else if (kind === 'select') await input.selectOption([given].flat());
    else await input.fill(String(given));
  }
}

/** What the page's inputs hold, by name; files are left out, for no page can hold one. */
export async function readPage(page: Page): Promise<Answers> {
  const held: Record<string, string | readonly string[]> = {};
  for (const name of await namesOn(page)) {
    const input = named(page, name);
    const kind = await kindOf(input);
    if (kind === 'file') continue;
    if (kind === 'radio' || kind === 'checkbox') {
      const values: string[] = [];
      for (const option of await input.all()) if (await option.isChecked()) values.push((await option.getAttribute('value')) ?? '');
      held[name] = kind === 'radio' ? (values[0] ?? '') : values;
    } else held[name] = await input.inputValue();
  }
  return held;
}
