// The API for API keys, with requests signed by the official Node SDK's own signer and sent by its own client.
// The SDK has no resource for these paths (it has the signer for another one), so its client is called directly.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import Nylas, { ServiceAccountSigner } from 'nylas';
import { DATABASES } from './harness/database.mjs';
import { rejectsApi } from './harness/rejections.mjs';
import { startWorld } from './harness/world.mjs';

/** Bodies whose canonical form is easy to get wrong. All but the name is ignored by the server. */
const ODD_BODIES = {
  unicode: { name: 'Zoë 鍵 🔑 é', ключ: '值 \u2028\u2029\u007f' },
  escapes: { name: 'a"b\\c/d', '"\\\n': '\\u0041 \b\f\n\r\t\u0001\u001f' },
  'nested members': { name: 'n', z: { b: { y: 1, x: [{ d: 1, c: [] }, {}] }, a: null }, a: [[], {}, [null]] },
  numbers: { name: 'n', a: -0, b: 1e21, c: 1.5e-9, d: 0.1, e: 9007199254740993, f: 123456789.125 },
  'members beyond the basic plane': { name: 'n', '\u{1f511}': 1, '\ue000': 2, '\uffff': 3, é: 4, e: 5 },
  'booleans and what is left out': { name: 'n', yes: true, no: false, absent: undefined },
};

for (const database of DATABASES) {
  describe(`node sdk, api keys, on ${database}`, () => {
    let world;
    let app;
    let signer;
    let file;
    let keys;

    before(async () => {
      world = await startWorld({ name: 'node-api-keys', database });
      app = await world.createApp({});
      file = await world.keyway('service-account', 'create', '--name', 'rotator', '--app', app.applicationId, '--json');
      for (const line of file.private_key.split('\n').slice(-10, -2)) world.secrets.add('private_key', line);
      signer = new ServiceAccountSigner({ privateKeyPem: file.private_key, privateKeyId: file.private_key_id });
      keys = `/v3/admin/applications/${app.applicationId}/api-keys`;
    });
    after(() => world?.stop());

    // A server has a limit for each account and second; nobody waits for it who has an account of their own.
    const freshSigner = async (...permissions) => {
      const flags = permissions.flatMap((permission) => ['--permission', permission]);
      const made = await world.keyway(
        'service-account', 'create', '--name', 'other', '--app', app.applicationId, '--json', ...flags,
      );
      return new ServiceAccountSigner({ privateKeyPem: made.private_key, privateKeyId: made.private_key_id });
    };

    const send = ({ method, path, body, by = signer, ...given }) => {
      const { headers, serializedBody } = by.buildHeaders({ method, path, body, ...given });
      return app.nylas.apiClient.request({ method, path, serializedBody, overrides: { headers, skipAuth: true } });
    };
    const create = async (body, by) => {
      const answer = await send({ method: 'POST', path: keys, body, by });
      world.secrets.add('keyway_token', answer.data.apiKey);
      return answer.data;
    };
    const application = (apiKey) => new Nylas({ apiKey, apiUri: world.baseUrl, timeout: 30 }).applications.getDetails();

    it('a key is made, works, is listed without itself, and ends when it is deleted', async () => {
      const made = await create({ name: 'from the SDK', expires_in: 90 });
      assert.equal(world.lastAnswer('POST', keys).status, 200);
      assert.equal(made.applicationId, app.applicationId);
      assert.equal(made.status, 'active');
      assert.equal(made.expiresAt - made.createdAt, 90 * 86_400);
      assert.equal((await application(made.apiKey)).data.applicationId, app.applicationId);
      const one = `${keys}/${made.id}`;
      const found = await send({ method: 'GET', path: one });
      assert.equal(found.data.name, 'from the SDK');
      assert.equal(found.data.apiKey, undefined);
      const listed = await send({ method: 'GET', path: keys });
      assert.ok(listed.data.some(({ id }) => id === made.id));
      const gone = await send({ method: 'DELETE', path: one });
      assert.ok(gone.requestId);
      await rejectsApi(application(made.apiKey), { status: 401, type: 'token.unauthorized_access' });
      await rejectsApi(send({ method: 'GET', path: one }), { status: 404, type: 'api.not_found_error' });
    });

    it('two keys overlap: the old one works until it is deleted', async () => {
      const by = await freshSigner();
      const [old, next] = [await create({ name: 'old' }, by), await create({ name: 'new', expires_in: 1 }, by)];
      for (const key of [old, next]) await application(key.apiKey);
      await send({ method: 'DELETE', path: `${keys}/${old.id}`, by });
      await rejectsApi(application(old.apiKey), { status: 401 });
      await application(next.apiKey);
    });

    it('bodies of every odd kind are signed alike on both sides', async () => {
      const by = await freshSigner('apikey.create');
      for (const [kind, body] of Object.entries(ODD_BODIES)) {
        const made = await create(body, by).catch((error) => assert.fail(`${kind}: ${error.message}`));
        assert.equal(made.name, body.name, kind);
      }
      // Signed alike too, and then no text that could be kept.
      await rejectsApi(create({ name: 'n', lone: '\ud83d' }, by), { status: 400, type: 'api.invalid_request_payload' });
    });

    it('a signature is good once, for five minutes, and by its own key alone', async () => {
      const by = await freshSigner();
      const get = (given) => send({ method: 'GET', path: keys, by, ...given });
      const nonce = 'AbCdEfGhIjKlMnOpQrSt';
      await get({ nonce });
      await rejectsApi(get({ nonce }), { status: 401, says: /nonce/i });
      const now = Math.floor(Date.now() / 1000);
      await rejectsApi(get({ timestamp: now - 400 }), { status: 401, says: /5 minutes/ });
      await rejectsApi(get({ timestamp: now + 400 }), { status: 401, says: /5 minutes/ });
      await get({ timestamp: Date.now() });
      const posing = new ServiceAccountSigner({ privateKeyPem: file.private_key, privateKeyId: crypto.randomUUID() });
      await rejectsApi(get({ by: posing }), { status: 401, type: 'token.unauthorized_access', says: /signature invalid/ });
    });

    it('an account without the permission, or for another application, is refused', async () => {
      const reader = await freshSigner('apikey.get');
      await send({ method: 'GET', path: keys, by: reader });
      const post = send({ method: 'POST', path: keys, body: { name: 'n' }, by: reader });
      await rejectsApi(post, { status: 401, says: /apikey\.create/ });
      const other = await world.createApp({ name: 'other' });
      const foreign = `/v3/admin/applications/${other.applicationId}/api-keys`;
      await rejectsApi(send({ method: 'GET', path: foreign, by: reader }), { status: 404, type: 'api.not_found_error' });
    });

    it('an account that asks too often hears so', async () => {
      const by = await freshSigner('apikey.get');
      const asked = Array.from({ length: 80 }, () => send({ method: 'GET', path: keys, by }));
      const refused = (await Promise.allSettled(asked)).filter(({ status }) => status === 'rejected');
      assert.ok(refused.length > 0);
      for (const { reason } of refused) assert.equal(reason.statusCode, 429);
      assert.equal(refused[0].reason.type, 'api.rate_limit_error');
    });

    it('an API key proves nothing here', async () => {
      const bearer = app.nylas.apiClient.request({ method: 'GET', path: keys });
      await rejectsApi(bearer, { status: 401, type: 'token.unauthorized_access', says: /X-Nylas-Kid/ });
    });
  });
}
