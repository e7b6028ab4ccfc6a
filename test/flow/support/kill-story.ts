import { Readable } from 'node:stream';
import { syntheticNppes } from '../../../src/network/synthetic/nppes-file.ts';
import { signDocument } from '../../../src/platform/forms/signing.ts';
import type { OpenForm } from '../../../src/platform/forms/submissions.ts';
import { seededRandom } from '../../../src/platform/ids.ts';
import { rows, sql } from '../../../src/platform/sql.ts';
import type { Teller } from './kill-tools.ts';

export const STORY_START = '2026-03-02T12:30:00.000Z';
const LEADS = 24;
const MEMBERS = 4;
const TERMS = 'As both sides agreed.';
const SEARCH = 'Found at the source.';

/**
 * The whole way from a file to an answered message, in chapters. Each step looks first whether it was done, as a person
 * would who comes back after an error; so the story may be broken off anywhere and told again.
 */
export const CHAPTERS: ReadonlyMap<string, (teller: Teller) => Promise<void>> = new Map([
  ['campaign', campaign],
  ['application', application],
  ['contract', contract],
  ['visits', visits],
  ['messages', messages],
]);

/** Tells the story to the end, or to the end of a chapter. */
export async function tellStory(teller: Teller, lastChapter: string): Promise<void> {
  for (const [name, tell] of CHAPTERS) {
    await tell(teller);
    if (name === lastChapter) return;
  }
}

async function campaign(teller: Teller): Promise<void> {
  await importLeads(teller);
  await startCampaign(teller);
  await teller.at('2026-03-02T13:00:00Z');
  await teller.at('2026-03-02T14:10:00Z');
  await answerCampaign(teller, await firstMember(teller));
  await teller.at('2026-03-02T14:40:00Z');
}

async function application(teller: Teller): Promise<void> {
  await apply(teller, await theApplication(teller));
  await teller.at('2026-03-03T14:10:00Z');
}

async function contract(teller: Teller): Promise<void> {
  const id = await theApplication(teller);
  await review(teller, id);
  const agreement = await contracting(teller, id);
  await teller.at('2026-03-04T14:10:00Z');
  await sign(teller, agreement);
  await activate(teller, await theProvider(teller));
  await teller.at('2026-03-05T14:10:00Z');
}

async function visits(teller: Teller): Promise<void> {
  const id = await theProvider(teller);
  await orientation(teller, id);
  await teller.at('2026-03-06T14:10:00Z');
  await routineVisit(teller, id);
  await teller.at('2026-03-09T15:10:00Z');
}

const firstMember = async ({ one }: Teller): Promise<string> => (await one('CampaignMember', "email == 'office0@practice.example'")).id;
const theApplication = async (teller: Teller): Promise<string> => (await teller.one('Application', `campaignMember == '${await firstMember(teller)}'`)).id;
const theProvider = async (teller: Teller): Promise<string> => (await teller.one('Provider', `sourceApplication == '${await theApplication(teller)}'`)).id;

async function importLeads({ app, importer, find }: Teller): Promise<void> {
  const run = async (fileName: string, map: string | null, content: Iterable<string>): Promise<void> => {
    const done = await rows(app.db, sql`select id from credenza.import_job where file_name = ${fileName} and state = 'done'`);
    const context = await app.contextFor({ kind: 'system', name: 'cli' }, { kind: 'command', name: 'import' });
    if (done.length === 0) await importer.run(app.db, context, { object: 'Lead', map, fileName, content: Readable.from(content) });
  };
  await run('nppes.csv', 'nppes', syntheticNppes({ rows: LEADS, random: seededRandom(7) }));
  const leads = await find('Lead', "npiStatus == 'active' && entityType == 'individual'", ['npi']);
  const lines = leads.slice(0, MEMBERS).map((lead, index) => `${String(lead['npi'])},office${String(index)}@practice.example,Hampden\n`);
  await run('addresses.csv', null, ['npi,email,practiceCounty\n', ...lines]);
}

