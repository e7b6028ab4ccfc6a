import { AppError } from '../../platform/errors.ts';
import { seededRandom } from '../../platform/ids.ts';
import type { DemoHands, Team, Values } from './demo-host.ts';
import { bounce } from './bounce.ts';
import * as steps from './demo-steps.ts';
import type { Person } from './demo-steps.ts';
import { importLeads } from './leads.ts';
import { unsubscribe } from './mail-reader.ts';

/** How many days before its end the story begins. */
export const STORY_DAYS = 152;
const SEED = 20_260_302;
const DAY_MS = 86_400_000;
const HOUR_MS = 3_600_000;
/** What happens on the way of a person, in days after the answer to the campaign. */
const WAY = [
  ['fill', 2],
  ['submit', 4],
  ['review', 8],
  ['approve', 12],
  ['send', 15],
  ['provider-sign', 18],
  ['plan-sign', 20],
  ['activate', 23],
  ['orient', 31],
  ['hold', 116],
  ['report', 116],
] as const;
type Step = 'answer' | (typeof WAY)[number][0];

interface Way {
  /** Days before the end of the story. */
  readonly answered: number;
  /** How far this person comes. */
  readonly last: Step;
  readonly special?: 'half-way' | 'returned' | 'half-verified' | 'late-report';
}

interface CampaignPlan {
  readonly name: string;
  readonly started: number;
  readonly specialty: string;
  readonly state: string;
  readonly ways: readonly Way[];
}

const CAMPAIGNS: readonly CampaignPlan[] = [
  {
    name: 'Family doctors for Massachusetts',
    started: 152,
    specialty: '207Q00000X',
    state: 'MA',
    ways: [
      { answered: 149, last: 'report' },
      { answered: 149, last: 'report' },
      { answered: 148, last: 'report', special: 'late-report' },
      { answered: 148, last: 'orient' },
    ],
  },
  {
    name: 'Internists for Massachusetts',
    started: 123,
    specialty: '207R00000X',
    state: 'MA',
    ways: [
      { answered: 117, last: 'hold' },
      { answered: 116, last: 'orient' },
      { answered: 115, last: 'orient' },
    ],
  },
  {
    name: 'Pediatricians for Massachusetts',
    started: 45,
    specialty: '208000000X',
    state: 'MA',
    ways: [
      { answered: 28, last: 'activate' },
      { answered: 25, last: 'provider-sign' },
      { answered: 23, last: 'send' },
      { answered: 21, last: 'approve' },
    ],
  },
  {
    name: 'Primary care for Rhode Island',
    started: 13,
    specialty: '207Q00000X, 207R00000X, 208000000X',
    state: 'RI',
    ways: [
      { answered: 11, last: 'review', special: 'returned' },
      { answered: 11, last: 'review', special: 'half-verified' },
      { answered: 10, last: 'submit' },
      { answered: 6, last: 'fill', special: 'half-way' },
      { answered: 2, last: 'answer' },
    ],
  },
];

interface Inquiry {
  readonly received: number;
  readonly subject: string;
  readonly text: string;
  readonly answer?: { readonly after: number; readonly text: string };
  readonly closed?: boolean;
}

const INQUIRIES: readonly Inquiry[] = [
  { received: 92, subject: 'When is the next fee schedule?', text: 'We have not seen it yet.', answer: { after: 1, text: 'It is on its way.' }, closed: true },
  {
    received: 64,
    subject: 'A claim was paid short',
    text: 'Claim 4711: the second visit is missing.',
    answer: { after: 7, text: 'The rest is paid this week.' },
  },
  { received: 36, subject: 'A new colleague', text: 'Whom do we tell?', answer: { after: 1, text: 'Us; the form is in the portal.' }, closed: true },
  { received: 15, subject: 'Prior authorization for imaging', text: 'How long does it take?', answer: { after: 1, text: 'Two business days at most.' } },
  { received: 8, subject: 'Our address has changed', text: 'We move across the street next month.' },
  { received: 0, subject: 'Access to the portal', text: 'Our new manager needs an account.' },
];

