import type { BrowserFile, Given } from './browser.ts';

type Answers = Readonly<Record<string, Given>>;

/** A PNG of one pixel, as a photo of a certificate. */
export const CERTIFICATE: BrowserFile = {
  name: 'certificate.png',
  mediaType: 'image/png',
  bytes: Buffer.from('iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==', 'base64'),
};

/** What a family doctor answers, page by page; what the plan knows already is filled in. */
export const FAMILY_DOCTOR: readonly (readonly [page: string, answers: Answers])[] = [
  ['About you', { providerType: 'pcp', birthDate: '1980-04-05' }],
  ['How we reach you', { phone: '+1 413 555 0199' }],
  ['Professional numbers', { prescribes: 'true' }],
  ['Licenses', { 'licenses.0.type': 'physician', 'licenses.0.state': 'MA', 'licenses.0.number': '246645', 'licenses.0.expiresOn': '2028-04-05' }],
  [
    'Education and training',
    {
      school: 'Example Medical School',
      degree: 'MD',
      graduatedOn: '2006-06-01',
      residencyProgram: 'Example Hospital',
      residencyCompletedOn: '2009-06-30',
      inTraining: 'false',
    },
  ],
  [
    'Specialty and patients',
    {
      specialty: 'Family medicine',
      boardStatus: 'certified',
      boardName: 'Example board',
      boardCertifiedOn: '2010-01-01',
      languages: ['en', 'es'],
      acceptsNewPatients: 'true',
    },
  ],
  ['Work history', { employer: 'Office A', employedSince: '2010-02-01', workGaps: 'false' }],
  [
    'Where you see patients',
    {
      'locations.0.locationName': 'Main office',
      'locations.0.addressLine1': '5 Main Street',
      'locations.0.city': 'Springfield',
      'locations.0.state': 'MA',
      'locations.0.zip': '01101',
      'locations.0.phone': '+1 413 555 0199',
    },
  ],
  ['Hospitals', { hasPrivileges: 'true' }],
  [
    'Malpractice insurance',
    {
      malpracticeCarrier: 'Example Mutual',
      malpracticePolicyNumber: 'P-1',
      malpracticeCoverageType: 'occurrence',
      malpracticePerOccurrence: '1,000,000',
      malpracticeAggregate: '3,000,000',
      malpracticeEffectiveFrom: '2026-01-01',
      malpracticeExpiresOn: '2026-12-31',
    },
  ],
  [
    'Disclosure questions',
    Object.fromEntries(
      ['License', 'Dea', 'Privileges', 'Malpractice', 'Insurance', 'Sanction', 'Felony', 'Impairment'].map((name) => [`disclosure${name}`, 'false']),
    ),
  ],
];

/** Questions that appear only once others are answered. */
export const SECOND_LOOK: Readonly<Record<string, Answers>> = {
  'Professional numbers': { deaNumber: 'BA1234563', deaState: 'MA', deaExpiresOn: '2027-05-31' },
  'Specialty and patients': { boardName: 'Example board', boardCertifiedOn: '2010-01-01' },
  Hospitals: { hospitalName: 'Example Hospital', privilegeStatus: 'active' },
};
