import { readFile } from 'node:fs/promises';
import { expect } from 'chai';
import type { Browser, Page } from 'playwright-core';
import { at } from '../support/app.ts';
import { openBrowser } from '../support/browser.ts';
import { runCampaign, startPlan, type Plan } from './support/plan.ts';
import { openWindow, signIn, type Watched } from './support/screen.ts';

describe('the console in a browser', function () {
  this.timeout(60_000);
  let plan: Plan;
  let browser: Browser;
  let staff: Watched;
  let page: Page;

  before(async () => {
    [plan, browser] = await Promise.all([startPlan(120), openBrowser()]);
    await runCampaign(plan);
    staff = await openWindow(browser);
    page = staff.page;
  });
  after(async () => {
    await browser.close();
    await plan.stop();
  });
  afterEach(() => expect(staff.complaints).to.deep.equal([]));

  const parameter = (name: string): string | null => new URL(page.url()).searchParams.get(name);
  const column = (index: number): Promise<readonly string[]> => page.locator(`table.grid tbody tr td:nth-child(${String(index)})`).allInnerTexts();
  /** The number of rows that the list says it has. */
  async function listed(): Promise<number> {
    const status = page.getByRole('status').filter({ hasText: /^\d/ });
    await status.waitFor();
    return Number.parseInt(await status.innerText(), 10);
  }
  async function openRecord(object: string, id: string): Promise<void> {
    await page.goto(`${plan.url}/o/${object}/${id}`);
    await page.getByRole('heading', { level: 1 }).waitFor();
  }
  async function save(object: string, id: string, values: Readonly<Record<string, unknown>>): Promise<void> {
    const version = String((await plan.get(object, id))['version']);
    const answer = await plan.admin('PATCH', `/api/v1/records/${object}/${id}`, values, { 'if-match': `"v${version}"` });
    expect(answer.status, answer.text).to.equal(200);
  }

  it('signing in: wrong words are refused, right ones open the home page', async () => {
    await page.goto(plan.url);
    await page.getByLabel('E-mail').fill(plan.email);
    await page.getByLabel('Password', { exact: true }).fill('wrong');
    await page.getByRole('button', { name: 'Sign in' }).click();
    await page.getByText('You are not signed in').waitFor();
    await signIn(page, plan);
    expect(await page.title()).to.equal('Home – Credenza');
  });

  it('a list opens in its view of everything; search, sort, filter and columns stand in the address and come back with it', async () => {
    await page.getByRole('link', { name: 'Leads', exact: true }).click();
    expect(await listed()).to.equal((await plan.find('Lead', 'id != null')).length);
    expect(await page.getByLabel('View').inputValue()).to.equal('leads-all');
    expect(await page.locator('table.grid th').first().innerText()).to.contain('Name');

    await page.getByRole('button', { name: 'Filter' }).click();
    await page.getByLabel('Field').selectOption('practiceCity');
    await page.getByLabel('Condition').selectOption('starts');
    await page.getByLabel('Value').fill('w');
    await page.getByRole('button', { name: 'Add condition' }).click();
    await page.getByRole('button', { name: 'Apply filter' }).click();
    await page.waitForURL(/filter=/);
    const expected = await plan.find('Lead', "lower(practiceCity).startsWith('w')");
    expect(expected).not.to.be.empty;
    await page
      .getByRole('status')
      .filter({ hasText: `${String(expected.length)} leads` })
      .waitFor();

    await page.getByRole('button', { name: 'NPI', exact: true }).click();
    await page.waitForURL(/sort=npi/);
    await page.getByRole('button', { name: 'NPI', exact: true }).click();
    await page.waitForURL(/sort=-npi/);
    await page.locator('th[aria-sort=descending]').waitFor();
    await page.getByRole('button', { name: 'Columns' }).click();
    await page.getByRole('checkbox', { name: 'Credential' }).click();
    await page.keyboard.press('Escape');
    await page.getByRole('columnheader', { name: 'Credential' }).waitFor();
    const npis = expected
      .map((lead) => String(lead['npi']))
      .sort()
      .reverse();
    expect(await column(2)).to.deep.equal(npis.slice(0, 50));

    const address = page.url();
    const friend = await staff.context.newPage();
    await friend.goto(address);
    await friend.getByRole('columnheader', { name: 'Credential' }).waitFor();
    expect(await friend.locator('table.grid tbody tr td:nth-child(2)').allInnerTexts()).to.deep.equal(npis.slice(0, 50));
    await friend.close();

    const name = String(expected[0]?.['lastName'] ?? expected[0]?.['organizationName']);
    await page.getByLabel('Search in this list').fill(name);
    await page.keyboard.press('Enter');
    await page.waitForURL(/search=/);
    expect(parameter('filter')).to.contain('practiceCity');
    const body = { filter: "lower(practiceCity).startsWith('w')", search: name, count: 'exact', limit: 1 };
    const found = Number(at((await plan.admin('POST', '/api/v1/records/Lead/query', body)).body, 'meta.count'));
    expect(found).to.be.within(1, expected.length);
    await page
      .getByRole('status')
      .filter({ hasText: new RegExp(`^${String(found)} lead`) })
      .waitFor();
    await page.goBack();
    await page
      .getByRole('status')
      .filter({ hasText: `${String(expected.length)} leads` })
      .waitFor();
  });

  it('what a list shows is saved as a view, changed, and deleted; its rows are exported', async () => {
    await page.goto(`${plan.url}/o/Lead?filter=${encodeURIComponent("entityType == 'individual'")}&columns=npi,name&sort=npi`);
    const individuals = await listed();
    await page.getByRole('button', { name: 'Save view' }).click();
    await page.getByLabel('Name of the view').fill('Doctors');
    await page.getByRole('button', { name: 'Save', exact: true }).click();
    await page.getByLabel('Name of the view').waitFor({ state: 'detached' });
    await page.getByLabel('View').locator('option:checked', { hasText: 'Doctors' }).waitFor({ state: 'attached' });
    expect([parameter('filter'), await listed(), await page.locator('table.grid th').first().innerText()]).to.deep.equal([null, individuals, 'NPI']);

    await page.getByRole('button', { name: 'Export' }).click();
    const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('link', { name: 'CSV' }).click()]);
    const lines = (await readFile(await download.path(), 'utf8')).trim().split(/\r?\n/);
    expect([lines.length - 1, lines[0]?.replace('\uFEFF', '')]).to.deep.equal([individuals, 'npi,name']);

    await page.getByRole('button', { name: 'Save view' }).click();
    await page.getByLabel('Name of the view').fill('All our doctors');
    await page.getByRole('button', { name: 'Save changes' }).click();
    await page.getByRole('option', { name: 'All our doctors' }).waitFor({ state: 'attached' });
    await page.getByRole('button', { name: 'Save view' }).click();
    await page.getByRole('button', { name: 'Delete' }).click();
    await page.getByRole('option', { name: 'All our doctors' }).waitFor({ state: 'detached' });
    expect(await page.getByLabel('View').inputValue()).to.equal('leads-all');
  });

  it('a list shows more rows on demand, each once', async () => {
    await page.goto(`${plan.url}/o/Lead`);
    const total = await listed();
    await page.getByRole('button', { name: 'Show 50 more' }).click();
    await page.locator('table.grid tbody tr').nth(60).waitFor();
    const npis = await column(2);
    expect(npis).to.have.length(Math.min(100, total));
    expect(new Set(npis).size).to.equal(npis.length);
  });

  it('a record shows the sections that hold for it, and its name', async () => {
    const [person] = await plan.find('Lead', "entityType == 'individual'");
    await openRecord('Lead', String(person?.['id']));
    expect(await page.getByRole('heading', { level: 1 }).innerText()).to.equal(person?.['name']);
    await page.getByRole('heading', { name: 'Identity' }).waitFor();
    expect(await page.getByRole('heading', { name: 'Organization' }).count()).to.equal(0);
  });

  it('an edit with a wrong field keeps what was typed and says what is wrong at the field; corrected it is saved', async () => {
    const id = String((await plan.find('Lead', "entityType == 'individual'"))[1]?.['id']);
    await openRecord('Lead', id);
    await page.getByRole('button', { name: 'Edit' }).click();
    const email = page.getByLabel(/^Email/);
    await email.fill('nobody');
    await page.getByLabel(/^Notes/).fill('Called twice');
    await page.getByRole('button', { name: 'Save' }).click();
    await page.getByText('Nothing was saved').waitFor();
    expect(await email.getAttribute('aria-invalid')).to.equal('true');
    expect([await email.inputValue(), await page.getByLabel(/^Notes/).inputValue()]).to.deep.equal(['nobody', 'Called twice']);

    await page.getByRole('link', { name: 'Campaigns', exact: true }).first().click();
    await page.getByRole('heading', { name: 'Campaigns', level: 1 }).waitFor();
    await page.goBack();
    await page.getByText('What you typed before is still here').waitFor();
    expect(await page.getByLabel(/^Notes/).inputValue()).to.equal('Called twice');

    await page.getByLabel(/^Email/).fill('office@practice.example');
    await page.getByRole('button', { name: 'Save' }).click();
    await page.getByRole('button', { name: 'Edit' }).waitFor();
    expect(await plan.get('Lead', id)).to.include({ email: 'office@practice.example', notes: 'Called twice' });
  });

  it('somebody saved first: the clash is shown field by field and nothing typed is lost', async () => {
    const id = String((await plan.find('Lead', "entityType == 'individual'"))[2]?.['id']);
    await openRecord('Lead', id);
    await page.getByRole('button', { name: 'Edit' }).click();
    await page.getByLabel(/^Notes/).fill('Mine');
    await page.getByLabel(/^Fax/).fill('413 555 0188');
    await save('Lead', id, { notes: 'Theirs', email: 'theirs@practice.example' });
    await page.getByRole('button', { name: 'Save' }).click();
    const dialog = page.getByRole('dialog', { name: 'Somebody saved this record before you' });
    await dialog.waitFor();
    expect(await dialog.getByRole('row').allInnerTexts()).to.deep.equal(['Field\tTheirs\tYours', 'Notes\tTheirs\tMine']);
    await dialog.getByRole('button', { name: 'Go on editing' }).last().click();
    expect([await page.getByLabel(/^Notes/).inputValue(), await page.getByLabel(/^Fax/).inputValue()]).to.deep.equal(['Mine', '413 555 0188']);
    await page.getByRole('button', { name: 'Save' }).click();
    await dialog.getByRole('button', { name: 'Save mine over theirs' }).click();
    await page.getByRole('button', { name: 'Edit' }).waitFor();
    expect(await plan.get('Lead', id)).to.include({ notes: 'Mine', email: 'theirs@practice.example', fax: '+14135550188' });
    await page.getByRole('tab', { name: 'History' }).click();
    await page.getByText('Theirs → Mine').waitFor();
  });

  it('a step that is refused says all reasons and what to do; once they are gone it is taken', async () => {
    const campaign = await plan.create('Campaign', { name: 'Winter', channel: 'email', invitation: 'Join us.' });
    await openRecord('Campaign', campaign);
    await page.getByRole('button', { name: /^Start/ }).click();
    const dialog = page.getByRole('dialog', { name: 'Start' });
    await dialog.getByText(/^The campaign has no members\. Add the leads/).waitFor();
    await page.keyboard.press('Escape');
    const lead = (await plan.find('Lead', "npiStatus == 'active'"))[5];
    await plan.create('CampaignMember', { campaign, lead: lead?.['id'], email: 'winter@practice.example' });
    await page.reload();
    await page.getByRole('button', { name: 'Start', exact: true }).click();
    await dialog.getByRole('button', { name: 'Start' }).click();
    await dialog.getByText('The record was not moved').waitFor();
    await dialog.getByLabel(/^Starts on/).fill('2026-12-01');
    await dialog.getByRole('button', { name: 'Start' }).click();
    await page.locator('[aria-current=step]').filter({ hasText: 'Running' }).waitFor();
    expect((await plan.get('Campaign', campaign))['status']).to.equal('running');
  });

  it('each number of the funnel opens its rows, and the counts agree', async () => {
    await page.goto(`${plan.url}/reports/funnel`);
    const bars = page.locator('a.bar');
    await bars.first().waitFor();
    const written = Number(await bars.first().locator('b').innerText());
    expect(written).to.equal(3);
    for (let index = 0; index < (await bars.count()); index += 1) {
      const count = Number(await bars.nth(index).locator('b').innerText());
      await bars.nth(index).click();
      expect(await listed()).to.equal(count);
      expect(await page.locator('table.grid tbody tr').count()).to.equal(count);
      await page.goBack();
      await bars.first().waitFor();
    }
  });

  it('an application is reviewed on its page: answers, verifications with their steps, return with a reason', async () => {
    const values = {
      entityType: 'individual',
      providerType: 'pcp',
      npi: '1000000004',
      firstName: 'Ada',
      lastName: 'Alder',
      email: 'ada@practice.example',
      school: 'State School',
    };
    const id = await plan.create('Application', values);
    await plan.move('Application', id, 'submit', { attestationName: 'Ada Alder', attestedAt: '2026-11-20T12:00:00Z' });
    await plan.product.app.worker.drain();
    const open = await plan.find('Verification', `application == '${id}'`);
    expect(open).not.to.be.empty;
    await openRecord('Application', id);
    await page.getByText('State School').waitFor();
    const region = page.getByRole('region', { name: 'Verifications' });
    await region.getByRole('row').nth(1).waitFor();
    await region
      .getByRole('button', { name: /^Steps of/ })
      .first()
      .click();
    await page.getByRole('menuitem', { name: /Waive/ }).click();
    const waive = page.getByRole('dialog', { name: /Waive/ });
    await waive.getByRole('textbox').first().fill('Seen at another plan.');
    await waive.getByRole('button', { name: /Waive/ }).click();
    await region.getByText('Waived').first().waitFor();
    expect(await plan.find('Verification', `application == '${id}' && status == 'waived'`)).to.have.length(1);

    await page.getByRole('button', { name: 'Start the review' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Start the review' }).click();
    await page.getByRole('button', { name: /^Approve/ }).click();
    await page.getByText('Some required verification is still open or has failed.').waitFor();
    await page.keyboard.press('Escape');
    await page.getByRole('button', { name: 'Return for correction' }).click();
    await page.getByRole('dialog').getByLabel('What is to be corrected').fill('Please send the current insurance certificate.');
    await page.getByRole('dialog').getByRole('button', { name: 'Return for correction' }).click();
    await page.locator('[aria-current=step]').filter({ hasText: 'Returned for correction' }).waitFor();
    const visitor = await openWindow(browser);
    await visitor.page.goto(await plan.link('Application', id, 'provider-application'));
    await visitor.page.getByText('Please send the current insurance certificate.').waitFor();
    await visitor.context.close();
  });

  it('captured mail is read in the console, and its personal link opens the form', async () => {
    await page.goto(plan.url);
    await page.getByRole('link', { name: 'Read the captured mails' }).click();
    await page.locator('tbody button').first().waitFor();
    const row = page.getByRole('row').filter({ hasText: 'ada@practice.example' }).last();
    await row.getByRole('button').click();
    const address = await page.getByRole('dialog').locator('a[href*="/portal/start/"]').first().getAttribute('href');
    const visitor = await openWindow(browser);
    await visitor.page.goto(address ?? '');
    expect(await visitor.page.locator('h1').innerText(), await visitor.page.locator('main').innerText()).to.equal('Apply to join the network');
    await visitor.context.close();
  });
});