async function startCampaign({ app, staff, find, create, move, settle }: Teller): Promise<void> {
  const { principal } = await staff();
  const userId = principal.kind === 'user' ? principal.userId : '';
  const network =
    (await find('Network', "name == 'Pioneer Valley HMO'"))[0]?.id ??
    (await create('Network', {
      name: 'Pioneer Valley HMO',
      type: 'hmo',
      lineOfBusiness: 'commercial',
      state: 'MA',
      relationsManager: userId,
      contractCoordinator: userId,
      planSignerName: 'Paula Plan',
      planSignerTitle: 'Director of contracting',
    }));
  const id =
    (await find('Campaign', "name == 'Hampden'"))[0]?.id ??
    (await create('Campaign', { name: 'Hampden', channel: 'email', network, startsOn: '2026-03-02', invitation: 'We look for doctors.' }));
  for (const lead of await find('Lead', 'email != null', ['npi'])) {
    if ((await find('CampaignMember', `lead == '${lead.id}'`)).length === 0)
      await create('CampaignMember', { campaign: id, lead: lead.id, email: lead['email'] });
  }
  if ((await app.reader.get(app.db, await staff(), 'Campaign', id, {}))['status'] === 'draft') await move('Campaign', id, 'start');
  await settle();
}

async function answerCampaign({ app, visitor, settle }: Teller, member: string): Promise<void> {
  const form = ['campaign-answer', member] as const;
  const caller = await visitor('CampaignMember', member);
  if ((await app.forms.open(app.db, caller, ...form)).editable) {
    const fields = { contactName: 'Mona Manager', contactEmail: 'manager@practice.example' };
    await app.forms.savePage(app.db, caller, ...form, 'answer', { fields, repeats: {} }, true);
    await app.forms.submit(app.db, caller, ...form, '');
  }
  await settle();
}

const LICENSE = { type: 'physician', state: 'MA', number: '246645', issuedOn: '2019-06-01', expiresOn: '2028-05-31' };
const PLACE = { locationName: 'Main office', addressLine1: '7 OAKES ST', city: 'SPRINGFIELD', state: 'MA', zip: '01101', phone: '4135550100' };
const REPEATS = { licenses: [LICENSE], locations: [PLACE] };
const NO = 'false';
/** What the applicant types, page by page; what the lead knows already is prefilled. */
const TYPED: Readonly<Record<string, string | readonly string[]>> = {
  entityType: 'individual',
  providerType: 'pcp',
  birthDate: '1975-04-01',
  phone: '4135550100',
  mailingAddressLine1: '7 OAKES ST',
  mailingCity: 'SPRINGFIELD',
  mailingState: 'MA',
  mailingZip: '01101',
  taxonomyCode: '207Q00000X',
  prescribes: NO,
  school: 'State Medical School',
  degree: 'MD',
  graduatedOn: '2001-06-01',
  residencyProgram: 'City Hospital',
  residencyCompletedOn: '2004-06-30',
  inTraining: NO,
  specialty: 'Family medicine',
  boardStatus: 'none',
  languages: ['en', 'es'],
  acceptsNewPatients: 'true',
  employer: 'Oakes Family Practice',
  employedSince: '2004-09-01',
  workGaps: NO,
  hasPrivileges: NO,
  coveringProviderName: 'Dr. Covering',
  coveringProviderNpi: '1000000004',
  malpracticeCarrier: 'Mutual of Physicians',
  malpracticePolicyNumber: 'MP-1',
  malpracticeCoverageType: 'occurrence',
  malpracticePerOccurrence: '1000000',
  malpracticeAggregate: '3000000',
  malpracticeEffectiveFrom: '2026-01-01',
  malpracticeExpiresOn: '2026-12-31',
  disclosureLicense: NO,
  disclosureDea: NO,
  disclosurePrivileges: NO,
  disclosureMalpractice: NO,
  disclosureInsurance: NO,
  disclosureSanction: NO,
  disclosureFelony: NO,
  disclosureImpairment: NO,
};

