import { AxeBuilder } from '@axe-core/playwright';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { PASSWORD, type Plan } from './plan.ts';

/** A page whose complaints are collected: errors of scripts and of the content security policy. */
export interface Watched {
  readonly context: BrowserContext;
  readonly page: Page;
  readonly complaints: string[];
}

/** Collects what the page complains of; an answer of the server that is not 2xx is no complaint, for screens show those. */
export function watch(page: Page): string[] {
  const complaints: string[] = [];
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type()) && !message.text().startsWith('Failed to load resource')) complaints.push(message.text());
  });
  page.on('pageerror', (error) => complaints.push(error.message));
  return complaints;
}

/** A new window of 1440 by 900, as for somebody at a desk. */
export async function openWindow(browser: Browser, options: Parameters<Browser['newContext']>[0] = {}): Promise<Watched> {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, reducedMotion: 'reduce', ...options });
  context.setDefaultTimeout(15_000);
  const page = await context.newPage();
  return { context, page, complaints: watch(page) };
}

/** Signs in through the sign-in page. */
export async function signIn(page: Page, plan: Plan): Promise<void> {
  await page.goto(plan.url);
  await page.getByLabel('E-mail').fill(plan.email);
  await page.getByLabel('Password', { exact: true }).fill(PASSWORD);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByRole('heading', { name: /Welcome/ }).waitFor();
}

const WIDTHS = [1440, 320] as const;
const SCHEMES = ['light', 'dark'] as const;

/** What is wrong with the page as it stands, wide and narrow, light and dark: findings of axe and scrolling sideways. */
export async function inspect(page: Page, pictures: string | null = null): Promise<readonly string[]> {
  const found: string[] = [];
  for (const width of WIDTHS) {
    await page.setViewportSize({ width, height: 900 });
    for (const colorScheme of SCHEMES) {
      await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
      const variant = `${String(width)} ${colorScheme}`;
      const axe = new AxeBuilder({ page }).setLegacyMode(true);
      // Dark pages differ from light ones in their colours only.
      const { violations } = await (colorScheme === 'light' ? axe : axe.withRules(['color-contrast', 'link-in-text-block'])).analyze();
      for (const { id, nodes } of violations) {
        const [first] = nodes;
        found.push(
          `${variant}: ${id} ${String(nodes.length)} times, first ${first?.html.slice(0, 200) ?? ''} ${first?.failureSummary?.split('\n')[1]?.trim() ?? ''}`,
        );
      }
      if (pictures !== null) await page.screenshot({ path: `${pictures}-${String(width)}-${colorScheme}.png`, fullPage: true });
    }
    const scroll = await page.evaluate<number>('document.documentElement.scrollWidth');
    if (scroll > width) found.push(`${String(width)}: the page is ${String(scroll)} wide`);
  }
  await page.setViewportSize({ width: 1440, height: 900 });
  await page.emulateMedia({ colorScheme: 'light' });
  return found;
}
