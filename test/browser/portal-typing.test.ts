import { expect } from 'chai';
import type { Browser, Page } from 'playwright-core';
import { revokePortalLink } from '../../src/platform/identity/portal-link.sql.ts';
import { rows, sql } from '../../src/platform/sql.ts';
import { openBrowser } from '../support/browser.ts';
import { FAMILY_DOCTOR, fillPage, readPage } from './support/form.ts';
import { startPlan, type Plan } from './support/plan.ts';
import { inspect, openWindow, type Watched } from './support/screen.ts';
import { startServer, type KillableServer } from './support/server.ts';

const FORM = 'provider-application';
/** Longest pause between two tries of a page that cannot reach the server, and room for it. */
const UNTIL_RETRIED = { timeout: 40_000 };

/** What the page tells those who cannot see it. */
const said = (page: Page) => page.locator('[data-saved]');

describe('a portal page never loses a typed word', function () {
  this.timeout(180_000);
  let plan: Plan;
  let browser: Browser;
  let server: KillableServer;

  before(async () => {
    [plan, browser] = await Promise.all([startPlan(0), openBrowser()]);
    server = await startServer(plan.product.app.config.databaseUrl);
  });
  after(async () => {
    await browser.close();
    await server.stop();
    await plan.stop();
  });

  interface Sitting extends Watched {
    readonly id: string;
    readonly link: string;
    readonly base: string;
    /** What the draft holds of a field. */
    draft(field: string): Promise<unknown>;
    page: Page;
  }

  const linkTo = async (id: string): Promise<string> => {
    const link = await plan.link('Application', id, FORM);
    return link.replace(plan.url, server.url);
  };
  async function sit(options: Parameters<typeof openWindow>[1] = {}, values: Readonly<Record<string, unknown>> = {}): Promise<Sitting> {
    const id = await plan.create('Application', { entityType: 'individual', email: 'ada@practice.example', ...values });
    const link = await linkTo(id);
    const opened = await openWindow(browser, options);
    await opened.page.goto(link);
    const draft = async (field: string): Promise<unknown> =>
      (await rows(plan.product.app.db, sql`select data -> 'fields' ->> ${field} as typed from credenza.submission where record_id = ${id}::uuid`))[0]?.[
        'typed'
      ];
    return { ...opened, id, link, base: opened.page.url(), draft };
  }
  const field = (page: Page, name: string) => page.locator(`[name="${name}"]`);

  it('the server is killed while somebody types: the page says so, keeps the text, and saves it by itself once the server is back', async () => {
    const { page, base, draft, complaints, context } = await sit();
    await page.goto(`${base}/page/contact`);
    await field(page, 'mailingCity').pressSequentially('Spring');
    await page.getByText(/^Saved \d/).waitFor();
    expect(await draft('mailingCity')).to.equal('Spring');
    await server.kill();
    await field(page, 'mailingCity').pressSequentially('field');
    await field(page, 'mailingAddressLine1').pressSequentially('7 Oakes Street');
    expect(await said(page).innerText()).to.equal('Not saved yet');
    await page.getByText('We will try again. What you typed is kept in this browser.').waitFor();
    await page.getByRole('button', { name: 'Save and continue' }).first().press('Enter');
    await page.getByText('We will try again').waitFor();
    expect(await readPage(page)).to.include({ mailingCity: 'Springfield', mailingAddressLine1: '7 Oakes Street' });
    expect(await draft('mailingCity')).to.equal('Spring');
    await server.restart();
    await page.getByText(/^Saved \d/).waitFor(UNTIL_RETRIED);
    expect([await draft('mailingCity'), await draft('mailingAddressLine1')]).to.deep.equal(['Springfield', '7 Oakes Street']);
    await page.getByRole('button', { name: 'Save and come back later' }).click();
    await page.getByRole('heading', { name: 'Apply to join the network' }).waitFor();
    expect(complaints).to.deep.equal([]);
    await context.close();
  });

  it('the server is killed and the window closed: the text is back when the page is opened again in this browser', async () => {
    const { page, context, base, draft, complaints } = await sit();
    await page.goto(`${base}/page/about-you`);
    await server.kill();
    await field(page, 'lastName').pressSequentially('Alder');
    await page.getByText('We will try again').waitFor();
    await page.close({ runBeforeUnload: false });
    await server.restart();
    const again = await context.newPage();
    await again.goto(`${base}/page/about-you`);
    await again.getByText('What you typed before is back on this page').waitFor();
    expect(await field(again, 'lastName').inputValue()).to.equal('Alder');
    expect(await draft('lastName')).to.equal('Alder');
    expect(await again.evaluate<number>('Object.keys(localStorage).length')).to.equal(0);
    await field(again, 'lastName').press('End');
    await field(again, 'lastName').pressSequentially('-Birch');
    await again.getByText(/^Saved \d/).waitFor();
    expect([await draft('lastName'), complaints]).to.deep.equal(['Alder-Birch', []]);
    await context.close();
  });

  it('the window is closed in the middle of a word: the draft has it', async () => {
    const { page, context, base, draft } = await sit();
    await page.goto(`${base}/page/about-you`);
    await field(page, 'lastName').pressSequentially('Ald');
    await page.goto('about:blank');
    const other = await context.newPage();
    await other.goto(`${base}/page/about-you`);
    expect(await field(other, 'lastName').inputValue()).to.equal('Ald');
    await context.close();
    expect(await draft('lastName')).to.equal('Ald');
  });

  it('the link ends while somebody types: the page says what to do, and the text is back behind the new link', async () => {
    const { page, context, base, id, draft } = await sit();
    await page.goto(`${base}/page/about-you`);
    await revokePortalLink(plan.product.app.db, base.split('/').at(-1) ?? '', plan.product.app.clock.now());
    await field(page, 'lastName').pressSequentially('Alder');
    await page
      .getByText('Not saved. This link was withdrawn. Ask us for a new one; nothing you typed is lost. What you typed is kept in this browser.')
      .waitFor();
    await page.getByRole('button', { name: 'Save and continue' }).first().press('Enter');
    await page.getByText('What you typed', { exact: true }).waitFor();
    expect(await page.locator('main').innerText()).to.match(/Last name\s+Alder/);
    await page.goto(await linkTo(id));
    await page.getByRole('link', { name: 'About you' }).click();
    await page.getByText('What you typed before is back on this page').waitFor();
    expect([await field(page, 'lastName').inputValue(), await draft('lastName')]).to.deep.equal(['Alder', 'Alder']);
    await context.close();
  });

  it('the form is sent elsewhere while somebody types: the page says so and gives the text back', async () => {
    const { page, context, base, id } = await sit({}, { providerType: 'pcp' });
    await page.goto(`${base}/page/about-you`);
    await plan.admin(
      'PATCH',
      `/api/v1/records/Application/${id}`,
      { attestationName: 'A', attestedAt: '2026-01-05T15:00:00Z', npi: '1000000004' },
      { 'if-match': '"v1"' },
    );
    await plan.move('Application', id, 'submit');
    await field(page, 'lastName').pressSequentially('Alder');
    await page.getByText(/^Not saved\. This form was sent already/).waitFor();
    await plan.move('Application', id, 'start-review');
    await plan.move('Application', id, 'return', { returnReason: 'Your last name?' });
    await page.reload();
    await page.getByText('What you typed before is back on this page').waitFor();
    expect(await field(page, 'lastName').inputValue()).to.equal('Alder');
    await context.close();
  });

  for (const javaScriptEnabled of [true, false]) {
    it(`the back button shows what was typed, ${javaScriptEnabled ? 'with' : 'without'} script, and what is typed then clashes with nothing`, async () => {
      const { page, base, draft, context } = await sit({ javaScriptEnabled });
      await page.goto(`${base}/page/contact`);
      await fillPage(page, { ...FAMILY_DOCTOR, mailingCity: 'Springfield' });
      await page.getByRole('button', { name: 'Save and continue' }).first().press('Enter');
      await page.getByRole('heading', { name: 'Professional numbers' }).waitFor();
      await page.goBack();
      await page.getByRole('heading', { name: 'How we reach you' }).waitFor();
      expect(await readPage(page)).to.include({ mailingCity: 'Springfield', phone: FAMILY_DOCTOR['phone'] });
      await field(page, 'mailingCity').fill('Worcester');
      await page.getByRole('button', { name: 'Save and continue' }).first().press('Enter');
      await page.getByRole('heading', { name: 'Professional numbers' }).waitFor();
      expect(await draft('mailingCity')).to.equal('Worcester');
      await page.goBack();
      await page.getByRole('heading', { name: 'How we reach you' }).waitFor();
      expect(await page.getByText('typed elsewhere').count()).to.equal(0);
      await context.close();
    });
  }

  it('questions that an answer leads to come at once, are announced, and take nothing from what is being typed', async () => {
    const { page, base, draft, complaints, context } = await sit({}, { prescribes: false });
    await page.goto(`${base}/page/professional-ids`);
    expect([await field(page, 'deaNumber').count(), await page.getByRole('button', { name: 'Update the questions' }).isVisible()]).to.deep.equal([0, false]);
    await field(page, 'medicareId').fill('M123');
    await page.locator('[name=prescribes][value=true]').check();
    await field(page, 'deaNumber').waitFor();
    await page.getByText(/^Saved .*\. 3 questions were added$/).waitFor();
    expect(await page.evaluate<string>('document.activeElement.name')).to.equal('prescribes');
    expect(await page.locator('[role=status][data-saved]').count()).to.equal(1);
    await page.keyboard.press('Tab');
    expect(await page.evaluate<string>('document.activeElement.name')).to.equal('deaNumber');
    await page.keyboard.type('BA1234563');
    await page.getByText(/^Saved \d[^.]*$/).waitFor();
    expect([await draft('deaNumber'), await draft('medicareId')]).to.deep.equal(['BA1234563', 'M123']);
    expect(await inspect(page)).to.deep.equal([]);
    await page.locator('[name=prescribes][value=false]').check();
    await field(page, 'deaNumber').waitFor({ state: 'detached' });
    await page.locator('[name=prescribes][value=true]').check();
    await field(page, 'deaNumber').waitFor();
    expect([await field(page, 'deaNumber').inputValue(), await field(page, 'medicareId').inputValue()]).to.deep.equal(['BA1234563', 'M123']);
    expect(complaints).to.deep.equal([]);
    await context.close();
  });

  it('questions of a whole page change under the hands of who types in it, a chosen file stays chosen', async () => {
    const { page, base, context, complaints } = await sit();
    await page.goto(`${base}/page/about-you`);
    await field(page, 'firstName').fill('Ada');
    await page.locator('[name=entityType][value=organization]').check();
    await field(page, 'organizationName').waitFor();
    expect(await field(page, 'firstName').count()).to.equal(0);
    await page.locator('[name=entityType][value=individual]').check();
    await field(page, 'firstName').waitFor();
    expect(await field(page, 'firstName').inputValue()).to.equal('Ada');
    expect(complaints).to.deep.equal([]);
    await context.close();
  });

  it('two windows on one page: what the other typed comes in by itself, rows of both are kept, a clash is shown and chosen', async () => {
    const desk = await sit();
    const phone = await openWindow(browser, { viewport: { width: 360, height: 740 } });
    await phone.page.goto(desk.link);
    for (const page of [desk.page, phone.page]) await page.goto(`${desk.base}/page/licenses`);
    await field(desk.page, 'licenses.0.number').fill('D-1');
    await desk.page.getByText(/^Saved \d/).waitFor();
    await field(phone.page, 'licenses.0.number').fill('P-1');
    await phone.page.getByText(/^Saved \d/).waitFor();
    await phone.page.getByText('License 2', { exact: true }).waitFor();
    expect([await field(phone.page, 'licenses.0.number').inputValue(), await field(phone.page, 'licenses.1.number').inputValue()]).to.deep.equal([
      'D-1',
      'P-1',
    ]);
    await field(phone.page, 'licenses.1.number').press('End');
    await field(phone.page, 'licenses.1.number').pressSequentially('9');
    await phone.page.getByText(/^Saved \d/).waitFor();

    await field(desk.page, 'licenses.0.state').selectOption('MA');
    await field(desk.page, 'licenses.1.number').waitFor();
    expect(await field(desk.page, 'licenses.1.number').inputValue()).to.equal('P-19');
    await field(phone.page, 'licenses.0.state').selectOption('CT');
    await phone.page.getByText('Something was answered differently elsewhere').waitFor();
    expect(await inspect(phone.page, process.env['TEST_PICTURES'] === undefined ? null : `${process.env['TEST_PICTURES']}/portal-two-answers`)).to.deep.equal(
      [],
    );
    await phone.page.getByRole('button', { name: '“Massachusetts” (typed elsewhere)' }).click();
    await phone.page.getByText('typed elsewhere').first().waitFor({ state: 'detached' });
    expect(await field(phone.page, 'licenses.0.state').inputValue()).to.equal('MA');
    expect([desk.complaints, phone.complaints]).to.deep.equal([[], []]);
    await phone.context.close();
    await desk.context.close();
  });

  it('a form whose button is pressed twice is sent once, and the reader comes to where it says so', async () => {
    const { page, base, id, complaints, context } = await sit({}, { npi: '1000000004', providerType: 'pcp' });
    const parts = async (): Promise<readonly string[]> => page.locator('.tasks a[href*="/page/"]').evaluateAll((links) => links.map(String));
    for (const address of await parts()) {
      await page.goto(address.replace(/\?.*$/, ''));
      await fillPage(page, FAMILY_DOCTOR);
      await page.getByText(/^Saved \d/).waitFor();
      await fillPage(page, FAMILY_DOCTOR);
      await page.getByText(/^Saved \d/).waitFor();
      if (address.endsWith('malpractice')) await page.getByRole('button', { name: 'Upload' }).click();
      else await page.getByRole('button', { name: 'Save and come back later' }).click();
      await page
        .getByText(/certificate\.png|You have finished/)
        .first()
        .waitFor();
    }
    await page.goto(`${base}/check`);
    await page.getByLabel('Your full name').fill('Ada Alder');
    await server.kill();
    const send = page.getByRole('button', { name: 'Send application' });
    await send.click();
    await page.getByText('Not sent: we cannot be reached just now.').waitFor();
    expect(await page.getByLabel('Your full name').inputValue()).to.equal('Ada Alder');
    await server.restart();
    await send.dblclick();
    await page.getByRole('heading', { name: 'We have your application' }).waitFor();
    const found = await rows(plan.product.app.db, sql`select state from credenza.submission where record_id = ${id}::uuid`);
    expect(found.map((row) => row['state'])).to.deep.equal(['submitted']);
    expect(await plan.find('License', `application == '${id}'`)).to.have.length(1);
    expect(complaints).to.deep.equal([]);
    await context.close();
  });
});