async function apply({ app, visitor, settle }: Teller, id: string): Promise<void> {
  const form = ['provider-application', id] as const;
  const caller = await visitor('Application', id);
  let opened: OpenForm = await app.forms.open(app.db, caller, ...form);
  if (opened.editable) {
    for (const page of opened.pages.map((entry) => entry.name)) {
      const repeats = page === 'licenses' ? { licenses: REPEATS.licenses } : page === 'practice-locations' ? { locations: REPEATS.locations } : {};
      opened = await app.forms.savePage(app.db, caller, ...form, page, { fields: typedOn(opened, page), repeats }, true);
    }
    for (const name of ['certificate.pdf', 'better-certificate.pdf']) {
      const scan = { type: 'malpractice-certificate', name, mediaType: 'application/pdf', bytes: Buffer.from(`%PDF-1.4\n% ${name}\n%%EOF\n`) };
      if (opened.submission.data.documents['malpractice-certificate']?.name !== 'better-certificate.pdf')
        opened = await app.forms.upload(app.db, caller, ...form, scan);
    }
    await app.forms.submit(app.db, caller, ...form, 'Dr. Ada Alder');
  }
  await settle();
}

/** The typed answers to the questions that a page shows now. */
function typedOn(opened: OpenForm, page: string): Record<string, string | readonly string[]> {
  const fields: Record<string, string | readonly string[]> = {};
  for (const [name, value] of Object.entries(TYPED)) {
    const shown = opened.reader.form.pages
      .find((entry) => entry.name === page)
      ?.sections.flatMap((section) => section.fields ?? [])
      .some((field) => field.field === name);
    if (shown === true) fields[name] = value;
  }
  return fields;
}

async function review({ app, staff, find, move, settle }: Teller, application: string): Promise<void> {
  const status = async (): Promise<unknown> => (await app.reader.get(app.db, await staff(), 'Application', application, {}))['status'];
  if ((await status()) === 'submitted') await move('Application', application, 'start-review');
  for (const item of await find('Verification', `application == '${application}' && status == 'pending'`, ['kind']))
    await move('Verification', item.id, 'verify', { source: 'Primary source', evidenceNote: SEARCH });
  if ((await status()) === 'in-review') await move('Application', application, 'approve');
  await settle();
}

async function contracting({ at, find, one, update, move, settle }: Teller, application: string): Promise<string> {
  const filter = `application == '${application}'`;
  const terms = { effectiveFrom: '2026-04-01', priorAuthorization: TERMS, reimbursement: TERMS, claims: TERMS, disputes: TERMS };
  const draft = await one('Contract', filter);
  if (draft['rates'] === null) await update(draft, 'Contract', { ...terms, rates: 'Fee schedule A.' });
  const sendVersion = async (version: number): Promise<void> => {
    if ((await find('Contract', `${filter} && status == 'drafting' && contractVersion == ${String(version)}`)).length > 0)
      await move('Contract', draft.id, 'send');
    await settle();
  };
  await sendVersion(1);
  await at('2026-03-03T15:10:00Z');
  if ((await find('Contract', `${filter} && status == 'sent' && contractVersion == 1`)).length > 0) await move('Contract', draft.id, 'revise');
  const [changed] = await find('Contract', `${filter} && status == 'drafting' && rates != 'Fee schedule B.'`);
  if (changed !== undefined) await update(changed, 'Contract', { rates: 'Fee schedule B.' });
  await sendVersion(2);
  return draft.id;
}

async function sign({ app, at, one, staff, visitor, settle }: Teller, id: string): Promise<void> {
  const signer = { title: 'Owner', consent: true, address: '192.0.2.7', userAgent: 'Story', seenHash: '' };
  const contract = await one('Contract', `id == '${id}'`);
  if (contract['status'] === 'sent') {
    const seenHash = String(contract['contentHash']);
    await signDocument(app, app.db, await visitor('Contract', id), 'contract-signing', id, { ...signer, name: 'Dr. Ada Alder', party: 'portal', seenHash });
  }
  await settle();
  await at('2026-03-04T15:10:00Z');
  const signed = await one('Contract', `id == '${id}'`);
  if (signed['status'] === 'provider-signed') {
    const seenHash = String(signed['contentHash']);
    await signDocument(app, app.db, await staff(), 'contract-signing', id, { ...signer, name: 'Paula Plan', party: 'staff', seenHash });
  }
  await settle();
}

