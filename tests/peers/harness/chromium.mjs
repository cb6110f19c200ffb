// A real Chromium, Debian's own, driven by playwright-core.

import { execFileSync } from 'node:child_process';
import { chromium } from 'playwright-core';

const ARGUMENTS = [
  // As root, as in a container, Chromium does not start with its sandbox; it visits loopback only.
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

export function launchChromium() {
  const executablePath = process.env.CHROMIUM ?? execFileSync('sh', ['-c', 'command -v chromium']).toString().trim();
  return chromium.launch({ executablePath, args: ARGUMENTS });
}

/** A browser context that can reach loopback and nothing else; the provider's pages ask for a web font. */
export async function loopbackContext(browser, options = {}) {
  const context = await browser.newContext(options);
  await context.route((url) => !['127.0.0.1', 'localhost'].includes(url.hostname), (route) => route.abort());
  return context;
}

/** Fills the strict provider's two forms, as a person would. */
export async function signInAtProvider(page, login) {
  await page.fill('input[name=login]', login);
  await page.fill('input[name=password]', 'not-checked');
  await page.click('button[type=submit]');
  await page.waitForSelector('input[name=prompt][value=consent]', { state: 'attached' });
  await page.click('button[type=submit]');
}
