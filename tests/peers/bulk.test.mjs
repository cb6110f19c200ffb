// Bulk authentication by the official Node SDK, against a provider that verifies every proof.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { Browserless } from './harness/browserless.mjs';
import { CONTOSO, MAIL, startContoso } from './harness/bulk-provider.mjs';
import { DATABASES } from './harness/database.mjs';
import { rejectsApi } from './harness/rejections.mjs';
import { startWorld } from './harness/world.mjs';

const refused = { status: 400, type: 'grant.invalid_authentication' };

for (const database of DATABASES) {
  describe(`bulk authentication on ${database}`, () => {
    let bulk;
    let world;
    let app;
    let robot;
    let consent;

    before(async () => {
      bulk = await startContoso();
      world = await startWorld({ name: 'bulk', database, providers: bulk.overrides });
      bulk.addSecretsTo(world.secrets);
      app = await world.createApp({ name: 'Bulk' });
      const { client_id: clientId, client_secret: clientSecret } = bulk.client;
      const settings = { clientId, clientSecret };
      const create = (provider) => app.nylas.connectors.create({ requestBody: { provider, name: provider, settings } });
      await Promise.all(['google', 'microsoft'].map(create));
      robot = await app.nylas.connectors.credentials.create({
        provider: 'google',
        requestBody: { name: 'robot', credentialType: 'serviceaccount', credentialData: bulk.keyFile },
      });
      consent = await app.nylas.connectors.credentials.create({
        provider: 'microsoft',
        requestBody: { name: 'consent', credentialType: 'adminconsent', credentialData: {} },
      });
    });
    after(async () => {
      await world?.stop();
      await bulk?.close();
    });

    const proxied = (grantId, rest) => fetch(`${world.serverUrl}/v3/grants/${grantId}/proxy/${rest}`, {
      headers: { authorization: `Bearer ${app.apiKey}` },
    });
    const byRobot = (emailAddress, scopes = [MAIL]) => app.nylas.auth.customAuthentication({
      requestBody: { provider: 'google', settings: { credentialId: robot.data.id, emailAddress, scopes } },
    });
    const byConsent = (emailAddress) => app.nylas.auth.customAuthentication({
      requestBody: { provider: 'microsoft', settings: { credentialId: consent.data.id, emailAddress } },
    });

    it('a service account acts for a user, who is the subject of a signed assertion', async () => {
      const { data } = await byRobot('ann@contoso.test');
      assert.equal(data.email, 'ann@contoso.test');
      assert.equal(data.credentialId, robot.data.id);
      assert.deepEqual(data.scope, [MAIL]);
      const last = bulk.seen.assertions.at(-1);
      assert.equal(last.sub, 'ann@contoso.test');
      assert.equal(last.scope, MAIL);
      const called = await proxied(data.id, 'gmail/v1/users/me/messages');
      assert.deepEqual(await called.json(), { user: 'ann@contoso.test', path: '/gmail/v1/users/me/messages' });
    });

    it('scopes that nobody delegated and users who are none are refused, and no grant is made', async () => {
      await rejectsApi(byRobot('bob@contoso.test', ['https://mail.google.com/']), { ...refused, says: /delegate/ });
      await rejectsApi(byRobot('nobody@contoso.test'), { ...refused, says: /no such user/ });
      const { data } = await app.nylas.grants.list({ queryParams: { email: 'bob@contoso.test' } });
      assert.equal(data.length, 0);
    });

    it('before the administrator consents there are no grants of members', async () => {
      await rejectsApi(byConsent('ann@contoso.test'), { ...refused, says: /response_type=adminconsent/ });
    });

    it('urlForAdminConsent leads the administrator to the provider and back', async () => {
      const url = app.nylas.auth.urlForAdminConsent({
        clientId: app.clientId, redirectUri: app.redirectUri, credentialId: consent.data.id, state: 'adm',
      });
      const { finalUrl } = await new Browserless().travel(url, { stopAt: [app.redirectUri] });
      assert.deepEqual(Object.fromEntries(finalUrl.searchParams), { admin_consent: 'true', state: 'adm' });
      assert.match(bulk.seen.consents.at(-1), /\/common\/adminconsent\?/);
      assert.equal(bulk.seen.clientCredentials.at(-1), CONTOSO, 'the way back alone proves nothing');
    });

    it('a member is called by id, and nobody else can be', async () => {
      const { data } = await byConsent('ann@contoso.test');
      const called = await proxied(data.id, 'v1.0/me/messages');
      assert.deepEqual(await called.json(), { user: 'ann@contoso.test', rest: ['messages'] });
      const other = await byConsent('eve@contoso.test');
      for (const path of [`v1.0/users/${other.data.providerUserId}/messages`, 'v1.0/users/eve@contoso.test', 'v1.0/$batch']) {
        const answer = await proxied(data.id, path);
        assert.equal(answer.status, 400, path);
        assert.match((await answer.json()).error.message, /own user only/);
      }
    });

    it('one tenant\'s consent is worth nothing in another', async () => {
      await rejectsApi(byConsent('mallory@fabrikam.test'), { ...refused, says: /response_type=adminconsent/ });
      await rejectsApi(byConsent('x@unknown.test'), { ...refused, says: /no tenant/ });
      await rejectsApi(byConsent('nobody@contoso.test'), { ...refused, says: /no user/ });
    });
  });
}
