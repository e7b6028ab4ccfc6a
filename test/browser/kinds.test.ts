import { expect } from 'chai';
import type { Browser } from 'playwright-core';
import { metadataDirectories } from '../../src/extensions.ts';
import { loadMetadata } from '../../src/platform/metadata/load.ts';
import { withKinds } from '../platform/record/fixtures/kinds.ts';
import { openBrowser } from '../support/browser.ts';
import { startPlan, type Plan } from './support/plan.ts';
import { openWindow, signIn, type Watched } from './support/screen.ts';

describe('fields of every kind in the console', function () {
  this.timeout(60_000);
  let plan: Plan;
  let browser: Browser;
  let staff: Watched;

  before(async () => {
    [plan, browser] = await Promise.all([startPlan(0), openBrowser()]);
    await plan.product.app.store.apply(withKinds(loadMetadata(metadataDirectories([]))), 'test');
    await plan.product.app.store.load();
    staff = await openWindow(browser);
    await signIn(staff.page, plan);
  });
  after(async () => {
    await browser.close();
    await plan.stop();
  });
  afterEach(() => expect(staff.complaints).to.deep.equal([]));

  it('are typed into a new record, shown, and changed in part', async () => {
    const { page } = staff;
    const type = async (label: string, text: string): Promise<void> =>
      page
        .getByLabel(new RegExp(`^${label}\\b`, 'i'))
        .first()
        .fill(text);
    await page.goto(`${plan.url}/o/Sample/new`);
    await type('Text', 'Typed');
    await type('Street', '1 Main St');
    await type('City', 'Springfield');
    await type('ZIP code', '011011234');
    await type('Geo', '42.1015, -72.5898');
    await type('Text list', 'a; b');
    await type('Json', '{"a": [1, 2]}');
    await type('Money', '-5.25');
    await type('Duration', 'P3M');
    await page.getByRole('button', { name: 'Save' }).click();
    await page.waitForURL(/\/o\/Sample\/[0-9a-f-]{36}/);
    const id = /[0-9a-f-]{36}/.exec(page.url())?.[0] ?? '';
    const kept = await plan.get('Sample', id);
    expect(kept).to.include({ text: 'Typed', geo: '42.1015,-72.5898', money: '-5.25', duration: 'P3M', version: 1 });
    expect(kept['address']).to.deep.equal({ line1: '1 Main St', city: 'Springfield', postalCode: '01101-1234' });
    expect([kept['textList'], kept['json']]).to.deep.equal([['a', 'b'], { a: [1, 2] }]);
    await page.getByText('1 Main St, Springfield, 01101-1234').first().waitFor();

    await page.getByRole('button', { name: 'Edit' }).click();
    expect(await page.getByLabel(/^Text list/i).inputValue()).to.equal('a;b');
    expect(await page.getByLabel(/^Json/i).inputValue()).to.equal('{"a":[1,2]}');
    await type('City', 'Holyoke');
    await type('Street', '');
    await page.getByRole('button', { name: 'Save' }).click();
    await page.getByText('Holyoke, 01101-1234').first().waitFor();
    expect(await plan.get('Sample', id)).to.deep.include({ address: { city: 'Holyoke', postalCode: '01101-1234' }, version: 2, json: { a: [1, 2] } });
  });

  it('say at the field what is wrong with it', async () => {
    const { page } = staff;
    await page.goto(`${plan.url}/o/Sample/new`);
    await page.getByLabel(/^Geo/i).fill('over the hill');
    await page.getByRole('button', { name: 'Save' }).click();
    await page.getByText('latitude and longitude').first().waitFor();
    expect(await page.getByLabel(/^Geo/i).getAttribute('aria-invalid')).to.equal('true');
  });
});