async function activate({ at, one, update, move, settle }: Teller, id: string): Promise<void> {
  await at('2026-03-04T16:10:00Z');
  const provider = await one('Provider', `id == '${id}'`);
  if (provider['sanctionStatus'] !== 'clear') await update(provider, 'Provider', { sanctionStatus: 'clear', sanctionsCheckedOn: '2026-03-04' });
  if (provider['status'] !== 'active') await move('Provider', provider.id, 'activate');
  await settle();
}

async function holdAndReport({ one, update, move, settle }: Teller, visit: string): Promise<void> {
  const status = async (): Promise<unknown> => (await one('Visit', `id == '${visit}'`))['status'];
  if ((await status()) === 'planned') await move('Visit', visit, 'hold', { attendees: 'Dr. Alder' });
  const check = await one('VisitItem', `visit == '${visit}' && topic == 'demographics'`);
  if (check['result'] === null) await update(check, 'VisitItem', { result: 'changed', status: 'discussed' });
  if ((await status()) === 'held') await move('Visit', visit, 'report', { discussion: 'All thirteen items.' });
  await settle();
}

async function orientation(teller: Teller, provider: string): Promise<void> {
  const filter = `provider == '${provider}' && purpose == 'orientation'`;
  const visit = (await teller.find('Visit', filter))[0]?.id ?? (await teller.create('Visit', { provider, purpose: 'orientation', channel: 'office' }));
  await teller.settle();
  await holdAndReport(teller, visit);
  const record = await teller.one('Provider', `id == '${provider}'`);
  const override = {
    visitOverrideInterval: 'P7D',
    visitOverrideUntil: '2026-04-30',
    visitOverrideReason: 'Asked for by the state.',
    visitOverrideBy: record['relationsManager'],
  };
  if (record['visitOverrideInterval'] === null) await teller.update(record, 'Provider', override);
  await teller.settle();
}

async function routineVisit(teller: Teller, provider: string): Promise<void> {
  const visits = await teller.find('Visit', `provider == '${provider}' && purpose == 'routine'`);
  const [planned] = visits;
  if (planned === undefined) throw new Error('No visit was planned by the rule.');
  if (planned['dueOn'] === '2026-03-12') await holdAndReport(teller, planned.id);
}

function letter(messageId: string, to: string, subject: string, text: string): Buffer {
  const lines = ['From: Mona Manager <manager@practice.example>', `To: ${to}`, `Subject: ${subject}`, `Message-ID: ${messageId}`, '', text, ''];
  return Buffer.from(lines.join('\r\n'));
}

async function messages(teller: Teller): Promise<void> {
  const { app, find, one, create, move, settle } = teller;
  const from = 'manager@practice.example';
  const write = (messageId: string, to: string, text: string): Promise<unknown> =>
    app.inbound.receive(letter(messageId, to, 'Claims of March', text), { from, to });
  const answer = async (body: string, sentAt: string): Promise<void> => {
    const filed = await one('Case', `contactEmail == '${from}'`);
    if ((await find('Message', `direction == 'out' && body == '${body}'`)).length === 0)
      await create('Message', {
        case: filed.id,
        direction: 'out',
        kind: 'substantive',
        channel: 'email',
        to: from,
        subject: 'Re: Claims of March',
        body,
        sentAt,
      });
    await settle();
    if ((await one('Case', `contactEmail == '${from}'`))['status'] === 'open') await move('Case', filed.id, 'answer', { resolution: body });
    await settle();
  };
  await write('<first@practice.example>', 'inquiries@plan.example', 'Where is claim 1?');
  await settle();
  await teller.at('2026-03-09T15:40:00Z');
  if ((await find('Message', "direction == 'in'")).length === 1) await answer('Claim 1 was paid.', '2026-03-09T15:40:00Z');
  await teller.at('2026-03-09T16:10:00Z');
  const [reply] = await rows(
    app.db,
    sql`select headers->>'Reply-To' as address from credenza.mail_delivery where template = 'mail/case-message' order by created_at limit 1`,
  );
  await write('<second@practice.example>', String(reply?.['address']), 'And claim 2?');
  await settle();
  await teller.at('2026-03-09T16:40:00Z');
  if ((await find('Message', "direction == 'in'")).length !== 2) throw new Error('Both messages must have been filed once.');
  await answer('Claim 2 was paid too.', '2026-03-09T16:40:00Z');
  await teller.at('2026-03-10T14:10:00Z');
}
