import type { CallContext } from '../../platform/access/types.ts';
import { inTransaction } from '../../platform/db.ts';
import { AppError } from '../../platform/errors.ts';
import type { RecordData } from '../../platform/query/types.ts';
import type { WriteItem } from '../../platform/record/types.ts';
import type { DemoHands } from './demo-host.ts';
import { dayAfter, type Chance, type Diary, type Occupation } from './working-day.ts';

/** Of this many providers one writes on a business day. */
const PROVIDERS_A_MESSAGE = 800;
const PAGE = 200;
const SUBJECTS = [
  'When is the next fee schedule?',
  'A claim was paid short',
  'Whom do we tell about a new colleague?',
  'Prior authorization for imaging',
  'Our address has changed',
  'Access to the portal',
] as const;

interface Letter {
  readonly from: string;
  readonly subject: string;
  readonly text: string;
  /** The first letter about the matter. */
  readonly about?: string;
  readonly isAutomatic?: boolean;
}

export interface InquiriesOptions {
  readonly hands: DemoHands;
  readonly diary: Diary;
  readonly chance: Chance;
  readonly addresses: readonly string[];
}

/**
 * Providers write to the plan's mailbox, and the advocates answer. Some letters arrive twice, for the sender's server did not
 * hear that they had arrived; some senders answer the answer, or a machine does it for them.
 */
export function correspond({ hands, diary, chance, addresses }: InquiriesOptions): readonly Occupation[] {
  const { host } = hands;
  const letters = new Map<string, { readonly from: string; readonly messageId: string }>();
  let written = 0;

  async function write(letter: Letter): Promise<void> {
    const [mailbox] = (await hands.system()).model.mailboxes.values();
    if (mailbox === undefined) throw new AppError('internal', 'There is no mailbox for inquiries.');
    written += 1;
    const messageId = `<simulated-${String(written)}@practice.example>`;
    const head = [`From: ${letter.from}`, `To: ${mailbox.address}`, `Subject: ${letter.subject}`, `Message-ID: ${messageId}`];
    if (letter.about !== undefined) head.push(`In-Reply-To: ${letter.about}`, `References: ${letter.about}`);
    if (letter.isAutomatic === true) head.push('Auto-Submitted: auto-replied');
    const raw = Buffer.from(`${head.join('\r\n')}\r\n\r\n${letter.text}\r\n`);
    const envelope = { from: letter.from, to: mailbox.address };
    const filed = await host.inbound.receive(raw, envelope);
    if (filed === null) throw new AppError('internal', `The message ${messageId} was taken for one that had come before.`);
    if (filed.isNewThread) letters.set(filed.thread.id, { from: letter.from, messageId });
    if (chance.percent(10) && (await host.inbound.receive(raw, envelope)) !== null)
      throw new AppError('internal', `The message ${messageId} came twice and was filed twice.`);
  }

  const asking: Occupation = {
    begins: '14:00',
    async work() {
      const wanted = addresses.length / PROVIDERS_A_MESSAGE;
      const count = Math.floor(wanted) + (chance.number(1000) < (wanted % 1) * 1000 ? 1 : 0);
      for (let index = 0; index < count; index += 1) {
        const from = addresses[chance.number(addresses.length)] ?? '';
        await write({ from, subject: chance.of(SUBJECTS), text: 'Could you look into this, please?' });
      }
      return count;
    },
  };

  async function answer(inquiry: RecordData): Promise<void> {
    const message = { case: inquiry.id, direction: 'out', channel: 'email', to: inquiry['contactEmail'], subject: inquiry['subject'] };
    await hands.create('advocate', 'Message', { ...message, kind: 'substantive', body: 'This is settled now.' });
    await hands.move('advocate', 'Case', inquiry.id, 'answer');
    const letter = letters.get(inquiry.id);
    if (letter === undefined) return;
    const subject = `Re: ${String(inquiry['subject'])}`;
    if (chance.percent(15)) diary.plan(1, () => write({ from: letter.from, subject, text: 'Thank you. One more question.', about: letter.messageId }));
    else if (chance.percent(10)) await write({ from: letter.from, subject, text: 'I am out of office.', about: letter.messageId, isAutomatic: true });
  }

  async function handle(call: CallContext, inquiry: RecordData): Promise<boolean> {
    const expected = inquiry['expectedResolutionOn'];
    if (typeof expected === 'string' && expected > call.today) return false;
    const place = chance.number(100);
    if (place < 10) return false;
    if (place < 20 && typeof expected !== 'string') {
      const message = { case: inquiry.id, direction: 'out', channel: 'email', to: inquiry['contactEmail'], subject: inquiry['subject'] };
      const promise = { kind: 'interim', body: 'We ask the claims team.', expectedResolutionOn: dayAfter(call.today, 7) };
      await hands.create('advocate', 'Message', { ...message, ...promise });
    } else if (place < 30 && inquiry['queue'] === 'advocate') await hands.update('advocate', 'Case', inquiry.id, { queue: 'relations' });
    else if (place < 40) await hands.move('advocate', 'Case', inquiry.id, 'reply-and-close', { resolution: 'This is settled.' });
    else await answer(inquiry);
    return true;
  }

  const answering: Occupation = {
    begins: '09:00',
    async work() {
      const call = await hands.context('advocate');
      const query = { object: 'Case', filter: "status == 'open' && automatic != true", sort: ['receivedAt', 'number'], limit: PAGE };
      const { data } = await host.reader.list(host.db, call, query);
      let done = 0;
      for (const inquiry of data) if (await handle(call, inquiry)) done += 1;
      return done;
    },
  };

  diary.plan(7, closeAnswered);
  return [answering, asking];

  /** Once a week what has been answered for a week is closed. */
  async function closeAnswered(): Promise<void> {
    diary.plan(7, closeAnswered);
    const call = await hands.context('advocate');
    const filter = `status == 'answered' && resolvedAt < instant('${dayAfter(call.today, -7)}T00:00:00Z')`;
    const { data } = await host.reader.list(host.db, call, { object: 'Case', filter, fields: ['number'], sort: ['number'], limit: PAGE });
    const values = { resolution: 'Answered; nothing more was asked.' };
    const items = data.map(({ id, version }): WriteItem => ({ kind: 'transition', id, version, transition: 'close', values }));
    if (items.length > 0) await inTransaction(host.db, (tx) => host.engine.write(tx, call, 'Case', items));
  }
}
