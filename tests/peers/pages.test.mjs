// Every page of a hosted sign-in in Chromium: what a person can do there, with a keyboard and without JavaScript,
// on a phone and at a desk, in the light and in the dark. axe looks at each; a real Dovecot lets people in.

import assert from 'node:assert/strict';
import { mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { launchChromium, loopbackContext, signInAtProvider } from './harness/chromium.mjs';
import { dovecotIsMissing, startDovecot } from './harness/dovecot.mjs';
import { startExchange } from './harness/exchange.mjs';
import { connectGoogle } from './harness/google.mjs';
import { SCREENSHOTS, WORLDS } from './harness/paths.mjs';
import { startWorld } from './harness/world.mjs';

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const PHONE = { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true };
const DESK = { viewport: { width: 1280, height: 800 } };
const LOOKS = [
  ['phone', { ...PHONE, colorScheme: 'light' }],
  ['phone-dark', { ...PHONE, colorScheme: 'dark' }],
  ['desk', { ...DESK, colorScheme: 'light' }],
  ['desk-dark', { ...DESK, colorScheme: 'dark' }],
];
const ANN = 'ann@example.test';
const PASSWORD = 'app-pass-of-ann-1';
const missing = dovecotIsMissing();
if (missing && process.env.KEYWAY_TEST_REQUIRE_DOVECOT) throw new Error(missing);

describe('the pages of a sign-in in Chromium', { skip: missing }, () => {
  const closers = [];
  let world;
  let mail;
  let app;
  let browser;
  let done;

  before(async () => {
    mail = await startDovecot({ folder: path.join(WORLDS, 'pages-dovecot'), users: { [ANN]: PASSWORD } });
    closers.unshift(() => mail.stop());
    const exchange = await startExchange({ ...mail, users: { [ANN]: PASSWORD } });
    closers.unshift(() => exchange.stop());
    const network = ['allow_private_addresses = true', `extra_certificates_file = "${mail.authority}"`];
    world = await startWorld({ name: 'pages', network });
    closers.unshift(() => world.stop());
    world.secrets.add('mail_password', PASSWORD);
    browser = await launchChromium();
    closers.unshift(() => browser.close());
    // Nothing answers there: the last request of the browser is only looked at.
    app = await world.createApp({ name: 'Acme Scheduling', redirectUri: 'http://127.0.0.1:9/callback' });
    await connectGoogle(world, app);
    const settings = { clientId: 'another-provider-client', clientSecret: 'another-provider-secret' };
    await app.nylas.connectors.create({ requestBody: { provider: 'microsoft', name: 'microsoft', settings } });
    for (const provider of ['imap', 'icloud', 'ews']) {
      await app.nylas.connectors.create({ requestBody: { provider, name: provider, settings: {} } });
    }
    done = `${world.baseUrl}/v3/connect/done`;
    await app.nylas.applications.redirectUris.create({ requestBody: { url: done, platform: 'web' } });
    mkdirSync(SCREENSHOTS, { recursive: true });
  });
  after(async () => {
    for (const close of closers) await close();
  });

  const authUrl = (more = {}) => app.nylas.auth.urlForOAuth2({
    clientId: app.clientId, redirectUri: app.redirectUri, accessType: 'offline', state: 'mine', ...more,
  });

  async function opened(options = DESK) {
    const context = await loopbackContext(browser, options);
    closers.unshift(() => context.close());
    const page = await context.newPage();
    const elsewhere = [];
    page.on('request', (request) => {
      const { origin } = new URL(request.url());
      const known = [world.baseUrl, new URL(app.redirectUri).origin, world.provider.issuer];
      if (!known.includes(origin)) elsewhere.push(request.url());
    });
    const problems = [];
    page.on('console', (message) => message.type() === 'error' && problems.push(message.text()));
    return { context, page, elsewhere, problems };
  }

  async function fillIn(page, password = PASSWORD) {
    await page.fill('#email', ANN);
    await page.fill('#imap_password', password);
    if (!(await page.isVisible('#imap_host'))) await page.click('summary');
    await page.fill('#imap_host', mail.host);
    await page.fill('#smtp_host', mail.host);
  }

  /** Where the application's page is called, after `act`. */
  async function landed(page, act) {
    const called = page.waitForRequest((request) => request.url().startsWith(app.redirectUri));
    await act();
    return new URL((await called).url());
  }

  async function exchanged(url) {
    assert.ok(url.searchParams.get('code'), url.search);
    return app.nylas.auth.exchangeCodeForToken({
      clientId: app.clientId, redirectUri: app.redirectUri, code: url.searchParams.get('code'),
    });
  }

  const imapUrl = () => authUrl({ provider: 'imap' });

  /** The pages, each with how to get there. */
  const PAGES = {
    choose: (page) => page.goto(authUrl()),
    'choose-all': async (page) => {
      await page.goto(authUrl());
      await page.click('summary');
    },
    address: (page) => page.goto(authUrl({ prompt: 'detect,select_provider' })),
    'address-unknown': async (page) => {
      await page.goto(authUrl({ prompt: 'detect' }));
      await page.fill('#email', 'ann@unheard-of.test');
      await page.click('button');
    },
    imap: (page) => page.goto(imapUrl()),
    'imap-refused': async (page) => {
      await page.goto(imapUrl());
      await fillIn(page, 'a-wrong-password');
      await page.click('button');
      await page.waitForSelector('[role=alert]');
    },
    'imap-servers': async (page) => {
      await page.goto(authUrl({ provider: 'imap', smtpRequired: true }));
      await page.fill('#email', 'ann@unheard-of.test');
      await page.fill('#imap_password', 'x');
      await page.click('button');
      await page.waitForSelector('[role=alert]');
    },
    icloud: (page) => page.goto(authUrl({ provider: 'icloud', loginHint: 'ann@icloud.com' })),
    ews: async (page) => {
      await page.goto(authUrl({ provider: 'ews', loginHint: ANN }));
      await page.click('summary');
    },
    connected: async (page) => {
      await page.goto(authUrl({ provider: 'imap', redirectUri: done }));
      await fillIn(page);
      await page.click('button');
      await page.waitForURL(`${done}?*`);
    },
    consented: (page) => page.goto(`${done}?admin_consent=true`),
    'not-connected': (page) => page.goto(`${done}?error=access_denied&error_description=whatever`),
    fault: (page) => page.goto(`${world.baseUrl}/v3/connect/callback?state=nothing&code=x`),
    'bad-link': (page) => page.goto(authUrl({ redirectUri: 'https://elsewhere.example/callback' })),
  };

  for (const [look, options] of LOOKS) {
    it(`can be read and used by everybody, ${look}`, async () => {
      const { page, elsewhere } = await opened(options);
      for (const [name, go] of Object.entries(PAGES)) {
        await go(page);
        await page.screenshot({ path: path.join(SCREENSHOTS, `${name}-${look}.png`), fullPage: true });
        const overflow = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
        assert.ok(overflow <= 0, `${name}: ${overflow} px wider than the window`);
        await page.evaluate(AXE);
        const { violations } = await page.evaluate(() => globalThis.axe.run());
        const found = violations.map(({ id, impact, nodes }) => [id, impact, nodes.map((node) => node.html)]);
        assert.deepEqual(found, [], name);
      }
      assert.deepEqual(elsewhere, []);
    });
  }

  it('connects an IMAP account without JavaScript and by the keyboard alone', async () => {
    const { page, problems } = await opened({ ...DESK, javaScriptEnabled: false });
    await page.goto(imapUrl());
    const type = (text) => page.keyboard.type(text);
    await page.waitForSelector('#email:focus');
    await type(ANN);
    await page.keyboard.press('Tab');
    await type(PASSWORD);
    await page.keyboard.press('Tab');
    await page.keyboard.press('Enter'); // opens the server settings
    await page.keyboard.press('Tab');
    await type(mail.host);
    for (let n = 0; n < 3; n += 1) await page.keyboard.press('Tab');
    await type(mail.host);
    const url = await landed(page, () => page.keyboard.press('Enter'));
    assert.equal(url.searchParams.get('state'), 'mine');
    const token = await exchanged(url);
    assert.equal(token.email, ANN);
    assert.equal(token.provider, 'imap');
    const grant = await app.nylas.grants.find({ grantId: token.grantId });
    assert.equal(grant.data.settings.imapHost, mail.host);
    assert.deepEqual(problems.filter((problem) => !problem.includes('favicon')), []);
  });

  it('lets a mistyped password be typed again and never shows it', async () => {
    const { page } = await opened(PHONE);
    await page.goto(imapUrl());
    await fillIn(page, 'a-wrong-password');
    await page.click('button');
    await page.waitForSelector('[role=alert]');
    assert.match(await page.textContent('[role=alert]'), /did not accept the name or the password/);
    assert.equal(await page.inputValue('#imap_password'), '');
    assert.equal(await page.inputValue('#email'), ANN);
    assert.equal(await page.evaluate(() => document.activeElement.id), 'imap_password');
    await page.fill('#imap_password', PASSWORD);
    const url = await landed(page, () => page.click('button'));
    await exchanged(url);
  });

  it('ends well after a double click', async () => {
    const { page } = await opened();
    await page.goto(imapUrl());
    await fillIn(page);
    const url = await landed(page, () => page.dblclick('button'));
    await exchanged(url);
  });

  it('ends well in two tabs and after the back button', async () => {
    const { context, page } = await opened();
    await page.goto(imapUrl());
    const other = await context.newPage();
    await other.goto(imapUrl());
    for (const tab of [page, other]) {
      await fillIn(tab);
      await exchanged(await landed(tab, () => tab.click('button')));
    }
    // Nothing answers at the application, so back leads to the form: a new one.
    await page.goto(imapUrl());
    await fillIn(page, 'a-wrong-password');
    await page.click('button');
    await page.waitForSelector('[role=alert]');
    await page.goBack();
    await fillIn(page);
    await exchanged(await landed(page, () => page.click('button')));
  });

  it('connects an Exchange mailbox', async () => {
    const { page } = await opened(PHONE);
    await PAGES.ews(page);
    await page.fill('#ews_host', mail.host);
    await page.fill('#ews_password', 'a-wrong-password');
    await page.click('button');
    await page.waitForSelector('[role=alert]');
    await page.fill('#ews_password', PASSWORD);
    const token = await exchanged(await landed(page, () => page.click('button')));
    assert.deepEqual([token.email, token.provider], [ANN, 'ews']);
  });

  it('goes back to the application when a person does not want to', async () => {
    const { page } = await opened();
    await page.goto(imapUrl());
    const url = await landed(page, () => page.click('text=Cancel'));
    assert.equal(url.searchParams.get('error'), 'access_denied');
    assert.equal(url.searchParams.get('state'), 'mine');
  });

  it('finds the provider of a typed address and leads there', async () => {
    const { page, problems } = await opened(PHONE);
    await page.goto(authUrl({ prompt: 'detect' }));
    await page.fill('#email', 'someone@gmail.com');
    const url = await landed(page, async () => {
      await page.click('button');
      await page.waitForURL(`${world.provider.issuer}/**`);
      await signInAtProvider(page, 'someone@gmail.com');
    });
    await exchanged(url);
    assert.deepEqual(problems.filter((problem) => /policy/i.test(problem)), []);
  });

  it('says so where there is nowhere to return to', async () => {
    const { page } = await opened(PHONE);
    await PAGES.connected(page);
    assert.match(await page.textContent('main'), /ann@example\.test is now connected to Acme Scheduling/);
    const { data } = await app.nylas.grants.list({ queryParams: { email: ANN, provider: 'imap' } });
    assert.equal(data.length, 1);
    // Loaded again, the page gives nothing away and ends nothing.
    await page.reload();
    assert.match(await page.textContent('h1'), /Already finished/);
    await PAGES['not-connected'](page);
    assert.doesNotMatch(await page.textContent('main'), /whatever/);
  });

  it("wears the application's colours", async () => {
    const look = { colorPrimary: '#ffd400', backgroundColor: '#123456', title: 'Connect to Acme', alignment: 'left' };
    const branding = { name: 'Acme', websiteUrl: 'https://acme.example', iconUrl: `https://${mail.host}/icon.png` };
    await app.nylas.applications.update({ requestBody: { branding, hostedAuthentication: look } });
    for (const [name, options] of LOOKS) {
      const { page, elsewhere } = await opened(options);
      await page.goto(imapUrl());
      // The picture is there, and the browser asked nobody else for it.
      assert.equal(await page.evaluate(() => document.querySelector('img.icon').naturalWidth), 1);
      assert.deepEqual(elsewhere, []);
      await page.screenshot({ path: path.join(SCREENSHOTS, `branded-${name}.png`), fullPage: true });
      const colours = await page.evaluate(() => {
        const of = (selector) => globalThis.getComputedStyle(document.querySelector(selector));
        return [of('button').backgroundColor, of('button').color, of('body').backgroundColor];
      });
      assert.deepEqual(colours, ['rgb(255, 212, 0)', 'rgb(0, 0, 0)', 'rgb(18, 52, 86)']);
      await page.evaluate(AXE);
      const { violations } = await page.evaluate(() => globalThis.axe.run());
      assert.deepEqual(violations.map(({ id, nodes }) => [id, nodes.map((node) => node.html)]), []);
    }
  });
});
