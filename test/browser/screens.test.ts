import { join } from 'node:path';
import { expect } from 'chai';
import type { Browser, Page } from 'playwright-core';
import { openBrowser } from '../support/browser.ts';
import { FAMILY_DOCTOR, fillPage } from './support/form.ts';
import { runCampaign, sendContract, startPlan, type Plan } from './support/plan.ts';
import { inspect, openWindow, signIn, type Watched } from './support/screen.ts';

/** Where to keep a picture of each screen; none are kept when it is not set. */
const PICTURES = process.env['TEST_PICTURES'];

describe('every screen, wide and narrow, light and dark', function () {
  this.timeout(120_000);
  let plan: Plan;
  let browser: Browser;
  let staff: Watched;
  let lead: string;

  before(async () => {
    [plan, browser] = await Promise.all([startPlan(30), openBrowser()]);
    await runCampaign(plan);
    await plan.create('Application', { entityType: 'individual', email: 'mona@practice.example' });
    await plan.product.app.worker.drain();
    lead = String((await plan.find('Lead', "entityType == 'individual'"))[0]?.['id']);
    staff = await openWindow(browser);
    await signIn(staff.page, plan);
  });
  after(async () => {
    await browser.close();
    await plan.stop();
  });

  async function expectGood(name: string, page: Page, complaints: readonly string[]): Promise<void> {
    expect(await inspect(page, PICTURES === undefined ? null : join(PICTURES, name)), name).to.deep.equal([]);
    expect(complaints, name).to.deep.equal([]);
  }

  const screen = (name: string, open: (page: Page) => Promise<void>): void => {
    it(name, async () => {
      await open(staff.page);
      await expectGood(name.replaceAll(' ', '-'), staff.page, staff.complaints);
      await staff.page.keyboard.press('Escape');
    });
  };
  const at = (path: string, ready: (page: Page) => ReturnType<Page['locator']>) => async (page: Page) => {
    await page.goto(`${plan.url}${path}`);
    await ready(page).first().waitFor();
  };
  const heading = (name: string | RegExp) => (page: Page) => page.getByRole('heading', { name });
  const openLead = async (page: Page): Promise<void> => {
    await page.goto(`${plan.url}/o/Lead/${lead}`);
    await page.getByRole('heading', { name: 'NPI record' }).waitFor();
    await page.getByText('No tasks yet.').waitFor();
  };

  it('invitation', async () => {
    const fresh = await openWindow(browser);
    await fresh.page.goto(`${plan.url}/invitation/${'x'.repeat(43)}`);
    await fresh.page.getByLabel('New password').fill('short');
    await fresh.page.getByRole('button', { name: /Set password/ }).click();
    await fresh.page.getByRole('alert').waitFor();
    await expectGood('invitation', fresh.page, fresh.complaints);
    await fresh.context.close();
  });

  it('sign-in', async () => {
    const fresh = await openWindow(browser);
    await fresh.page.goto(plan.url);
    await fresh.page.getByLabel('E-mail').fill('nobody@plan.example');
    await fresh.page.getByLabel('Password', { exact: true }).fill('wrong');
    await fresh.page.getByRole('button', { name: 'Sign in' }).click();
    await fresh.page.getByRole('alert').waitFor();
    await expectGood('sign-in', fresh.page, fresh.complaints);
    await fresh.context.close();
  });

  screen(
    'home',
    at('/', (page) => page.getByRole('link', { name: /Written to/ })),
  );
  screen(
    'list',
    at('/o/Lead', (page) => page.getByRole('link', { name: /[A-Z]/ }).and(page.locator('tbody a'))),
  );
  screen('list with filter', async (page) => {
    await at('/o/Lead?view=leads-new&filter=npi%20!%3D%20null&search=ma', (next) => next.getByText('Filter:'))(page);
    await page.getByRole('button', { name: 'Filter' }).click();
    await page.getByLabel('Filter expression').waitFor();
  });
  screen('columns', async (page) => {
    await at('/o/Lead', (next) => next.locator('tbody a'))(page);
    await page.getByRole('button', { name: 'Columns' }).click();
    await page.getByRole('checkbox', { name: 'Credential' }).waitFor();
  });
  screen('save view', async (page) => {
    await at('/o/Lead?filter=npi%20!%3D%20null', (next) => next.locator('tbody a'))(page);
    await page.getByRole('button', { name: 'Save view' }).click();
    await page.getByLabel('Name of the view').waitFor();
  });
  screen('export', async (page) => {
    await at('/o/Lead', (next) => next.locator('tbody a'))(page);
    await page.getByRole('button', { name: 'Export' }).click();
    await page.getByRole('link', { name: 'CSV' }).waitFor();
  });
  screen('record', openLead);
  screen('edit', async (page) => {
    await openLead(page);
    await page.getByRole('button', { name: 'Edit' }).click();
    await page.getByLabel('Last name').waitFor();
  });
  screen('transition dialog', async (page) => {
    await openLead(page);
    await page.getByRole('button', { name: 'Disqualify' }).click();
    await page.getByRole('dialog').waitFor();
  });
  screen('refused transition dialog', async (page) => {
    await openLead(page);
    await page.getByRole('button', { name: /not yet/ }).click();
    await page.getByText('This step is not possible yet').waitFor();
  });
  screen('stale version dialog', async (page) => {
    await openLead(page);
    await page.getByRole('button', { name: 'Edit' }).click();
    await page.getByLabel(/^Notes/).fill('Mine');
    const record = await plan.get('Lead', lead);
    await plan.admin('PATCH', `/api/v1/records/Lead/${lead}`, { notes: 'Theirs' }, { 'if-match': `"v${String(record['version'])}"` });
    await page.getByRole('button', { name: 'Save' }).click();
    await page.getByText('Somebody saved this record before you').waitFor();
  });
  screen('history', async (page) => {
    await openLead(page);
    await page.getByRole('tab', { name: 'History' }).click();
    await page.getByText('(empty) → Theirs').waitFor();
  });
  screen('new', at('/o/Campaign/new', heading('New campaign')));
  screen('report', at('/reports/response-times', heading('Answers to inquiries')));
  screen(
    'search',
    at('/search?q=autumn', (page) => page.locator('main li a')),
  );
  screen('captured mail', async (page) => {
    await at('/mail', (next) => next.locator('tbody button'))(page);
    await page.locator('tbody button').first().click();
    await page.locator('.mail-text').waitFor();
  });
  screen('nothing here', at('/nowhere', heading(/nothing at this address/)));

  describe('the portal', () => {
    let visitor: Watched;
    let base: string;
    before(async () => {
      const application = await plan.create('Application', { entityType: 'individual', email: 'ada@practice.example' });
      visitor = await openWindow(browser);
      await visitor.page.goto(await plan.link('Application', application, 'provider-application'));
      base = visitor.page.url();
    });
    after(() => visitor.context.close());
    const portal = (name: string, open: (page: Page) => Promise<void>): void => {
      it(name, async () => {
        await open(visitor.page);
        await visitor.page.locator('h1').waitFor();
        await expectGood(`portal-${name.replaceAll(' ', '-')}`, visitor.page, visitor.complaints);
      });
    };

    portal('tasks', async (page) => void (await page.goto(base)));
    portal('page', async (page) => void (await page.goto(`${base}/page/about-you`)));
    portal('page with errors', async (page) => {
      await page.getByRole('button', { name: 'Save and continue' }).click();
      await page.getByText('There is a problem').waitFor();
    });
    portal('page with rows', async (page) => {
      await page.goto(`${base}/page/licenses`);
      await page.getByRole('button', { name: 'Add another license' }).click();
      await page.getByText('License 2', { exact: true }).waitFor();
    });
    portal('page with a document', async (page) => {
      await page.goto(`${base}/page/malpractice`);
      await fillPage(page, FAMILY_DOCTOR);
      await page.getByRole('button', { name: 'Upload' }).click();
      await page.getByText('certificate.png').waitFor();
    });
    portal('check', async (page) => {
      await page.goto(`${base}/check`);
      await page.getByRole('button', { name: 'Send application' }).click();
      await page.getByText('There is a problem').waitFor();
    });
    portal('status', async (page) => void (await page.goto(`${base}/status`)));
    portal('unknown link', async (page) => void (await page.goto(`${plan.url}/portal/start/unknown`)));
    portal('unsubscribe', async (page) => {
      await page.goto(`${plan.url}/portal/unsubscribe/unknown`);
      await page.getByRole('button', { name: 'Stop these mails' }).waitFor();
    });
    portal('sign', async (page) => {
      await page.goto(await plan.link('Contract', await sendContract(plan), 'contract-signing'));
      await page.getByRole('button', { name: 'Sign the document' }).click();
      await page.getByText('There is a problem').waitFor();
    });
  });
});
