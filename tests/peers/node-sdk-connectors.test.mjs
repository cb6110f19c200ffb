// Every method of `connectors` and `connectors.credentials` of the official Node SDK, success and refusal.

import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { DATABASES } from './harness/database.mjs';
import { rejectsApi } from './harness/rejections.mjs';
import { SCOPES, startWorld } from './harness/world.mjs';

const UNKNOWN_ID = '00000000-0000-4000-8000-000000000000';
const NO_SECRET = 'a secret of no provider at all';

for (const database of DATABASES) {
  describe(`node sdk, connectors, on ${database}`, () => {
    let world;
    let connectors;
    let primary;

    const create = (requestBody) => connectors.create({ requestBody });
    const clientData = (clientId) => ({ clientId, clientSecret: NO_SECRET });
    const createCredential = (name, credentialData, credentialType = 'connector') => connectors.credentials.create({
      provider: 'google', requestBody: { name, credentialType, credentialData },
    });

    before(async () => {
      world = await startWorld({ name: 'node-connectors', database });
      ({ nylas: { connectors } } = await world.createApp({}));
    });
    after(() => world?.stop());

    it('connectors.create makes the connector and its primary credential with status 201', async () => {
      const { client_id: clientId, client_secret: clientSecret } = world.provider.clients.development;
      const { data, requestId } = await create({
        provider: 'google',
        name: 'Main Google',
        settings: { clientId, clientSecret, topicName: 'topic' },
        scope: SCOPES,
      });
      const answer = world.lastAnswer('POST', '/v3/connectors');
      assert.equal(answer.status, 201);
      assert.equal(answer.headers['content-type'], 'application/json');
      assert.equal(answer.headers['x-request-id'], requestId);
      assert.equal(data.name, 'Main Google');
      assert.deepEqual(data.scope, SCOPES);
      assert.equal(data.settings.topicName, 'topic');
      assert.ok(!JSON.stringify(data).includes(clientSecret));
      primary = data.activeCredentialId;
      const found = await connectors.credentials.find({ provider: 'google', credentialsId: primary });
      assert.equal(found.data.id, primary);
    });

    it('connectors.create refuses a second connector for the provider', async () => {
      await rejectsApi(create({ provider: 'google', name: 'again' }), {
        status: 400, type: 'api.invalid_request_error',
      });
    });

    it('connectors.create refuses an unknown provider, and nylas in words', async () => {
      await rejectsApi(create({ provider: 'lotus', name: 'x' }), { status: 400 });
      await rejectsApi(create({ provider: 'nylas', name: 'x' }), { status: 400, says: /nylas/ });
    });

    it('connectors.create knows every other provider of the API', async () => {
      for (const provider of ['microsoft', 'yahoo', 'zoom']) {
        const { data } = await create({ provider, name: provider, settings: clientData(`${provider}-client-id`) });
        assert.ok(data.activeCredentialId, `${provider} has a primary credential`);
      }
      for (const provider of ['imap', 'icloud', 'virtual-calendar', 'ews']) {
        const { data } = await create({ provider, name: provider, settings: {} });
        assert.equal(data.activeCredentialId, undefined, `${provider} has no client settings`);
      }
    });

    it('connectors.list pages through the connectors', async () => {
      const whole = await connectors.list({});
      assert.equal(whole.data.length, 8);
      const page = await connectors.list({ queryParams: { limit: 3, offset: 2 } });
      const { body } = world.lastAnswer('GET', '/v3/connectors');
      const answer = JSON.parse(body);
      assert.equal(answer.data.length <= 3, true);
      assert.deepEqual([answer.limit, answer.offset], [3, 2]);
      assert.equal(page.data[0].provider, whole.data[2].provider);
    });

    it('connectors.list refuses a wrong key', async () => {
      await rejectsApi(connectors.list({ overrides: { apiKey: 'wrong' } }), {
        status: 401, type: 'token.unauthorized_access', says: /Bearer token invalid/,
      });
    });

    it('connectors.find answers the connector, and 404 for one that is not there', async () => {
      assert.equal((await connectors.find({ provider: 'google' })).data.activeCredentialId, primary);
      await connectors.destroy({ provider: 'ews' });
      await rejectsApi(connectors.find({ provider: 'ews' }), { status: 404, type: 'api.not_found_error' });
    });

    it('connectors.update by PUT changes what is sent and keeps the rest', async () => {
      const { data } = await connectors.update({
        provider: 'google', requestBody: { name: 'Renamed', scope: SCOPES.slice(0, 2) },
      });
      assert.equal(world.lastAnswer('PUT', '/v3/connectors/google').status, 200);
      assert.equal(data.name, 'Renamed');
      assert.deepEqual(data.scope, SCOPES.slice(0, 2));
      assert.equal(data.activeCredentialId, primary);
    });

    it('connectors.update refuses a default that is no credential of this connector', async () => {
      const microsoft = await connectors.find({ provider: 'microsoft' });
      for (const activeCredentialId of [UNKNOWN_ID, microsoft.data.activeCredentialId]) {
        await rejectsApi(connectors.update({ provider: 'google', requestBody: { activeCredentialId } }), {
          status: 400, type: 'api.invalid_request_error', says: /credential/,
        });
      }
    });

    it('connectors.destroy answers 200 with a request id, then 404', async () => {
      const answer = await connectors.destroy({ provider: 'zoom' });
      assert.ok(answer.requestId);
      assert.equal(world.lastAnswer('DELETE', '/v3/connectors/zoom').status, 200);
      await rejectsApi(connectors.destroy({ provider: 'zoom' }), { status: 404, type: 'api.not_found_error' });
    });

    it('credentials.create answers exactly four members with status 201', async () => {
      const { data } = await createCredential('staging', clientData('four-members'));
      const answer = world.lastAnswer('POST', '/v3/connectors/google/creds');
      assert.equal(answer.status, 201);
      assert.deepEqual(Object.keys(JSON.parse(answer.body).data).sort(), ['created_at', 'id', 'name', 'updated_at']);
      assert.equal(data.name, 'staging');
      assert.equal(data.createdAt, data.updatedAt);
    });

    it('credentials.create with equal members answers the existing credential', async () => {
      const first = await createCredential('twice', clientData('twice-id'));
      const second = await createCredential('twice', clientData('twice-id'));
      assert.equal(world.lastAnswer('POST', '/v3/connectors/google/creds').status, 201);
      assert.equal(second.data.id, first.data.id);
    });

    it('credentials.create refuses a taken name, missing members and an unknown type', async () => {
      const refusal = { status: 400, type: 'api.invalid_request_error' };
      await rejectsApi(createCredential('twice', clientData('other-id')), { ...refusal, says: /name/ });
      await rejectsApi(createCredential('half', { clientId: 'only' }), { ...refusal, says: /client_secret/ });
      await rejectsApi(createCredential('odd', clientData('odd-id'), 'oauth'), { ...refusal, says: /credential_type/ });
    });

    it('credentials.create stores service accounts and admin consent, strange members included', async () => {
      const account = await createCredential('robot', {
        type: 'service_account',
        private_key_id: 'key-1',
        private_key: generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ type: 'pkcs8', format: 'pem' }),
        client_email: 'robot@project.test',
        client_x509_cert_url: 'https://example.com/cert',
      }, 'serviceaccount');
      assert.ok(account.data.id);
      const consent = await connectors.credentials.create({
        provider: 'microsoft',
        requestBody: { name: 'bulk', credentialType: 'adminconsent', credentialData: clientData('bulk-id') },
      });
      assert.ok(consent.data.id);
    });

    it('credentials.list pages, newest first, and accepts the SDK\'s spelling of sort_by', async () => {
      for (let n = 0; n < 10; n += 1) await createCredential(`many-${n}`, clientData(`many-${n}-id`));
      const standard = await connectors.credentials.list({ provider: 'google' });
      assert.equal(standard.data.length, 10, 'the default limit is 10');
      assert.equal(standard.data[0].name, 'many-9');
      await connectors.credentials.list({
        provider: 'google', queryParams: { limit: 2, offset: 1, sortBy: 'createdAt', orderBy: 'asc' },
      });
      const answer = JSON.parse(world.lastAnswer('GET', '/v3/connectors/google/creds').body);
      assert.deepEqual([answer.limit, answer.offset], [2, 1]);
    });

    it('credentials.list of a connector that is not there is 404', async () => {
      await rejectsApi(connectors.credentials.list({ provider: 'zoom' }), { status: 404, type: 'api.not_found_error' });
    });

    it('credentials.find refuses an id of another connector', async () => {
      await rejectsApi(connectors.credentials.find({ provider: 'microsoft', credentialsId: primary }), {
        status: 404, type: 'api.not_found_error',
      });
    });

    it('credentials.update renames, and 404 for an unknown id', async () => {
      const { data } = await createCredential('before', clientData('rename-id'));
      const update = (credentialsId) => connectors.credentials.update({
        provider: 'google', credentialsId, requestBody: { name: 'after' },
      });
      const renamed = await update(data.id);
      assert.equal(renamed.data.name, 'after');
      assert.equal(renamed.data.id, data.id);
      await rejectsApi(update(UNKNOWN_ID), { status: 404, type: 'api.not_found_error' });
    });

    it('credentials.destroy deletes, but never the active one', async () => {
      const { data } = await createCredential('short-lived', clientData('short-id'));
      const destroy = (credentialsId) => connectors.credentials.destroy({ provider: 'google', credentialsId });
      assert.ok((await destroy(data.id)).requestId);
      await rejectsApi(destroy(data.id), { status: 404, type: 'api.not_found_error' });
      await rejectsApi(destroy(primary), { status: 400, type: 'api.invalid_request_error', says: /active|default/ });
    });
  });
}
