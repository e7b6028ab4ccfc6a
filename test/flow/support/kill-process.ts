import { writeSync } from 'node:fs';
import { faultsLeft, setFaultPlan } from '../../../src/platform/fault.ts';
import { tellStory } from './kill-story.ts';
import { makeTeller } from './kill-tools.ts';

/** A process of its own that tells the story from where it stands, to the end or to that of a chapter, and kills itself where its fault plan says. */
const [databaseUrl = '', smtpUrl = '', start = '', plan = '', lastChapter = ''] = process.argv.slice(2);
const say = (what: string, value: string): void => {
  writeSync(1, `${what} ${value}\n`);
};
setFaultPlan(plan);
const teller = await makeTeller({ databaseUrl, smtpUrl, start, say: (instant) => say('at', instant) });
await tellStory(teller, lastChapter);
for (const [point, left] of faultsLeft()) say('left', `${point} ${String(left)}`);
await teller.close();
