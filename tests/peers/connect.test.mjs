// `@nylas/connect` completes a PKCE sign-in in a real browser, without any secret, across origins.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { launchChromium, loopbackContext, signInAtProvider } from './harness/chromium.mjs';
import { DATABASES } from './harness/database.mjs';
import { connectGoogle, grantOf } from './harness/google.mjs';
import { startPageServer } from './harness/page-server.mjs';
import { startWorld } from './harness/world.mjs';

for (const database of DATABASES) {
  describe(`@nylas/connect in Chromium on ${database}`, () => {
    const closers = [];
    let world;
    let app;
    let pages;
    let browser;

    before(async () => {
      world = await startWorld({ name: 'connect', database });
      closers.unshift(() => world.stop());
      pages = await startPageServer();
      closers.unshift(() => pages.close());
      browser = await launchChromium();
      closers.unshift(() => browser.close());
      app = await world.createApp({
        name: 'Single page', redirectUri: `${pages.origin}/callback`, platform: 'js', origin: pages.origin,
      });
      await connectGoogle(world, app);
    });
    after(async () => {
      for (const close of closers) await close();
    });

    it('signs a user in by PKCE and learns grant and address', async () => {
      const context = await loopbackContext(browser);
      const page = await context.newPage();
      const config = { clientId: app.clientId, redirectUri: app.redirectUri, apiUrl: world.baseUrl };
      await open(page, pages.origin);
      const authUrl = await page.evaluate(
        (c) => window.makeConnect(c).connect({ method: 'inline', provider: 'google' }), config,
      );
      await page.goto(authUrl);
      await signInAtProvider(page, 'browser@example.com');
      await page.waitForURL(`${app.redirectUri}?*`);
      await page.waitForFunction(() => document.title === 'ready');
      const result = await page.evaluate((c) => window.makeConnect(c).callback(), config);

      const grant = await grantOf(app, result.grantId);
      assert.equal(grant.email, 'browser@example.com');
      assert.equal(result.grantInfo.email, 'browser@example.com');
      assert.equal(result.grantInfo.provider, 'google');
      const status = await page.evaluate((c) => window.makeConnect(c).getConnectionStatus(), config);
      assert.equal(status, 'connected');
      await context.close();
    });

    it('answers the preflight of a registered origin', async () => {
      const answer = await preflight(world, pages.origin);
      assert.ok(answer.ok);
      assert.equal(answer.headers.get('access-control-allow-origin'), pages.origin);
      const allowed = answer.headers.get('access-control-allow-headers').toLowerCase();
      for (const header of ['content-type', 'x-nylas-connect', 'x-nylas-application-public-id']) {
        assert.ok(allowed.includes(header), `${header} must be allowed`);
      }
    });

    it('a page of another origin cannot reach the token endpoint', async () => {
      const stranger = await startPageServer();
      const context = await loopbackContext(browser);
      try {
        const page = await context.newPage();
        await open(page, stranger.origin);
        const outcome = await page.evaluate(async (url) => {
          try {
            const answer = await fetch(url, {
              method: 'POST', headers: { 'content-type': 'application/json' }, body: '{}',
            });
            return `answered ${answer.status}`;
          } catch (error) {
            return error.name;
          }
        }, `${world.baseUrl}/v3/connect/token`);
        assert.equal(outcome, 'TypeError', 'the browser must refuse to show the answer');
        const answer = await preflight(world, stranger.origin);
        assert.equal(answer.headers.get('access-control-allow-origin'), null);
      } finally {
        await context.close();
        await stranger.close();
      }
    });
  });
}

async function open(page, origin) {
  await page.goto(`${origin}/`);
  await page.waitForFunction(() => document.title === 'ready');
}

function preflight(world, origin) {
  return fetch(`${world.baseUrl}/v3/connect/token`, {
    method: 'OPTIONS',
    headers: {
      origin,
      'access-control-request-method': 'POST',
      'access-control-request-headers': 'content-type,x-nylas-application-public-id,x-nylas-connect',
    },
  });
}
