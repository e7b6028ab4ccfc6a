import type { RecordData } from '../../platform/query/types.ts';
import type { DemoHands } from './demo-host.ts';
import * as steps from './demo-steps.ts';
import type { Person } from './demo-steps.ts';
import type { Diary } from './working-day.ts';

interface Stage {
  /** Days after the answer to the campaign. */
  readonly after: number;
  readonly happen: (hands: DemoHands, person: Person) => Promise<void>;
}

const APPLIED: readonly Stage[] = [
  { after: 2, happen: async (hands, person) => void (await steps.fill(hands, person)) },
  { after: 4, happen: steps.submit },
];
const VERIFIED: Stage = { after: 8, happen: (hands, person) => steps.review(hands, person, 'all') };
const RETURNED: readonly Stage[] = [
  { after: 6, happen: steps.sendBack },
  { after: 7, happen: steps.correct },
];
const DENIED: Stage = { after: 12, happen: steps.deny };
const APPROVED: readonly Stage[] = [
  { after: 12, happen: steps.approve },
  { after: 15, happen: steps.sendContract },
];
const REVISED: readonly Stage[] = [
  { after: 16, happen: steps.revise },
  { after: 17, happen: steps.sendContract },
];
const SIGNED: readonly Stage[] = [
  { after: 19, happen: (hands, person) => steps.sign(hands, person, 'portal') },
  { after: 21, happen: (hands, person) => steps.sign(hands, person, 'staff') },
  { after: 24, happen: steps.activate },
];

/**
 * Somebody who answered a campaign and the teams that deal with them, until the contract is executed and the provider
 * active: one in four is asked for a correction first, one in five gets a second version of the contract, one in seven is denied.
 */
export function makeJoining(hands: DemoHands, diary: Diary): (member: RecordData) => Promise<void> {
  let count = 0;
  return async (member) => {
    const index = count;
    count += 1;
    const person = await steps.makePerson(hands, member, index);
    await steps.answer(hands, person);
    const stages = [...APPLIED, ...(index % 4 === 1 ? RETURNED : []), VERIFIED];
    if (index % 7 === 5) stages.push(DENIED);
    else stages.push(...APPROVED, ...(index % 5 === 2 ? REVISED : []), ...SIGNED);
    for (const { after, happen } of stages) diary.plan(after, () => happen(hands, person));
  };
}
