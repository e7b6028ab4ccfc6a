import { expect } from 'chai';
import type { Browser, Page } from 'playwright-core';
import { openBrowser } from '../support/browser.ts';
import { FAMILY_DOCTOR, fillPage, readPage, type Answers } from './support/form.ts';
import { sendContract, startPlan, type Plan } from './support/plan.ts';
import { openWindow, type Watched } from './support/screen.ts';

const PARTS = 11;

/** Answers everything on the pages from where the reader stands, until a title is reached. */
async function fillUntil(page: Page, title: string): Promise<void> {
  for (let step = 0; step < 3 * PARTS; step += 1) {
    const heading = await page.locator('h1').innerText();
    if (heading === title) return;
    if (heading === 'Licenses' && (await page.getByText('License 2', { exact: true }).count()) === 0) {
      await fillPage(page, FAMILY_DOCTOR);
      await page.getByRole('button', { name: 'Add another license' }).click();
      await page.getByText('License 2', { exact: true }).waitFor();
    }
    await fillPage(page, FAMILY_DOCTOR);
    const complaints = await page.locator('#errors li').allInnerTexts();
    await page.getByRole('button', { name: 'Save and continue' }).click();
    await page.locator('h1').waitFor();
    const again = await page.locator('#errors li').allInnerTexts();
    // A question may appear once another is answered; the same complaint twice is none that answers end.
    if (again.length > 0 && again.join() === complaints.join()) throw new Error(`${heading}: ${again.join('; ')}`);
  }
  throw new Error(`"${title}" was never reached.`);
}

/** What every page of the form holds, read through the task list. */
async function readAll(page: Page, base: string): Promise<Answers> {
  const held: Record<string, string | readonly string[]> = {};
  await page.goto(base);
  const parts = await page.locator('.tasks a[href*="/page/"]').evaluateAll((links) => links.map(String));
  expect(parts).to.have.length(PARTS);
  for (const address of parts) {
    await page.goto(address.replace(/\?.*$/, ''));
    for (const [name, value] of Object.entries(await readPage(page))) if (!name.endsWith('.id')) held[name] = value;
  }
  return held;
}

