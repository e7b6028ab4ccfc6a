import { existsSync } from 'node:fs';
import { chromium, type Browser } from 'playwright-core';

const SYSTEM_BROWSERS = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];

/** Settings under which the npm browser unpacks the libraries that a bare machine lacks; must stand before its module is loaded. */
function pretendLambda(): void {
  process.env['AWS_EXECUTION_ENV'] ??= 'AWS_Lambda_nodejs22.x';
  process.env['AWS_LAMBDA_JS_RUNTIME'] ??= 'nodejs22.x';
}

/** A real Chromium: the system's, else the one that comes with npm. Close it after use. */
export async function openBrowser(): Promise<Browser> {
  const system = SYSTEM_BROWSERS.find((path) => existsSync(path));
  const quiet = [
    '--no-sandbox',
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
  ];
  if (system !== undefined) return chromium.launch({ executablePath: system, args: quiet });
  pretendLambda();
  const { default: packaged } = await import('@sparticuz/chromium');
  // One process for everything would end the browser with its first window, and switched-off web security would hide faults.
  const args = packaged.args.filter(
    (arg) => !/^--(headless|single-process|no-zygote|disable-web-security|allow-running-insecure-content|.*site-isolation)/.test(arg),
  );
  return chromium.launch({ executablePath: await packaged.executablePath(), args: [...args, ...quiet] });
}
