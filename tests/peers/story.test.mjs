// The story Keyway is for, told against the strict provider: one google connector, three provider
// applications behind it, users who sign in through any of them and move between them.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Browserless } from './harness/browserless.mjs';
import { DATABASES } from './harness/database.mjs';
import { authorize, bringYourOwn, connectGoogle, grantOf, hosted } from './harness/google.mjs';
import { rejectsApi } from './harness/rejections.mjs';
import { startWorld } from './harness/world.mjs';

const STAGES = ['development', 'staging', 'production'];

for (const database of DATABASES) {
  describe(`story on ${database}`, () => {
    let world;
    let app;
    let credentials;

    const live = (login, stage) => world.provider.liveRefreshTokens(login, world.provider.clients[stage].client_id);
    const makeDefault = (stage) => app.nylas.connectors.update({
      provider: 'google', requestBody: { activeCredentialId: credentials[stage] },
    });
    const health = async (stage) => {
      const url = `${world.baseUrl}/v3/connectors/google/creds/${credentials[stage]}/health`;
      const answer = await fetch(url, { headers: { authorization: `Bearer ${app.apiKey}` } });
      return (await answer.json()).data;
    };

    before(async () => {
      world = await startWorld({ name: 'story', database });
      app = await world.createApp({ name: 'Story' });
      credentials = await connectGoogle(world, app);
    });
    after(() => world?.stop());

    it('app create names the redirect URI to register at the provider', () => {
      assert.ok(JSON.stringify(app.created).includes(`${world.baseUrl}/v3/connect/callback`));
      assert.equal(app.clientId, app.applicationId);
    });

    it('a sign-in that names no credential takes the default, one that names it takes that', async () => {
      for (const stage of STAGES) {
        const credentialId = stage === 'development' ? undefined : credentials[stage];
        const login = `first-${stage}@example.com`;
        const { grantId } = await hosted(world, app, { login, credentialId });
        const grant = await grantOf(app, grantId);
        assert.equal(grant.credentialId, credentials[stage]);
        assert.equal(grant.grantStatus, 'valid');
        assert.equal(grant.email, login);
        assert.equal(live(login, stage).length, 1, 'the provider issued through that application');
      }
    });

    it('the same user signs in through each application and stays one grant', async () => {
      const login = 'same@example.com';
      const seen = [];
      for (const stage of STAGES) {
        const { grantId } = await hosted(world, app, { login, credentialId: credentials[stage] });
        seen.push(grantId);
        assert.equal((await grantOf(app, grantId)).credentialId, credentials[stage]);
      }
      assert.equal(new Set(seen).size, 1);
    });

    it('a grant migrates by hosted sign-in there and back: same id, same created_at', async () => {
      const login = 'hosted-migration@example.com';
      const { grantId } = await hosted(world, app, { login, credentialId: credentials.development });
      const before = await grantOf(app, grantId);
      for (const stage of ['production', 'development']) {
        // Times on the wire are whole seconds: without a pause a lost created_at would not be seen.
        await sleep(1100);
        await hosted(world, app, { login, credentialId: credentials[stage] });
        const moved = await grantOf(app, grantId);
        assert.equal(moved.credentialId, credentials[stage]);
        assert.equal(moved.createdAt, before.createdAt);
        assert.ok(moved.updatedAt > before.updatedAt);
        assert.equal(moved.grantStatus, 'valid');
      }
      assert.equal(live(login, 'production').length, 1, 'migration revokes nothing at the provider (rule 13)');
    });

    it('a grant migrates by bring-your-own there and back: same id, same created_at', async () => {
      const login = 'byo-migration@example.com';
      const first = await bringYourOwn(world, app, { login, stage: 'development' });
      assert.equal(first.data.credentialId, credentials.development);
      for (const stage of ['production', 'development']) {
        await sleep(1100);
        const moved = await bringYourOwn(world, app, { login, stage, credentialId: credentials[stage] });
        assert.equal(moved.data.id, first.data.id);
        assert.equal(moved.data.createdAt, first.data.createdAt);
        assert.equal(moved.data.credentialId, credentials[stage]);
      }
      assert.equal(live(login, 'production').length, 1, 'migration revokes nothing at the provider (rule 13)');
    });

    it('a hosted re-authentication takes effect at the exchange, not before (rule 4)', async () => {
      const login = 'pending@example.com';
      const { grantId } = await hosted(world, app, { login, credentialId: credentials.development });
      const { code } = await authorize(world, app, { login, credentialId: credentials.staging });
      assert.equal((await grantOf(app, grantId)).credentialId, credentials.development);
      await app.nylas.auth.exchangeCodeForToken({ clientId: app.clientId, redirectUri: app.redirectUri, code });
      assert.equal((await grantOf(app, grantId)).credentialId, credentials.staging);
    });

    it('a re-authentication answered by another account is refused and changes nothing (rule 12)', async () => {
      const login = 'hinted@example.com';
      const { grantId } = await hosted(world, app, { login });
      const before = await grantOf(app, grantId);
      const answer = await authorize(world, app, { login: 'somebody-else@example.com', loginHint: login });
      if (answer.code) {
        await assert.rejects(app.nylas.auth.exchangeCodeForToken({
          clientId: app.clientId, redirectUri: app.redirectUri, code: answer.code,
        }));
      } else {
        assert.ok(answer.error && answer.error_description && answer.error_code);
      }
      assert.deepEqual(await grantOf(app, grantId), before);
    });

    it('bring-your-own with a token of another application is refused in words', async () => {
      const refreshToken = await world.mint({ stage: 'staging', login: 'mismatch@example.com' });
      const error = await rejectsApi(app.nylas.auth.customAuthentication({
        requestBody: { provider: 'google', settings: { refreshToken, credentialId: credentials.production } },
      }), { status: 400, type: 'grant.invalid_authentication', says: /application|client/i });
      assert.equal(error.providerError.error, 'unauthorized_client');
      assert.ok(!error.message.includes(refreshToken));
      assert.equal(live('mismatch@example.com', 'staging').length, 1, 'the token itself was not harmed');
    });

    it('a rotated refresh token is kept: re-authentication after re-authentication stays good', async () => {
      const login = 'rotation@example.com';
      const ids = new Set();
      for (let round = 1; round <= 3; round += 1) {
        const { data } = await bringYourOwn(world, app, { login, stage: 'staging', credentialId: credentials.staging });
        ids.add(data.id);
        assert.equal(data.grantStatus, 'valid');
        assert.equal(live(login, 'staging').length, round, 'each presented token was rotated, none was reused');
      }
      assert.equal(ids.size, 1);
    });

    it('changing the default moves no grant and decides the next sign-in (rule 2)', async () => {
      const { grantId: old } = await hosted(world, app, { login: 'before-change@example.com' });
      await makeDefault('production');
      assert.equal((await grantOf(app, old)).credentialId, credentials.development);
      const { grantId } = await hosted(world, app, { login: 'after-change@example.com' });
      assert.equal((await grantOf(app, grantId)).credentialId, credentials.production);
      const { data } = await bringYourOwn(world, app, { login: 'after-change-byo@example.com', stage: 'production' });
      assert.equal(data.credentialId, credentials.production);
      await makeDefault('development');
    });

    it('a default changed during a sign-in does not change that sign-in (rule 3)', async () => {
      const url = app.nylas.auth.urlForOAuth2({
        clientId: app.clientId, redirectUri: app.redirectUri, provider: 'google', accessType: 'offline',
      });
      const browser = new Browserless();
      const stopAt = [`${world.baseUrl}/v3/connect/callback`];
      const { finalUrl } = await browser.travel(url, { login: 'during@example.com', stopAt });
      await makeDefault('production');
      const back = await browser.travel(finalUrl.href, { stopAt: [app.redirectUri] });
      const { grantId } = await app.nylas.auth.exchangeCodeForToken({
        clientId: app.clientId, redirectUri: app.redirectUri, code: back.finalUrl.searchParams.get('code'),
      });
      assert.equal((await grantOf(app, grantId)).credentialId, credentials.development);
      await makeDefault('development');
    });

    it('a callback in another browser gets a page; the right one works once (rules 9 and 14)', async () => {
      const url = app.nylas.auth.urlForOAuth2({
        clientId: app.clientId, redirectUri: app.redirectUri, provider: 'google',
      });
      const browser = new Browserless();
      const stopAt = [`${world.baseUrl}/v3/connect/callback`];
      const { finalUrl } = await browser.travel(url, { login: 'callback@example.com', stopAt });

      const stranger = await new Browserless().request(finalUrl.href);
      assert.ok(stranger.status >= 400);
      assert.equal(stranger.headers.get('location'), null);
      const first = await browser.request(finalUrl.href);
      assert.ok(first.headers.get('location').startsWith(app.redirectUri));
      const second = await browser.request(finalUrl.href);
      const again = second.headers.get('location');
      assert.ok(!again?.includes('code='), 'a second use of the callback gives no second code');
    });

    it('deleting a grant ends its refresh token at the provider', async () => {
      const login = 'leaving@example.com';
      const { grantId } = await hosted(world, app, { login, credentialId: credentials.staging });
      assert.equal(live(login, 'staging').length, 1);
      await app.nylas.grants.destroy({ grantId });
      await eventually(() => live(login, 'staging').length === 0, 'the refresh token is dead at the provider');
      const { client_id: clientId } = world.provider.clients.staging;
      assert.equal(world.provider.revocations.at(-1).clientId, clientId, 'revoked through its own application');
    });

    it('health tells the redirect URI, the grants, and a wrong secret', async () => {
      const good = await health('production');
      assert.ok(['healthy', 'unknown'].includes(good.status), JSON.stringify(good));
      assert.equal(good.redirect_uri, `${world.baseUrl}/v3/connect/callback`);
      assert.ok(good.grants.valid > 0);
      const { client_id: clientId } = world.provider.clients.staging;
      const { data } = await app.nylas.connectors.credentials.create({
        provider: 'google',
        requestBody: {
          name: 'mistyped', credentialType: 'connector', credentialData: { clientId, clientSecret: 'mistyped secret' },
        },
      });
      credentials.mistyped = data.id;
      await eventually(async () => (await health('mistyped')).status === 'failing', 'a wrong secret is noticed');
      assert.equal((await health('mistyped')).error, 'invalid_client');
    });

    it('deleting a credential makes its grants invalid at once; another credential revives them', async () => {
      const login = 'orphan@example.com';
      const { grantId } = await hosted(world, app, { login, credentialId: credentials.staging });
      const destroy = (stage) => app.nylas.connectors.credentials.destroy({
        provider: 'google', credentialsId: credentials[stage],
      });
      await rejectsApi(destroy('development'), { status: 400, type: 'api.invalid_request_error' });
      await destroy('staging');
      assert.equal((await grantOf(app, grantId)).grantStatus, 'invalid');
      const revived = await bringYourOwn(world, app, {
        login, stage: 'production', credentialId: credentials.production,
      });
      assert.equal(revived.data.id, grantId);
      assert.equal((await grantOf(app, grantId)).grantStatus, 'valid');
    });

    it('another application sees nothing of all this (rule 8)', async () => {
      const other = await world.createApp({ name: 'Other' });
      assert.equal((await other.nylas.grants.list()).data.length, 0);
      assert.equal((await other.nylas.connectors.list({})).data.length, 0);
      await rejectsApi(other.nylas.grants.find({ grantId: 'same@example.com' }), {
        status: 404, type: 'grant.not_found',
      });
    });

    it('deleting the connector ends its grants at once', async () => {
      await app.nylas.connectors.destroy({ provider: 'google' });
      const { data } = await app.nylas.grants.list({ queryParams: { grantStatus: 'valid' } });
      assert.deepEqual(data, []);
    });
  });
}

/** Waits for work that Keyway may do after its answer, such as telling the provider. */
async function eventually(holds, what) {
  for (const deadline = Date.now() + 5000; Date.now() < deadline; await sleep(50)) {
    if (await holds()) return;
  }
  assert.fail(`not within five seconds: ${what}`);
}