describe('the portal in a browser', function () {
  this.timeout(120_000);
  let plan: Plan;
  let browser: Browser;

  before(async () => {
    [plan, browser] = await Promise.all([startPlan(0), openBrowser()]);
  });
  after(async () => {
    await browser.close();
    await plan.stop();
  });

  async function begin(
    options: Parameters<typeof openWindow>[1] = {},
  ): Promise<Watched & { readonly id: string; readonly link: string; readonly base: string }> {
    const id = await plan.create('Application', { entityType: 'individual', email: 'ada@practice.example' });
    const link = await plan.link('Application', id, 'provider-application');
    const opened = await openWindow(browser, options);
    await opened.page.goto(link);
    return { ...opened, id, link, base: opened.page.url() };
  }

  it('R004-06 the whole application without script, in three sittings on two devices, every value kept, and sent', async () => {
    const desk = await begin({ javaScriptEnabled: false });
    await desk.page.getByRole('link', { name: 'Start' }).click();
    await fillUntil(desk.page, 'Education and training');
    await desk.context.close();

    const phone = await openWindow(browser, { javaScriptEnabled: false, viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true });
    await phone.page.goto(desk.link);
    await phone.page.getByRole('link', { name: 'Continue' }).click();
    expect(await phone.page.locator('h1').innerText()).to.equal('Education and training');
    await fillUntil(phone.page, 'Malpractice insurance');
    await fillPage(phone.page, { malpracticeCarrier: 'Mutual of Physicians', malpracticeExpiresOn: '2027-12-31' });
    await phone.page.getByRole('button', { name: 'Save and come back later' }).click();
    await phone.page.getByText('You have finished 9 of 11 parts').waitFor();
    await phone.context.close();

    const back = await openWindow(browser, { javaScriptEnabled: false });
    await back.page.goto(desk.link);
    await back.page.getByRole('link', { name: 'Continue' }).click();
    expect(await readPage(back.page)).to.include({ malpracticeCarrier: 'Mutual of Physicians', malpracticeExpiresOn: '2027-12-31' });
    await fillUntil(back.page, 'Check your answers');

    const elsewhere = await openWindow(browser, { viewport: { width: 360, height: 740 } });
    await elsewhere.page.goto(desk.link);
    expect(await readAll(elsewhere.page, elsewhere.page.url())).to.deep.equal(FAMILY_DOCTOR);
    expect(elsewhere.complaints).to.deep.equal([]);
    await elsewhere.context.close();

    await back.page.goto(`${desk.base}/check`);
    await back.page.getByText('certificate.png').waitFor();
    await back.page.getByRole('button', { name: 'Send application' }).click();
    expect(await back.page.title()).to.match(/^Error: /);
    await back.page.getByLabel('Your full name').fill('Ada Alder');
    await back.page.getByRole('button', { name: 'Send application' }).click();
    await back.page.getByRole('heading', { name: 'We have your application' }).waitFor();
    const record = await plan.get('Application', desk.id);
    expect(record).to.include({
      status: 'submitted',
      lastName: 'Alder',
      malpracticeAggregate: '3000000',
      disclosureMalpracticeDetail: 'A claim of 2015 was settled.',
    });
    expect(await plan.find('License', `application == '${desk.id}'`)).to.have.length(2);
    await back.context.close();
  });

  it('errors: focus goes to the summary, and each link to the input it speaks of', async () => {
    const { page, base, complaints, context } = await begin();
    await page.goto(`${base}/page/licenses`);
    await page.getByRole('button', { name: 'Save and continue' }).click();
    await page.getByText('There is a problem').waitFor();
    expect(await page.title()).to.match(/^Error: /);
    expect(await page.evaluate<string>('document.activeElement.id')).to.equal('errors');
    for (const path of ['licenses', 'disclosures', 'specialty']) {
      await page.goto(`${base}/page/${path}?check=1`);
      const links = page.locator('#errors a');
      expect(await links.count()).to.be.greaterThan(0);
      for (const link of await links.all()) {
        const target = (await link.getAttribute('href'))?.slice(1) ?? '';
        await link.press('Enter');
        expect(await page.evaluate<string>('document.activeElement.id'), target).to.equal(target);
        expect(await page.evaluate<string>('document.activeElement.tagName'), target).to.match(/^(INPUT|SELECT|TEXTAREA)$/);
      }
    }
    expect(complaints).to.deep.equal([]);
    await context.close();
  });

  it('with script, what is typed is saved while it is typed, in words that say so, and back loses nothing', async () => {
    const { page, base, link, complaints, context } = await begin();
    await page.goto(`${base}/page/contact`);
    await page.getByLabel('Telephone').or(page.getByLabel('Phone')).first().fill('not a number');
    await page.getByText('Not saved yet').waitFor();
    await page.getByText(/^Saved \d/).waitFor();
    const other = await openWindow(browser);
    await other.page.goto(link);
    await other.page.goto(`${base}/page/contact`);
    expect((await readPage(other.page))['phone']).to.equal('not a number');
    await other.context.close();

    await page.locator('[name=mailingCity]').fill('Springfield');
    await page.getByRole('button', { name: 'Back to all parts' }).click();
    await page.getByRole('heading', { name: 'Apply to join the network' }).waitFor();
    await page.goto(`${base}/page/contact`);
    expect((await readPage(page))['mailingCity']).to.equal('Springfield');

    await page.route('**/autosave', (route) => route.abort());
    await page.locator('[name=mailingZip]').fill('01101');
    await page.getByText('We will try again').waitFor();
    await page.unroute('**/autosave');
    await page.getByText(/^Saved \d/).waitFor();
    expect(complaints).to.deep.equal([]);
    await context.close();
  });

  it('an agreement is signed with the keyboard alone', async () => {
    const contract = await sendContract(plan);
    const { page, complaints, context } = await openWindow(browser);
    await page.goto(await plan.link('Contract', contract, 'contract-signing'));
    const base = page.url();
    const focused = () => page.evaluate<string>("document.activeElement.getAttribute('name') ?? document.activeElement.textContent.trim()");
    const tabTo = async (wanted: string): Promise<void> => {
      for (let presses = 0; presses < 20; presses += 1) {
        await page.keyboard.press('Tab');
        if ((await focused()) === wanted) return;
      }
      throw new Error(`Tab never came to "${wanted}".`);
    };
    const pdf = await page.request.get(`${base}/document`);
    expect([pdf.status(), pdf.headers()['content-type']]).to.deep.equal([200, 'application/pdf']);
    await tabTo('Sign the document');
    await page.keyboard.press('Enter');
    await page.getByText('There is a problem').waitFor();
    expect(await page.evaluate<string>('document.activeElement.id')).to.equal('errors');
    await tabTo('name');
    await page.keyboard.type('Ada Alder');
    await tabTo('title');
    await page.keyboard.type('Owner');
    await tabTo('consent');
    await page.keyboard.press('Space');
    await tabTo('Sign the document');
    await page.keyboard.press('Enter');
    await page.getByText('Signed by the provider').waitFor();
    expect((await plan.get('Contract', contract))['status']).to.equal('provider-signed');
    const [signature] = await plan.find('Signature', `contract == '${contract}'`);
    expect(signature).to.include({ party: 'provider', signerName: 'Ada Alder', signerTitle: 'Owner' });
    expect(complaints).to.deep.equal([]);
    await context.close();
  });
});
