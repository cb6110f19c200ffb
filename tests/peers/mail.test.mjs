// Custom authentication of every variant but the two bulk ones (bulk.test.mjs), by the official Node SDK: refresh
// tokens of every OAuth provider, IMAP accounts at a real Dovecot, iCloud, calendars without a provider.

import assert from 'node:assert/strict';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { dovecotIsMissing, startDovecot } from './harness/dovecot.mjs';
import { startExchange } from './harness/exchange.mjs';
import { WORLDS } from './harness/paths.mjs';
import { rejectsApi } from './harness/rejections.mjs';
import { startWorld } from './harness/world.mjs';

const ANN = 'ann@example.test';
const PASSWORD = 'app-pass-of-ann-3';
const missing = dovecotIsMissing();
if (missing && process.env.KEYWAY_TEST_REQUIRE_DOVECOT) throw new Error(missing);

describe('custom authentication by nylas for Node', { skip: missing }, () => {
  const closers = [];
  let world;
  let mail;
  let app;

  before(async () => {
    mail = await startDovecot({ folder: path.join(WORLDS, 'mail-dovecot'), users: { [ANN]: PASSWORD } });
    closers.unshift(() => mail.stop());
    const exchange = await startExchange({ ...mail, users: { [ANN]: PASSWORD } });
    closers.unshift(() => exchange.stop());
    const network = ['allow_private_addresses = true', `extra_certificates_file = "${mail.authority}"`];
    world = await startWorld({ name: 'mail', network });
    closers.unshift(() => world.stop());
    world.secrets.add('mail_password', PASSWORD);
    app = await world.createApp({ name: 'Mail' });
    const { client_id: clientId, client_secret: clientSecret } = world.provider.clients.development;
    for (const provider of ['google', 'microsoft', 'yahoo', 'zoom']) {
      await app.nylas.connectors.create({ requestBody: { provider, name: provider, settings: { clientId, clientSecret } } });
    }
    for (const provider of ['imap', 'icloud', 'ews', 'virtual-calendar']) {
      await app.nylas.connectors.create({ requestBody: { provider, name: provider, settings: {} } });
    }
  });
  after(async () => {
    for (const close of closers) await close();
  });

  const authenticate = async (provider, settings, more = {}) => {
    const grant = await app.nylas.auth.customAuthentication({ requestBody: { provider, settings, ...more } });
    return grant.data;
  };
  const imap = (more = {}) => authenticate('imap', {
    imapUsername: ANN, imapPassword: PASSWORD, imapHost: mail.host, imapPort: 993, type: 'generic', ...more,
  });

  for (const provider of ['google', 'microsoft', 'yahoo', 'zoom']) {
    it(`${provider}: a refresh token`, async () => {
      const login = `${provider}@example.com`;
      const refreshToken = await world.mint({ stage: 'development', login });
      const grant = await authenticate(provider, { refreshToken }, { state: 's-1' });
      assert.deepEqual([grant.email, grant.provider, grant.grantStatus], [login, provider, 'valid']);
      assert.equal(grant.state, 's-1');
    });
  }

  it('imap: opens the account for reading and sending, and says the same id again', async () => {
    const grant = await imap({ smtpHost: mail.host, smtpPort: 587 });
    assert.deepEqual([grant.email, grant.provider, grant.credentialId], [ANN, 'imap', undefined]);
    assert.deepEqual(grant.settings, {
      imapUsername: ANN, imapHost: mail.host, imapPort: 993, smtpHost: mail.host, smtpPort: 587,
    });
    // The port as a text, as the published sample writes it; and STARTTLS.
    const again = await imap({ imapPort: '143' });
    assert.equal(again.id, grant.id);
    const { data } = await app.nylas.grants.update({
      grantId: grant.id, requestBody: { settings: { imap_password: PASSWORD, imap_port: 993 } },
    });
    assert.equal(data.settings.imapPort, 993);
  });

  it('imap: a wrong password, a server that is not there, and settings that are wrong', async () => {
    const refused = await rejectsApi(imap({ imapPassword: 'not-the-password' }), {
      status: 400, type: 'grant.invalid_authentication', says: /imap_password/,
    });
    assert.equal(refused.providerError.error, 'AUTHENTICATIONFAILED');
    await rejectsApi(imap({ imapHost: '127.0.0.1' }), { status: 504, says: /cannot be reached/ });
    await rejectsApi(imap({ imapPort: 99_999 }), { status: 400, says: /imap_port/ });
    await rejectsApi(imap({ imapPassword: '' }), { status: 400, says: /imap_password/ });
  });

  it('icloud: wants a user name and a password', async () => {
    await rejectsApi(authenticate('icloud', { username: 'ann@icloud.com' }), { status: 400, says: /settings\.password/ });
    await rejectsApi(authenticate('icloud', { username: 'ann', password: 'x' }), { status: 400, says: /username/ });
  });

  it('ews: opens the mailbox at a stand-in for Exchange, and refuses a wrong password', async () => {
    const settings = { email: ANN, ewsUsername: ANN, ewsPassword: PASSWORD, ewsHost: mail.host };
    const grant = await authenticate('ews', settings, { scope: ['ews.messages', 'ews.calendars'] });
    assert.deepEqual([grant.email, grant.provider, grant.scope], [ANN, 'ews', ['ews.messages', 'ews.calendars']]);
    assert.deepEqual(grant.settings, { ewsUsername: ANN, ewsHost: mail.host, ewsPort: 443 });
    await rejectsApi(authenticate('ews', { ...settings, ewsPassword: 'not-the-password' }), {
      status: 400, type: 'grant.invalid_authentication', says: /ews_password/,
    });
    assert.equal((await authenticate('ews', { ...settings, ewsPort: '443' })).id, grant.id);
  });

  it('virtual-calendar: any text is an address', async () => {
    const grant = await authenticate('virtual-calendar', { email: 'room 7' }, { scope: ['calendar'] });
    assert.deepEqual([grant.email, grant.provider], ['room 7', 'virtual-calendar']);
  });

  it('detectProvider: among the connectors, and among all there are', async () => {
    const detect = async (email, allProviderTypes) => {
      const { data } = await app.nylas.auth.detectProvider({ email, allProviderTypes });
      return [data.detected, data.provider, data.type];
    };
    assert.deepEqual(await detect('a@yahoo.com'), [true, 'yahoo', undefined]);
    assert.deepEqual(await detect('a@gmx.de'), [true, 'imap', 'gmx']);
    assert.deepEqual(await detect('a@me.com'), [true, 'icloud', undefined]);
    assert.deepEqual(await detect('a@unheard-of.test', true), [false, undefined, undefined]);
  });
});
