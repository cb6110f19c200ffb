// Every method of `auth` of the official Node SDK, each with a success and a refusal.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { DATABASES } from './harness/database.mjs';
import { authorize, bringYourOwn, connectGoogle, grantOf, hosted } from './harness/google.mjs';
import { rejectsApi, rejectsOAuth } from './harness/rejections.mjs';
import { SCOPES, startWorld } from './harness/world.mjs';

const UNKNOWN_ID = '00000000-0000-4000-8000-000000000000';

for (const database of DATABASES) {
  describe(`node sdk, auth, on ${database}`, () => {
    let world;
    let app;
    let credentials;

    const exchange = (code, more = {}) => app.nylas.auth.exchangeCodeForToken({
      clientId: app.clientId, redirectUri: app.redirectUri, code, ...more,
    });
    const refresh = (refreshToken) => app.nylas.auth.refreshAccessToken({
      clientId: app.clientId, redirectUri: app.redirectUri, refreshToken,
    });

    before(async () => {
      world = await startWorld({ name: 'node-auth', database });
      app = await world.createApp({});
      credentials = await connectGoogle(world, app);
    });
    after(() => world?.stop());

    it('urlForOAuth2 leads through the provider back to the application with code and state', async () => {
      const answer = await authorize(world, app, { login: 'url@example.com', state: 'app state/1 ü' });
      assert.ok(answer.code);
      assert.equal(answer.state, 'app state/1 ü');
      assert.equal(answer.error, undefined);
    });

    it('urlForOAuth2 with an unregistered redirect URI is answered, never redirected', async () => {
      const url = app.nylas.auth.urlForOAuth2({
        clientId: app.clientId, redirectUri: 'http://localhost:3000/elsewhere', provider: 'google',
      });
      const answer = await fetch(url, { redirect: 'manual' });
      assert.equal(answer.status, 400);
      assert.equal(answer.headers.get('location'), null);
      assert.equal((await answer.json()).error.type, 'grant.callback_uri_not_allowed');
    });

    it('a user who says no at the provider comes back with a complete error', async () => {
      const answer = await authorize(world, app, { login: 'no@example.com', state: 's-no', deny: true });
      assert.equal(answer.error, 'access_denied');
      assert.ok(answer.error_description);
      assert.ok(Number.isInteger(Number(answer.error_code)));
      assert.equal(answer.state, 's-no');
      assert.equal(answer.code, undefined);
    });

    it('urlForOAuth2PKCE: the code is exchanged with the verifier of the SDK', async () => {
      const { url, secret } = app.nylas.auth.urlForOAuth2PKCE({
        clientId: app.clientId, redirectUri: app.redirectUri, provider: 'google', accessType: 'online',
      });
      const { code } = await world.signIn(url, { login: 'pkce@example.com' });
      const tokens = await exchange(code, { codeVerifier: secret });
      assert.equal(tokens.email, 'pkce@example.com');
      assert.equal(tokens.refreshToken, undefined, 'access_type=online yields no refresh token');
    });

    it('urlForOAuth2PKCE: another verifier is refused and burns the code', async () => {
      const { url, secret } = app.nylas.auth.urlForOAuth2PKCE({
        clientId: app.clientId, redirectUri: app.redirectUri, provider: 'google',
      });
      const { code } = await world.signIn(url, { login: 'pkce-wrong@example.com' });
      await rejectsOAuth(exchange(code, { codeVerifier: 'not the verifier of this sign-in' }), {
        error: 'invalid_grant', code: 45004,
      });
      await rejectsOAuth(exchange(code, { codeVerifier: secret }), { error: 'invalid_grant' });
    });

    it('urlForAdminConsent names the credential', () => {
      const url = new URL(app.nylas.auth.urlForAdminConsent({
        clientId: app.clientId, redirectUri: app.redirectUri, credentialId: credentials.staging, state: 's',
      }));
      assert.equal(url.origin, world.baseUrl);
      assert.equal(url.searchParams.get('response_type'), 'adminconsent');
      assert.equal(url.searchParams.get('credential_id'), credentials.staging);
    });

    it('exchangeCodeForToken answers the whole token object', async () => {
      const { code } = await authorize(world, app, { login: 'exchange@example.com' });
      const tokens = await exchange(code);
      assert.equal(tokens.email, 'exchange@example.com');
      assert.equal(tokens.expiresIn, 3600);
      assert.equal(tokens.tokenType, 'Bearer');
      assert.equal(tokens.provider, 'google');
      assert.equal(tokens.idToken.split('.').length, 3);
      assert.equal(typeof tokens.scope, 'string', 'the scope of a token answer is one string');
      assert.deepEqual(new Set(tokens.scope.split(' ')), new Set(SCOPES));
      assert.ok(tokens.accessToken && tokens.refreshToken);
      const grant = await grantOf(app, tokens.grantId);
      assert.ok(Array.isArray(grant.scope), 'the scope of a grant is an array');
    });

    it('exchangeCodeForToken of a used code is refused and ends the tokens of its first use (rule 9)', async () => {
      const { code } = await authorize(world, app, { login: 'replay@example.com' });
      const tokens = await exchange(code);
      await rejectsOAuth(exchange(code), { error: 'invalid_grant' });
      await rejectsOAuth(app.nylas.auth.accessTokenInfo(tokens.accessToken), { error: 'invalid_token' });
      await rejectsOAuth(refresh(tokens.refreshToken), { error: 'invalid_grant' });
    });

    it('exchangeCodeForToken with a wrong client secret is invalid_client', async () => {
      const { code } = await authorize(world, app, { login: 'secret@example.com' });
      await rejectsOAuth(exchange(code, { clientSecret: 'not-the-api-key-of-anyone' }), {
        error: 'invalid_client',
      });
    });

    it('exchangeCodeForToken without a code names the missing parameter', async () => {
      await rejectsOAuth(exchange(undefined), {
        error: 'invalid_request', says: /Missing required parameter: code/,
      });
    });

    it('refreshAccessToken answers a new access token for the same grant', async () => {
      const tokens = await hosted(world, app, { login: 'refresh@example.com' });
      const refreshed = await refresh(tokens.refreshToken);
      assert.equal(refreshed.grantId, tokens.grantId);
      assert.notEqual(refreshed.accessToken, tokens.accessToken);
      assert.equal(refreshed.idToken.split('.').length, 3);
      assert.equal(refreshed.provider, undefined, 'provider is a member of the code exchange only');
    });

    it('refreshAccessToken with a token nobody issued is invalid_grant', async () => {
      await rejectsOAuth(refresh('no-refresh-token-of-this-server'), { error: 'invalid_grant' });
    });

    it('customAuthentication makes a grant on the named credential with status 201', async () => {
      const grant = await bringYourOwn(world, app, {
        login: 'byo@example.com', stage: 'staging', credentialId: credentials.staging,
      });
      assert.equal(world.lastAnswer('POST', '/v3/connect/custom').status, 201);
      assert.equal(grant.data.email, 'byo@example.com');
      assert.equal(grant.data.credentialId, credentials.staging);
      assert.equal(grant.data.grantStatus, 'valid');
    });

    it('customAuthentication with a token the provider refuses passes on its word', async () => {
      const error = await rejectsApi(app.nylas.auth.customAuthentication({
        requestBody: { provider: 'google', settings: { refreshToken: 'nobody-issued-this-token' } },
      }), { status: 400, type: 'grant.invalid_authentication' });
      assert.equal(error.providerError.error, 'invalid_grant');
    });

    it('customAuthentication with an unknown credential is refused', async () => {
      const refreshToken = await world.mint({ stage: 'staging', login: 'byo-unknown@example.com' });
      await rejectsApi(app.nylas.auth.customAuthentication({
        requestBody: { provider: 'google', settings: { refreshToken, credentialId: UNKNOWN_ID } },
      }), { status: 400, type: 'api.invalid_request_error', says: /credential/ });
    });

    it('revoke ends the tokens and leaves the grant', async () => {
      const tokens = await hosted(world, app, { login: 'revoke@example.com' });
      assert.equal(await app.nylas.auth.revoke(tokens.accessToken), true);
      await rejectsOAuth(app.nylas.auth.accessTokenInfo(tokens.accessToken), { error: 'invalid_token' });
      await rejectsOAuth(refresh(tokens.refreshToken), { error: 'invalid_grant' });
      assert.equal((await grantOf(app, tokens.grantId)).grantStatus, 'valid');
    });

    it('revoke of an unknown token is invalid_token', async () => {
      await rejectsOAuth(app.nylas.auth.revoke('no-token-of-this-server'), { error: 'invalid_token' });
    });

    it('idTokenInfo and accessTokenInfo tell the grant and the address', async () => {
      const tokens = await hosted(world, app, { login: 'info@example.com' });
      const infos = [
        await app.nylas.auth.idTokenInfo(tokens.idToken),
        await app.nylas.auth.accessTokenInfo(tokens.accessToken),
      ];
      for (const { data, requestId } of infos) {
        assert.ok(requestId && data.iss);
        assert.equal(data.sub, tokens.grantId);
        assert.equal(data.email, 'info@example.com');
        assert.equal(data.aud, new URL(app.redirectUri).origin);
        assert.ok(Number.isInteger(data.iat) && data.exp > data.iat);
      }
    });

    it('idTokenInfo and accessTokenInfo refuse what is no token of ours', async () => {
      const { idToken } = await hosted(world, app, { login: 'info-bad@example.com' });
      const [header, payload, signature] = idToken.split('.');
      const flipped = `${signature.startsWith('A') ? 'B' : 'A'}${signature.slice(1)}`;
      const forged = `${header}.${payload}.${flipped}`;
      await rejectsOAuth(app.nylas.auth.idTokenInfo(forged), { error: 'invalid_token' });
      await rejectsOAuth(app.nylas.auth.accessTokenInfo('no-token-of-this-server'), { error: 'invalid_token' });
    });

    it('detectProvider knows a mailbox of the connector, and refuses a wrong key', async () => {
      const { data } = await app.nylas.auth.detectProvider({ email: 'someone@gmail.com' });
      assert.deepEqual(data, { provider: 'google', emailAddress: 'someone@gmail.com', detected: true });
      await rejectsApi(app.nylas.auth.apiClient.request({
        method: 'POST', path: '/v3/providers/detect', queryParams: { email: 'a@gmail.com' },
        overrides: { apiKey: 'not-a-key' },
      }), { status: 401, type: 'token.unauthorized_access' });
    });
  });
}
