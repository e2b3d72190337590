import {
  type Browser,
  type BrowserContext,
  type BrowserContextOptions,
  chromium,
  type Page,
} from 'playwright-core';
import { Home, patienceMs } from './home.ts';

/** The Chromium of this machine: the one that ROOMLOG_CHROMIUM names, or Debian's. */
const whole = process.env.ROOMLOG_CHROMIUM || '/usr/bin/chromium';

/**
 * Starts a browser: the Chromium without windows that ROOMLOG_HEADLESS names, which opens a context at half the cost, or else the whole one.
 * @param keepsPages it keeps a page that is left for the back button, as it does for people: the whole one alone can
 */
export function launch({ keepsPages = false } = {}): Promise<Browser> {
  return chromium.launch({
    ...(keepsPages && { ignoreDefaultArgs: ['--disable-back-forward-cache'] }),
    executablePath: keepsPages ? whole : process.env.ROOMLOG_HEADLESS || whole,
    timeout: patienceMs,
    args: [
      '--headless',
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });
}

/** Closes all that is open in a browser. */
export async function leave(browser: Browser): Promise<void> {
  for (const context of browser.contexts()) await context.close();
}

/** Another person at another machine, patient with a slow one. */
export async function openContext(
  browser: Browser,
  options: BrowserContextOptions = {},
): Promise<BrowserContext> {
  const context = await browser.newContext(options);
  context.setDefaultTimeout(patienceMs);
  return context;
}

/** A page and everything it complained about. */
export interface Visit {
  readonly page: Page;
  readonly home: Home;
  /** Errors and warnings of the console, uncaught exceptions and violations of the policy. */
  readonly complaints: string[];
}

/** What Chromium itself says when a dial is given up; in a long tunnel every dial is. */
export const givenUp = /WebSocket is closed before the connection is established/;

/** Opens Home in a context of its own, as another person at another machine would. */
export async function visit(
  browser: Browser,
  url: string,
  options: BrowserContextOptions = {},
): Promise<Visit> {
  const context = await openContext(browser, { viewport: { width: 1280, height: 900 }, ...options });
  const page = await context.newPage();
  const complaints: string[] = [];
  page.on('console', line => {
    if (line.type() === 'error' || line.type() === 'warning')
      complaints.push(`${line.type()}: ${line.text()}`);
  });
  page.on('pageerror', error => complaints.push(`uncaught: ${error}`));
  // Violations also reach the console, but a report-only or muted one would not.
  await page.exposeFunction('complain', (text: string) => complaints.push(text));
  await page.addInitScript(() => {
    document.addEventListener('securitypolicyviolation', event => {
      const { complain } = window as unknown as { complain(text: string): void };
      complain(`policy: ${event.violatedDirective} ${event.blockedURI}`);
    });
  });
  await page.goto(url);
  return { page, home: new Home(page), complaints };
}
