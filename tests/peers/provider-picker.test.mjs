// With several connectors and no provider named, the user is asked, on a page that fits a phone.

import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { launchChromium, loopbackContext, signInAtProvider } from './harness/chromium.mjs';
import { connectGoogle } from './harness/google.mjs';
import { SCREENSHOTS } from './harness/paths.mjs';
import { startWorld } from './harness/world.mjs';

const PHONE = { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true };

describe('provider picker in Chromium', () => {
  const closers = [];
  let world;
  let app;
  let browser;
  let authUrl;

  before(async () => {
    world = await startWorld({ name: 'picker' });
    closers.unshift(() => world.stop());
    browser = await launchChromium();
    closers.unshift(() => browser.close());
    // Nothing answers there: the last request of the browser is only looked at.
    app = await world.createApp({ name: 'Picker', redirectUri: 'http://127.0.0.1:9/callback' });
    await connectGoogle(world, app);
    const settings = { clientId: 'another-provider-client', clientSecret: 'another-provider-secret' };
    for (const provider of ['microsoft', 'yahoo']) {
      await app.nylas.connectors.create({ requestBody: { provider, name: provider, settings } });
    }
    authUrl = app.nylas.auth.urlForOAuth2({ clientId: app.clientId, redirectUri: app.redirectUri, state: 'picked' });
    mkdirSync(SCREENSHOTS, { recursive: true });
  });
  after(async () => {
    for (const close of closers) await close();
  });

  it('offers every connector on a phone without sideways scrolling', async () => {
    const context = await loopbackContext(browser, PHONE);
    const page = await context.newPage();
    const problems = [];
    page.on('pageerror', (error) => problems.push(error.message));
    page.on('console', (message) => message.type() === 'error' && problems.push(message.text()));
    const answer = await page.goto(authUrl);
    await page.screenshot({ path: path.join(SCREENSHOTS, 'provider-picker-phone.png'), fullPage: true });
    assert.equal(answer.status(), 200);
    for (const name of ['Google', 'Microsoft', 'Yahoo']) {
      assert.equal(await choice(page, name).count(), 1, `${name} is offered once`);
    }
    const overflow = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
    assert.ok(overflow <= 0, `the page is ${overflow} px wider than the phone`);
    assert.deepEqual(problems.filter((p) => !p.includes('favicon')), []);
    await context.close();
  });

  it('leads to the chosen provider and back to the application', async () => {
    const context = await loopbackContext(browser, PHONE);
    const page = await context.newPage();
    await page.goto(authUrl);
    await choice(page, 'Google').click();
    const landed = page.waitForRequest((request) => request.url().startsWith(app.redirectUri));
    await signInAtProvider(page, 'picker@example.com');
    const url = new URL((await landed).url());
    assert.ok(url.searchParams.get('code'));
    assert.equal(url.searchParams.get('state'), 'picked');
    await context.close();
  });
});

/** The link or button of one provider. */
function choice(page, name) {
  const pattern = new RegExp(name, 'i');
  return page.getByRole('link', { name: pattern }).or(page.getByRole('button', { name: pattern }));
}
