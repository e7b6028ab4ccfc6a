import type { CallContext } from '../../platform/access/types.ts';
import type { RecordData } from '../../platform/query/types.ts';
import type { DemoHands } from './demo-host.ts';
import { unsubscribe } from './mail-reader.ts';
import type { Chance, Diary } from './working-day.ts';

/** Days from the start of one campaign to the next. */
const EVERY_DAYS = 56;
/** Days after its start on which a campaign is closed: nobody is waited for any more. */
const CLOSED_AFTER = 42;
const AUDIENCES = [
  { specialty: '207Q00000X', state: 'MA' },
  { specialty: '207R00000X', state: 'RI' },
  { specialty: '208000000X', state: 'MA' },
  { specialty: '207Q', state: 'RI' },
  { specialty: '207R', state: 'MA' },
  { specialty: '208000000X', state: 'RI' },
] as const;
/** When somebody says yes, in days after the start: at once, after the reminder, and long after (every third campaign). */
const ANSWERS = [
  { after: 3, state: 'sent', every: 1 },
  { after: 10, state: 'sent', every: 1 },
  { after: 40, state: 'no-answer', every: 3 },
] as const;

export interface RecruitingOptions {
  readonly hands: DemoHands;
  readonly diary: Diary;
  readonly chance: Chance;
  readonly network: string;
  /** Somebody of the audience wants to join. */
  readonly join: (member: RecordData) => Promise<void>;
}

/**
 * A campaign every eight weeks, each to another audience chosen by criteria and later again to the same: every second one is
 * paused and resumed, some of those who get its mail answer, and one opts out.
 */
export function recruit(options: RecruitingOptions): void {
  const { hands, diary, chance, network, join } = options;
  const find = async (campaign: string, state: string): Promise<readonly RecordData[]> =>
    hands.find('CampaignMember', `campaign == '${campaign}' && status == '${state}' && lead.entityType == 'individual'`);

  async function someone(campaign: string, state: string): Promise<RecordData | undefined> {
    const found = await find(campaign, state);
    return found.length === 0 ? undefined : found[chance.number(found.length)];
  }

  async function start(index: number): Promise<void> {
    diary.plan(EVERY_DAYS, () => start(index + 1));
    const { specialty, state } = AUDIENCES[index % AUDIENCES.length] ?? AUDIENCES[0];
    const { today }: CallContext = await hands.system();
    const campaign = await hands.create('recruiting', 'Campaign', {
      name: `Campaign ${String(index + 1)}`,
      channel: 'email',
      audience: 'criteria',
      specialty,
      state,
      network,
      startsOn: today,
      manager: hands.id('recruiting'),
      invitation: 'We look for doctors near you. Claims are paid within 20 days.',
    });
    await hands.move('recruiting', 'Campaign', campaign, 'start');
    if (index % 2 === 1) {
      diary.plan(1, () => hands.move('recruiting', 'Campaign', campaign, 'pause'));
      diary.plan(2, () => hands.move('recruiting', 'Campaign', campaign, 'resume'));
    }
    diary.plan(5, async () => {
      const member = await someone(campaign, 'sent');
      if (member !== undefined) await unsubscribe(hands, member.id);
    });
    for (const answer of ANSWERS.filter(({ every }) => index % every === 0)) {
      diary.plan(answer.after, async () => {
        const member = await someone(campaign, answer.state);
        if (member !== undefined) await join(member);
      });
    }
    diary.plan(CLOSED_AFTER, () => hands.move('recruiting', 'Campaign', campaign, 'close'));
  }

  diary.plan(1, () => start(0));
}
