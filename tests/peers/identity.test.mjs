// `@nylas/identity` signs users in from a page of an application's own: at a provider, and with a password that
// goes to a real Dovecot. It runs in Chromium, across origins, without any secret.

import assert from 'node:assert/strict';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { launchChromium, loopbackContext, signInAtProvider } from './harness/chromium.mjs';
import { dovecotIsMissing, startDovecot } from './harness/dovecot.mjs';
import { startExchange } from './harness/exchange.mjs';
import { connectGoogle, grantOf } from './harness/google.mjs';
import { startPageServer } from './harness/page-server.mjs';
import { WORLDS } from './harness/paths.mjs';
import { startWorld } from './harness/world.mjs';

const ANN = 'ann@example.test';
const PASSWORD = 'app-pass-of-ann-2';
const missing = dovecotIsMissing();
if (missing && process.env.KEYWAY_TEST_REQUIRE_DOVECOT) throw new Error(missing);

describe('@nylas/identity in Chromium', { skip: missing }, () => {
  const closers = [];
  let world;
  let mail;
  let app;
  let pages;
  let browser;
  let config;

  before(async () => {
    mail = await startDovecot({ folder: path.join(WORLDS, 'identity-dovecot'), users: { [ANN]: PASSWORD } });
    closers.unshift(() => mail.stop());
    const exchange = await startExchange({ ...mail, users: { [ANN]: PASSWORD } });
    closers.unshift(() => exchange.stop());
    const network = ['allow_private_addresses = true', `extra_certificates_file = "${mail.authority}"`];
    world = await startWorld({ name: 'identity', network });
    closers.unshift(() => world.stop());
    world.secrets.add('mail_password', PASSWORD);
    pages = await startPageServer();
    closers.unshift(() => pages.close());
    browser = await launchChromium();
    closers.unshift(() => browser.close());
    app = await world.createApp({
      name: 'Own page', redirectUri: `${pages.origin}/callback`, platform: 'js', origin: pages.origin,
    });
    await connectGoogle(world, app);
    for (const provider of ['imap', 'ews']) {
      await app.nylas.connectors.create({ requestBody: { provider, name: provider, settings: {} } });
    }
    config = {
      clientId: app.clientId, redirectUri: app.redirectUri, domain: `${world.baseUrl}/v3`, accessType: 'offline',
      disableInitCodeExchange: true,
    };
  });
  after(async () => {
    for (const close of closers) await close();
  });

  /** A new person's browser at the application's page. */
  async function visited() {
    const context = await loopbackContext(browser);
    closers.unshift(() => context.close());
    const page = await context.newPage();
    await page.goto(pages.origin);
    await page.waitForFunction(() => document.title === 'ready');
    return page;
  }

  /** Calls a method of the client in the page. */
  const call = (page, method, ...args) => page.evaluate(
    ([c, name, given]) => window.makeIdentity(c)[name](...given), [config, method, args],
  );

  async function finished(page) {
    await page.waitForFunction(() => document.title === 'ready');
    assert.equal(await call(page, 'codeExchange', null), true);
    return call(page, 'getProfile');
  }

  it('signs a user in at a provider and keeps the session alive', async () => {
    const page = await visited();
    assert.equal(await call(page, 'isLoggedIn'), false);
    await page.goto(await call(page, 'auth', { provider: 'google', loginHint: 'own@example.com' }));
    await signInAtProvider(page, 'own@example.com');
    await page.waitForURL(`${app.redirectUri}?*`);
    const profile = await finished(page);
    assert.equal(profile.email, 'own@example.com');
    assert.equal((await grantOf(app, profile.sub)).email, 'own@example.com');
    assert.equal(await call(page, 'isLoggedIn'), true);
    assert.equal(await call(page, 'validateAccessToken'), true);
    assert.equal(await call(page, 'tokenExchange'), true);
    assert.equal(await call(page, 'validateIDToken'), true);
    const me = await call(page, 'fetch', 'grants/me', { method: 'GET' });
    assert.equal(me.data.id, profile.sub);
  });

  it('knows the application, its providers and the provider of an address', async () => {
    const page = await visited();
    const info = await call(page, 'applicationInfo');
    assert.equal(info.branding.name, 'Own page');
    const providers = await call(page, 'getAvailableProviders');
    assert.deepEqual(providers.map(({ provider, type }) => [provider, type]), [
      ['google', 'oauth'], ['imap', 'imap'], ['ews', 'ews'],
    ]);
    const detected = await call(page, 'detectEmail', 'someone@gmail.com');
    assert.deepEqual([detected.data.provider, detected.data.detected], ['google', true]);
  });

  it('signs a user in with a password', async () => {
    const page = await visited();
    await call(page, 'isLoggedIn');
    const account = {
      imap_username: ANN, imap_password: PASSWORD, imap_host: mail.host, imap_port: 993, smtp_host: mail.host,
      smtp_port: 465, type: 'generic', provider: 'imap', state: 'mine',
    };
    const refused = await call(page, 'authIMAP', { ...account, imap_password: 'a-wrong-password' });
    assert.match(refused.error.message, /refused the login/);
    assert.ok(refused.request_id);
    const answer = await call(page, 'authIMAP', account);
    assert.equal(answer.BaseURL, answer.data.BaseURL);
    await page.goto(answer.BaseURL);
    const profile = await finished(page);
    const grant = await grantOf(app, profile.sub);
    assert.deepEqual([grant.email, grant.provider, grant.state], [ANN, 'imap', 'mine']);
  });

  it('signs a user in at an Exchange server, a stand-in', async () => {
    const page = await visited();
    await call(page, 'isLoggedIn');
    const account = { email: ANN, ews_username: ANN, ews_password: PASSWORD, ews_host: mail.host, state: 'mine' };
    const refused = await call(page, 'authEWS', { ...account, ews_password: 'a-wrong-password' });
    assert.match(refused.error.message, /refused the login/);
    await page.goto((await call(page, 'authEWS', account)).BaseURL);
    const profile = await finished(page);
    const grant = await grantOf(app, profile.sub);
    assert.deepEqual([grant.email, grant.provider], [ANN, 'ews']);
  });

  it('a page of another origin learns nothing', async () => {
    const stranger = await startPageServer();
    closers.unshift(() => stranger.close());
    const page = await visited();
    await page.goto(stranger.origin);
    await page.waitForFunction(() => document.title === 'ready');
    for (const [method, ...args] of [['getAvailableProviders'], ['detectEmail', 'a@gmail.com'], ['authIMAP', {}]]) {
      await assert.rejects(call(page, method, ...args), /Failed to fetch/, method);
    }
  });
});
