import { expect } from 'chai';
import { EXTENSIONS } from '../../src/extensions.ts';
import { loadConfig } from '../../src/config.ts';
import { makeApp } from '../../src/main.ts';
import { inTransaction } from '../../src/platform/db.ts';
import { createPortalLink } from '../../src/platform/identity/portal-links.ts';
import { makeLog } from '../../src/platform/log.ts';
import { makeModelStore } from '../../src/platform/schema/store.ts';
import { platformTable, rows, sql } from '../../src/platform/sql.ts';
import { makeBrowser } from '../flow/support/browser.ts';
import { FORM, startMarina, type Marina } from '../platform/forms/support/marina.ts';

describe('portal: the metadata changes between a page and what is pressed on it', () => {
  let marina: Marina;
  before(async () => {
    marina = await startMarina();
  });
  after(() => marina.stop());

  it('keeps what is typed and sends the form, in a process that does not know it yet', async () => {
    const { app } = marina.test;
    const id = await marina.newMooring();
    const wanted = { object: 'Mooring', recordId: id, permissionSet: 'skipper', purpose: `form:${FORM}`, days: 30 };
    const context = await marina.system();
    const link = await inTransaction(app.db, (tx) => createPortalLink(tx, context, wanted));
    const second = makeApp({ ...loadConfig({ PORT: '0' }, '/nowhere'), databaseUrl: app.config.databaseUrl }, { log: makeLog('silent') });
    const { url } = await second.start({ web: true, work: false });
    let changes = 0;
    /** Puts a change in force of which the second process learns by a write that is refused. */
    const change = async (): Promise<void> => {
      let warmed: Promise<unknown> = Promise.resolve();
      const store = makeModelStore({
        db: app.db,
        clock: app.clock,
        extensions: EXTENSIONS,
        faults: (point) => {
          if (point === 'schema.before_version') warmed = second.store.current();
        },
      });
      const { set } = await store.recorded();
      const mooring = set.objects.get('Mooring');
      if (mooring === undefined) throw new Error('There are no moorings.');
      changes += 1;
      await store.apply(
        { kind: 'change', set: { ...set, objects: new Map([...set.objects, ['Mooring', { ...mooring, description: `Change ${String(changes)}` }]]) } },
        'test',
      );
      await warmed;
    };
    try {
      const browser = makeBrowser('Desk');
      await browser.open(`${url ?? ''}/portal/start/${link.secret}`);
      const page = (name: string) => browser.open(`${url ?? ''}/portal/${link.id}/${name}`);
      // The heartbeat waits for this row, and so does not bring the second process up to date.
      await inTransaction(app.db, async (tx) => {
        await rows(tx, sql`select from ${platformTable(tx, 'process')} for update`);
        const boat = await page('page/boat');
        await change();
        await browser.press(boat, 'Save and continue', { withGuests: 'false', insured: 'false' });
        const check = await page('check');
        await change();
        const sent = await browser.press(check, 'Send application');
        expect(sent.status, sent.text).to.equal(200);
      });
      expect((await marina.open(id)).submission.state).to.equal('submitted');
      expect((await marina.stored(id)).filter((row) => row['state'] === 'submitted')).to.have.length(1);
      expect((await second.store.load()).objects.get('Mooring')?.description).to.equal('Change 2');
    } finally {
      await second.stop();
    }
  });
});
