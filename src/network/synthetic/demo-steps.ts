import type { CallContext } from '../../platform/access/types.ts';
import { AppError } from '../../platform/errors.ts';
import { signDocument } from '../../platform/forms/signing.ts';
import type { OpenForm } from '../../platform/forms/submissions.ts';
import type { RecordData } from '../../platform/query/types.ts';
import { answersOf, certificate, type ApplicationAnswers, type PageAnswers } from './demo-answers.ts';
import type { DemoHands, Values } from './demo-host.ts';

/** An invented doctor on the way into the network. */
export interface Person {
  readonly index: number;
  readonly member: RecordData;
  readonly lead: RecordData;
  readonly name: string;
  readonly email: string;
}

const TOPICS: Values = {
  priorAuthorization: 'Elective hospital stays only; answers within two business days.',
  reimbursement: 'Within 20 days of a clean claim.',
  claims: 'Electronic, payer number 99999, within 90 days of the service.',
  rates: '110 percent of the fee schedule.',
  disputes: 'In writing within 60 days; then mediation.',
};
const FORM = 'provider-application';
const ALL_PAGES = 11;

/** The invented plan's network, with those who look after it; answers its id. */
export async function openNetwork(hands: DemoHands, name: string): Promise<string> {
  return hands.create('network', 'Network', {
    name,
    type: 'hmo',
    lineOfBusiness: 'commercial',
    state: 'MA',
    relationsManager: hands.id('relations'),
    contractCoordinator: hands.id('contracting'),
    planSignerName: 'Paula Plan',
    planSignerTitle: 'Director of contracting',
  });
}

export async function makePerson(hands: DemoHands, member: RecordData, index: number): Promise<Person> {
  const lead = await hands.get('Lead', String(member['lead']));
  return { index, member, lead, name: `${String(lead['firstName'])} ${String(lead['lastName'])}`, email: String(member['email']) };
}

/** Says yes to the campaign, through the personal link of its mail. */
export async function answer(hands: DemoHands, person: Person): Promise<void> {
  const { forms, db } = hands.host;
  const { context } = await hands.link('CampaignMember', person.member.id, 'campaign-answer');
  const fields = { contactName: person.name, contactEmail: person.email };
  await forms.open(db, await context(), 'campaign-answer', person.member.id);
  await forms.savePage(db, await context(), 'campaign-answer', person.member.id, 'answer', { fields, repeats: {} }, true);
  await forms.submit(db, await context(), 'campaign-answer', person.member.id, '');
  await hands.settle();
}

export async function applicationOf(hands: DemoHands, person: Person): Promise<RecordData> {
  return hands.one('Application', `campaignMember == '${person.member.id}'`);
}

/** Fills in the first pages of the application; answers the secret of the link to it. */
export async function fill(hands: DemoHands, person: Person, pages: number = ALL_PAGES): Promise<string> {
  const { id } = await applicationOf(hands, person);
  const { secret, context } = await hands.link('Application', id, FORM);
  const year = Number(hands.host.clock.now().slice(0, 4));
  await hands.host.forms.open(hands.host.db, await context(), FORM, id);
  for (const page of answersOf(person.lead, person.index, year).slice(0, pages)) await fillPage(hands, await context(), id, page, person);
  return secret;
}

async function fillPage(hands: DemoHands, context: CallContext, id: string, answers: ApplicationAnswers, person: Person): Promise<void> {
  const { forms, db } = hands.host;
  const { page, rows } = answers;
  if (page === 'malpractice') {
    const file = { type: 'malpractice-certificate', name: 'certificate.pdf', mediaType: 'application/pdf', bytes: certificate(`Insurance of ${person.name}`) };
    await forms.upload(db, context, FORM, id, file);
  }
  // Some questions appear only once others are answered: so it is saved a second time.
  for (const leave of [false, true]) {
    const opened = await forms.open(db, context, FORM, id);
    const input = { fields: shownOf(opened, page, answers.fields), repeats: rows === undefined ? {} : { [rows.relation]: [rows.fields] } };
    await forms.savePage(db, context, FORM, id, page, input, leave);
  }
}

function shownOf(opened: OpenForm, page: string, fields: PageAnswers): PageAnswers {
  const parts = opened.pages.find((entry) => entry.name === page)?.parts ?? [];
  const shown = new Set(parts.flatMap((part) => (part.kind === 'fields' ? part.questions.map((question) => question.field) : [])));
  return Object.fromEntries(Object.entries(fields).filter(([name]) => shown.has(name)));
}

export async function submit(hands: DemoHands, person: Person): Promise<void> {
  const { id } = await applicationOf(hands, person);
  const { context } = await hands.link('Application', id, FORM);
  await hands.host.forms.submit(hands.host.db, await context(), FORM, id, person.name);
  await hands.settle();
}

/** Takes the application up and verifies some of its facts, or all. */
export async function review(hands: DemoHands, person: Person, share: 'some' | 'all'): Promise<void> {
  const { id } = await applicationOf(hands, person);
  await hands.move('credentialing', 'Application', id, 'start-review', { reviewer: hands.id('credentialing') });
  const found = await hands.find('Verification', `application == '${id}'`);
  for (const entry of share === 'all' ? found : found.slice(0, 4)) {
    await hands.move('credentialing', 'Verification', entry.id, 'verify', { source: 'Primary source', evidenceNote: 'Looked up and printed.' });
  }
}