/** What the command tells at the end. */
export interface DemoResult {
  readonly leads: number;
  /** Who stopped half way through the form, and the secret of the link to it. */
  readonly halfWay: { readonly name: string; readonly application: string; readonly secret: string };
}

interface Moment {
  /** The place in the story: what happens on a weekend day comes after the Friday before it. */
  readonly order: string;
  readonly at: string;
  readonly happen: () => Promise<void>;
}

/**
 * Tells the whole story on an empty sandbox: from the file of providers to visited ones, every step by those who do it.
 * The clock of the host stands at the beginning, `STORY_DAYS` before `end`, and is at `end` afterwards.
 */
export async function tellDemo(
  hands: DemoHands,
  options: { readonly end: string; readonly leads: number; readonly say: (line: string) => void },
): Promise<DemoResult> {
  const { end, say } = options;
  let halfWay: DemoResult['halfWay'] | null = null;
  say(`Importing ${String(options.leads)} leads ...`);
  const leads = await importLeads(hands, { rows: options.leads, random: seededRandom(SEED) });
  const network = await steps.openNetwork(hands, 'New England HMO');
  const moments: Moment[] = [];
  const plan = (daysBefore: number, time: string, happen: Moment['happen']): void =>
    void moments.push({ order: dayBefore(end, daysBefore, time), at: instantOf(end, daysBefore, time), happen });
  const people: Person[] = [];
  for (const campaign of CAMPAIGNS) {
    const own: Person[] = [];
    plan(campaign.started, '12:00', () => startCampaign(hands, campaign, network, end));
    plan(campaign.started - 1, '16:00', async () => {
      // Mails leave every half hour: after a weekend's start none may have left yet.
      await hands.until(new Date(hands.host.clock.nowMs() + HOUR_MS).toISOString());
      const found = await loseTwo(hands, campaign);
      for (const member of found.slice(0, campaign.ways.length)) own.push(await steps.makePerson(hands, member, people.length + own.length));
      people.push(...own);
    });
    for (const [index, way] of campaign.ways.entries()) {
      const person = (): Person => {
        const found = own[index];
        if (found === undefined) throw new AppError('internal', `The campaign "${campaign.name}" has too few members.`);
        return found;
      };
      plan(way.answered, '15:00', () => steps.answer(hands, person()));
      for (const [step, after] of way.last === 'answer' ? [] : WAY) {
        const daysBefore = way.answered - after - (step === 'report' && way.special === 'late-report' ? 9 : 0);
        plan(daysBefore, step === 'report' ? '19:00' : '15:30', async () => {
          if (way.special !== 'half-way') return takeStep(hands, person(), step, way);
          const secret = await steps.fill(hands, person(), 7);
          halfWay = { name: person().name, application: String((await steps.applicationOf(hands, person()))['number']), secret };
        });
        if (step === way.last) break;
      }
    }
  }
  for (const [index, inquiry] of INQUIRIES.entries()) planInquiry(hands, plan, inquiry, () => people[index % people.length]);
  let month = '';
  for (const { at, happen } of moments.sort((left, right) => (left.order < right.order ? -1 : left.order > right.order ? 1 : 0))) {
    await hands.until(at);
    if (at.slice(0, 7) !== month) say(`${at.slice(0, 7)} ...`);
    month = at.slice(0, 7);
    await happen();
  }
  await hands.until(end);
  if (halfWay === null) throw new AppError('internal', 'Nobody is half way through the form.');
  return { leads, halfWay };
}

function dayBefore(end: string, days: number, time: string): string {
  return new Date(Date.parse(`${end.slice(0, 10)}T${time}:00.000Z`) - days * DAY_MS).toISOString();
}

