// Every method of `grants`, `applications` and `redirectUris` of the official Node SDK, success and refusal.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { DATABASES } from './harness/database.mjs';
import { bringYourOwn, connectGoogle } from './harness/google.mjs';
import { rejectsApi } from './harness/rejections.mjs';
import { startWorld } from './harness/world.mjs';

const UNKNOWN_ID = '00000000-0000-4000-8000-000000000000';

for (const database of DATABASES) {
  describe(`node sdk, grants and application, on ${database}`, () => {
    let world;
    let app;
    let grants;
    let redirectUris;
    let one;

    before(async () => {
      world = await startWorld({ name: 'node-grants', database });
      app = await world.createApp({ name: 'Grants of Node' });
      ({ grants, applications: { redirectUris } } = app.nylas);
      await connectGoogle(world, app);
      for (const login of ['one@example.com', 'two@example.com', 'three@example.com']) {
        const { data } = await bringYourOwn(world, app, { login, stage: 'development' });
        if (login === 'one@example.com') one = data;
      }
    });
    after(() => world?.stop());

    it('grants.list filters, pages and orders', async () => {
      const all = await grants.list();
      assert.equal(all.data.length, 3);
      const byEmail = await grants.list({ queryParams: { email: 'ONE@example.com', provider: 'google' } });
      assert.deepEqual(byEmail.data.map((g) => g.id), [one.id]);
      const valid = await grants.list({ queryParams: { grantStatus: 'valid', sortBy: 'created_at', orderBy: 'asc' } });
      assert.equal(valid.data.length, 3);
      const invalid = await grants.list({ queryParams: { grantStatus: 'invalid' } });
      assert.equal(invalid.data.length, 0);
      const later = await grants.list({ queryParams: { since: one.createdAt + 86_400 } });
      assert.equal(later.data.length, 0);
    });

    it('grants.list refuses a limit that is no number', async () => {
      await rejectsApi(grants.list({ queryParams: { limit: 'many' } }), {
        status: 400, type: 'api.invalid_query_params', says: /limit/,
      });
    });

    it('grants.find takes every locator of an API key', async () => {
      for (const grantId of [one.id, `grant:${one.id}`, 'one@example.com', 'email:One@Example.com']) {
        assert.equal((await grants.find({ grantId })).data.id, one.id, grantId);
      }
    });

    it('grants.find of an unknown grant is 404, and me needs an access token', async () => {
      await rejectsApi(grants.find({ grantId: UNKNOWN_ID }), { status: 404, type: 'grant.not_found' });
      const refused = await grants.find({ grantId: 'me' }).catch((error) => error);
      assert.ok([400, 401].includes(refused.statusCode), `me with a key answered ${refused.statusCode}`);
    });

    it('grants.update keeps scopes as metadata, and is 404 for an unknown grant', async () => {
      const update = (grantId) => grants.update({ grantId, requestBody: { scope: ['openid', 'made.up'] } });
      assert.deepEqual((await update(one.id)).data.scope, ['openid', 'made.up']);
      await rejectsApi(update(UNKNOWN_ID), { status: 404, type: 'grant.not_found' });
    });

    it('grants.destroy deletes, then 404', async () => {
      const grantId = 'three@example.com';
      assert.ok((await grants.destroy({ grantId })).requestId);
      await rejectsApi(grants.destroy({ grantId }), { status: 404, type: 'grant.not_found' });
      await rejectsApi(grants.find({ grantId }), { status: 404, type: 'grant.not_found' });
    });

    it('applications.getDetails tells the application of the key', async () => {
      const { data } = await app.nylas.applications.getDetails();
      assert.equal(data.applicationId, app.applicationId);
      assert.ok(data.organizationId && data.region && data.environment && data.branding.name);
      assert.deepEqual(data.callbackUris.map((c) => c.url), [app.redirectUri]);
    });

    it('applications.getDetails refuses a wrong key', async () => {
      await rejectsApi(app.nylas.applications.getDetails({ overrides: { apiKey: 'wrong' } }), {
        status: 401, type: 'token.unauthorized_access',
      });
    });

    it('applications.update replaces a nested object whole and refuses a wrong type', async () => {
      const update = (branding) => app.nylas.applications.update({ requestBody: { branding } });
      const { data } = await update({ name: 'New name', description: 'words' });
      assert.equal(data.branding.name, 'New name');
      assert.equal(data.applicationId, app.applicationId);
      await rejectsApi(update('no object'), { status: 400, type: 'api.invalid_request_error', says: /branding/ });
    });

    it('redirectUris are created, found, changed, listed and deleted', async () => {
      const created = await redirectUris.create({
        requestBody: {
          url: 'https://app.example.com/cb', platform: 'js', settings: { origin: 'https://app.example.com' },
        },
      });
      assert.equal(world.lastAnswer('POST', '/v3/applications/redirect-uris').status, 200);
      const redirectUriId = created.data.id;
      assert.equal((await redirectUris.find({ redirectUriId })).data.url, 'https://app.example.com/cb');
      const changed = await redirectUris.update({
        redirectUriId,
        requestBody: {
          url: 'https://app.example.com/other', platform: 'js', settings: { origin: 'https://app.example.com' },
        },
      });
      assert.equal(changed.data.url, 'https://app.example.com/other');
      assert.equal((await redirectUris.list()).data.length, 2);
      assert.ok((await redirectUris.destroy({ redirectUriId })).requestId);
      assert.equal((await redirectUris.list()).data.length, 1);
    });

    it('redirectUris refuse plain HTTP elsewhere, a js platform without origin, and unknown ids', async () => {
      const create = (requestBody) => redirectUris.create({ requestBody });
      await rejectsApi(create({ url: 'http://app.example.com/cb', platform: 'web' }), { status: 400 });
      await rejectsApi(create({ url: 'https://app.example.com/cb', platform: 'js' }), { status: 400, says: /origin/ });
      const unknown = { redirectUriId: UNKNOWN_ID };
      const refusal = { status: 404, type: 'api.not_found_error' };
      await rejectsApi(redirectUris.find(unknown), refusal);
      await rejectsApi(redirectUris.update({ ...unknown, requestBody: { url: 'https://a.example.com' } }), refusal);
      await rejectsApi(redirectUris.destroy(unknown), refusal);
    });

    it('redirectUris.list refuses a wrong key', async () => {
      await rejectsApi(redirectUris.list({ overrides: { apiKey: 'wrong' } }), {
        status: 401, type: 'token.unauthorized_access',
      });
    });
  });
}