export async function sendBack(hands: DemoHands, person: Person): Promise<void> {
  const { id } = await applicationOf(hands, person);
  await hands.move('credentialing', 'Application', id, 'start-review', { reviewer: hands.id('credentialing') });
  const returnReason = 'The policy number of your malpractice insurance is not the one on the certificate.';
  await hands.move('credentialing', 'Application', id, 'return', { returnReason });
}

/** Reads what is to be corrected and sends the form in again. */
export async function correct(hands: DemoHands, person: Person): Promise<void> {
  const { id } = await applicationOf(hands, person);
  const { context } = await hands.link('Application', id, FORM);
  const { forms, db } = hands.host;
  await forms.open(db, await context(), FORM, id);
  const year = Number(hands.host.clock.now().slice(0, 4));
  const page = answersOf(person.lead, person.index, year).find((entry) => entry.page === 'malpractice');
  if (page === undefined) throw new AppError('internal', 'The application has no page about malpractice insurance.');
  await fillPage(hands, await context(), id, page, person);
  await submit(hands, person);
}

export async function deny(hands: DemoHands, person: Person): Promise<void> {
  const { id } = await applicationOf(hands, person);
  await hands.move('credentialing', 'Application', id, 'deny', { decisionReason: 'The network needs no more doctors of this specialty here.' });
}

export async function approve(hands: DemoHands, person: Person): Promise<void> {
  const { id } = await applicationOf(hands, person);
  await hands.move('credentialing', 'Application', id, 'approve', { decisionReason: 'All facts verified.' });
}

export async function providerOf(hands: DemoHands, person: Person): Promise<string> {
  const application = await applicationOf(hands, person);
  if (typeof application['provider'] !== 'string') throw new AppError('internal', `The application of ${person.name} made no provider.`);
  return application['provider'];
}

const contractOf = async (hands: DemoHands, person: Person): Promise<RecordData> => hands.one('Contract', `provider == '${await providerOf(hands, person)}'`);

export async function sendContract(hands: DemoHands, person: Person): Promise<void> {
  const { id } = await contractOf(hands, person);
  await hands.update('contracting', 'Contract', id, { ...TOPICS, effectiveFrom: hands.host.clock.now().slice(0, 10) });
  await hands.move('contracting', 'Contract', id, 'send');
}

/** Takes the contract back for a new version: what was sent is void. */
export async function revise(hands: DemoHands, person: Person): Promise<void> {
  const { id } = await contractOf(hands, person);
  await hands.move('contracting', 'Contract', id, 'revise');
}

/** One side signs the contract as it was rendered. */
export async function sign(hands: DemoHands, person: Person, party: 'portal' | 'staff'): Promise<void> {
  const { id, ...contract } = await contractOf(hands, person);
  const context = party === 'staff' ? await hands.context('contracting') : await (await hands.link('Contract', id, 'contract-signing')).context();
  const signer = party === 'staff' ? { name: 'Paula Plan', title: 'Director of contracting' } : { name: person.name, title: 'Owner' };
  const seenHash = String(contract['contentHash']);
  const evidence = { ...signer, consent: true, address: '192.0.2.17', userAgent: 'Demo', party, seenHash };
  await signDocument(hands.host, hands.host.db, context, 'contract-signing', id, evidence);
  await hands.settle();
}

export async function activate(hands: DemoHands, person: Person): Promise<void> {
  const provider = await providerOf(hands, person);
  const today = (await hands.system()).today;
  await hands.update('credentialing', 'Provider', provider, { sanctionStatus: 'clear', sanctionsCheckedOn: today });
  await hands.move('network', 'Provider', provider, 'activate');
  await hands.create('network', 'PanelCount', { provider, countedOn: today, members: 240 + 173 * person.index, source: 'Roster' });
  for (const task of await hands.find('Task', `provider == '${provider}' && kind == 'hand-over' && status == 'open'`)) {
    await hands.move('network', 'Task', task.id, 'finish');
  }
}

/** Holds the orientation; its report is entered later. */
export async function orient(hands: DemoHands, person: Person): Promise<void> {
  const provider = await providerOf(hands, person);
  const visit = await hands.create('relations', 'Visit', { provider, purpose: 'orientation', channel: 'office', specialist: hands.id('relations') });
  await hands.move('relations', 'Visit', visit, 'hold', { attendees: `${person.name}, the office manager` });
  await report(hands, person);
  for (const task of await hands.find('Task', `provider == '${provider}' && kind == 'orientation' && status == 'open'`)) {
    await hands.move('relations', 'Task', task.id, 'finish');
  }
}

export async function hold(hands: DemoHands, person: Person): Promise<void> {
  const visit = await hands.one('Visit', `provider == '${await providerOf(hands, person)}' && status == 'planned'`);
  await hands.move('relations', 'Visit', visit.id, 'hold', { attendees: `${person.name}, the office manager` });
}

/** Enters the report on the visit that was held: whether it counts is for the policy to say. */
export async function report(hands: DemoHands, person: Person): Promise<void> {
  const provider = await providerOf(hands, person);
  const visit = await hands.one('Visit', `provider == '${provider}' && status == 'held'`);
  const item = await hands.one('VisitItem', `visit == '${visit.id}' && topic == 'demographics'`);
  await hands.update('relations', 'VisitItem', item.id, { status: 'discussed', result: 'confirmed' });
  await hands.move('relations', 'Visit', visit.id, 'report', { discussion: 'Rosters, referrals and the portal; no open claims.' });
}