/** A moment of a weekday; what would be on a weekend is done on the Friday before it. Never after the end. */
function instantOf(end: string, daysBefore: number, time: string): string {
  let ms = Date.parse(dayBefore(end, daysBefore, time));
  while ([0, 6].includes(new Date(ms).getUTCDay())) ms -= DAY_MS;
  const at = new Date(ms).toISOString();
  return at < end ? at : end;
}

/** The instant at which the story begins. */
export function beginningOf(end: string): string {
  return instantOf(end, STORY_DAYS, '12:00');
}

async function startCampaign(hands: DemoHands, { name, specialty, state }: CampaignPlan, network: string, end: string): Promise<void> {
  const startsOn = hands.host.clock.now().slice(0, 10);
  const values: Values = { name, channel: 'email', audience: 'criteria', specialty, state, network, startsOn, manager: hands.id('recruiting') };
  const invitation = `We look for primary care in ${state === 'MA' ? 'Massachusetts' : 'Rhode Island'}. Claims are paid within 20 days.`;
  const id = await hands.create('recruiting', 'Campaign', { ...values, invitation });
  if (startsOn > end) throw new AppError('internal', 'A campaign of the demo begins after its end.');
  await hands.move('recruiting', 'Campaign', id, 'start');
}

/** One address bounces, one member unsubscribes; answers those who can still say yes. */
async function loseTwo(hands: DemoHands, { name }: CampaignPlan) {
  const { id } = await hands.one('Campaign', `this.name == '${name}'`);
  const members = await hands.find('CampaignMember', `campaign == '${id}' && status == 'sent' && lead.entityType == 'individual'`);
  const [bounced, unsubscribed, ...others] = members;
  if (bounced === undefined || unsubscribed === undefined) throw new AppError('internal', `The campaign "${name}" has too few members.`);
  await bounce(hands, bounced.id);
  await unsubscribe(hands, unsubscribed.id);
  return others;
}

async function takeStep(hands: DemoHands, person: Person, step: Step, { special }: Way): Promise<void> {
  switch (step) {
    case 'fill':
      await steps.fill(hands, person);
      return;
    case 'review':
      return special === 'returned' ? steps.sendBack(hands, person) : steps.review(hands, person, special === 'half-verified' ? 'some' : 'all');
    case 'provider-sign':
      return steps.sign(hands, person, 'portal');
    case 'plan-sign':
      return steps.sign(hands, person, 'staff');
    case 'send':
      return steps.sendContract(hands, person);
    default:
      return steps[step](hands, person);
  }
}

function planInquiry(
  hands: DemoHands,
  plan: (daysBefore: number, time: string, happen: Moment['happen']) => void,
  inquiry: Inquiry,
  sender: () => Person | undefined,
): void {
  const { received, subject, text } = inquiry;
  const team: Team = 'advocate';
  plan(received, '16:00', async () => {
    const person = sender();
    if (person === undefined) throw new AppError('internal', 'Nobody is there who could ask.');
    const [mailbox] = (await hands.system()).model.mailboxes.values();
    if (mailbox === undefined) throw new AppError('internal', 'There is no mailbox for inquiries.');
    const head = [
      `From: ${person.name} <${person.email}>`,
      `To: ${mailbox.address}`,
      `Subject: ${subject}`,
      `Message-ID: <demo-${String(received)}@practice.example>`,
    ];
    await hands.host.inbound.receive(Buffer.from(`${head.join('\r\n')}\r\n\r\n${text}\r\n`), { from: person.email, to: mailbox.address });
    await hands.settle();
  });
  const { answer, closed } = inquiry;
  if (answer === undefined) return;
  plan(received - answer.after, '18:30', async () => {
    const found = await hands.one('Case', `this.subject == '${subject}'`);
    const message = { case: found.id, direction: 'out', kind: 'substantive', channel: 'email', to: found['contactEmail'], subject, body: answer.text };
    await hands.create(team, 'Message', message);
    if (closed === true) await hands.move(team, 'Case', found.id, 'close', { resolution: answer.text });
    else await hands.move(team, 'Case', found.id, 'answer');
  });
}
