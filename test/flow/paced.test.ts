import { expect } from 'chai';
import { isNpi } from '../../src/network/npi/npi.ts';
import { inTransaction } from '../../src/platform/db.ts';
import { makePacing } from '../../src/platform/mail/pacing.ts';
import { makeMailSender } from '../../src/platform/mail/sender.ts';
import { policyLookup } from '../../src/platform/policies/policies.ts';
import type { WriteItem } from '../../src/platform/record/types.ts';
import { platformTable, rows, run, sql } from '../../src/platform/sql.ts';
import { makeWorld, type World } from './support/world.ts';

describe('Campaign mail leaves at its pace and its hours', function () {
  this.timeout(60_000);
  let world: World;
  let number = 0;
  const npis = Array.from({ length: 5000 }, (_, index) => String(1_003_000_000 + index)).filter(isNpi);

  const write = async (object: string, items: readonly WriteItem[]): Promise<readonly string[]> => {
    const context = await world.app.contextFor({ kind: 'system', name: 'test' }, { kind: 'command', name: 'test' });
    const outcomes = await inTransaction(world.app.db, (tx) => world.app.engine.write(tx, context, object, items, { asSystem: true }));
    return outcomes.map((outcome) => {
      if (!outcome.ok) throw new Error(`${object} was not written: ${outcome.message}`);
      return outcome.id;
    });
  };
  /** A campaign to these addresses that begins at once. */
  async function begin(name: string, to: readonly string[], startsOn: string): Promise<void> {
    const [campaign] = await write('Campaign', [{ kind: 'create', values: { name, channel: 'email', audience: 'list', invitation: 'Join us.' } }]);
    const leads = await write(
      'Lead',
      to.map((email) => ({
        kind: 'create',
        values: { npi: npis[(number += 1)], entityType: 'individual', firstName: 'Ada', lastName: 'Alder', name: email, email },
      })),
    );
    await write(
      'CampaignMember',
      to.map((email, index) => ({ kind: 'create', values: { campaign, lead: leads[index], email } })),
    );
    await write('Campaign', [{ kind: 'transition', id: campaign ?? '', transition: 'start', values: { startsOn } }]);
  }
  const arrived = (domain: string): number => world.sink.messages.filter(({ to }) => (to[0] ?? '').endsWith(`@${domain}`)).length;
  const at = (domain: string, count: number): readonly string[] => Array.from({ length: count }, (_, index) => `m${String(index)}@${domain}`);
  const attempts = async (): Promise<unknown> =>
    (await rows(world.app.db, sql`select max(attempt)::int as most from ${platformTable(world.app.db, 'mail_delivery')} where state = 'sent'`))[0]?.['most'];

  before(async () => {
    world = await makeWorld('2026-03-05T12:00:00.000Z');
  });
  after(() => world.close());

  it('at most so many a minute to a domain, which holds up no other domain', async () => {
    await begin('many', [...at('large.example', 150), ...at('small.example', 5)], '2026-03-05');
    // The rule writes at 8:00 of the plan's zone; its mails leave in that instant as far as they may.
    await world.until('2026-03-05T13:00:00.000Z');
    expect(arrived('small.example')).to.equal(5);
    expect(arrived('large.example'), 'ten seconds of 600 a minute at once').to.equal(101);
    await world.until('2026-03-05T13:00:02.000Z');
    expect(arrived('large.example')).to.equal(121);
    await world.until('2026-03-05T13:00:10.000Z');
    expect(arrived('large.example')).to.equal(150);
    expect(await attempts(), 'what was kept back was not tried').to.equal(1);
  });

  it('not at night, and not at weekends', async () => {
    for (const email of at('night.example', 3)) world.mailRules.set(email, 450);
    await begin('late', at('night.example', 3), '2026-03-06');
    await world.until('2026-03-07T01:05:00Z');
    world.mailRules.clear();
    await world.until('2026-03-09T11:59:59Z');
    expect(arrived('night.example'), 'Friday 20:05 to Monday 7:59, after clocks were set forward').to.equal(0);
    await world.until('2026-03-09T12:00:00Z');
    expect(arrived('night.example')).to.equal(3);
  });

  it('slowly while the domain that sends is new, and no more a day than the policy says', async () => {
    const { app } = world;
    for (const email of at('new.example', 30)) world.mailRules.set(email, 450);
    await begin('new', at('new.example', 30), '2026-03-09');
    await world.until('2026-03-09T12:30:00Z');
    world.mailRules.clear();
    const delivery = platformTable(app.db, 'mail_delivery');
    await run(app.db, sql`delete from ${platformTable(app.db, 'mail_pace')}`);
    await run(app.db, sql`update ${delivery} set next_attempt_at = ${app.clock.now()}::timestamptz where state = 'queued'`);
    const pacing = makePacing({ policies: policyLookup, warmUpFrom: '2026-03-06' });
    const sender = makeMailSender({
      smtpUrl: world.sink.url,
      clock: app.clock,
      log: app.log,
      files: app.files,
      currentModel: () => app.store.current(),
      pacing,
    });
    try {
      expect((await sender.sendDue(app.db)).sent, 'ten seconds of 60 a minute').to.equal(11);
      await run(app.db, sql`update ${platformTable(app.db, 'mail_pace')} set day_count = 499, next_at = ${app.clock.now()}::timestamptz`);
      await run(app.db, sql`update ${delivery} set next_attempt_at = ${app.clock.now()}::timestamptz, paced_at = null where state = 'queued'`);
      expect((await sender.sendDue(app.db)).sent).to.equal(1);
      const left = await rows(app.db, sql`select distinct next_attempt_at as at from ${delivery} where state = 'queued'`);
      expect(
        left.map((row) => new Date(String(row['at'])).toISOString()),
        'the rest goes the next morning',
      ).to.deep.equal(['2026-03-10T12:00:00.000Z']);
    } finally {
      sender.close();
    }
  });
});
