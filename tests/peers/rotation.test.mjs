// Minutes of load on a provider whose refresh tokens work once, and which ends the whole family when one comes
// twice: not one grant may be lost. Access tokens live for seconds, and every call is checked by the provider.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { DATABASES } from './harness/database.mjs';
import { bringYourOwn, connectGoogle, grantOf } from './harness/google.mjs';
import { startWorld } from './harness/world.mjs';

const SECONDS = { sqlite: Number(process.env.KEYWAY_SOAK_SECONDS ?? 60), postgres: Number(process.env.KEYWAY_SOAK_SECONDS ?? 120) };
const LIFE_SECONDS = 3;
const STAGES = ['development', 'staging', 'production'];
const GRANTS = 12;
const CALLERS = 6;

for (const database of DATABASES) {
  describe(`rotation on ${database}`, () => {
    let world;
    let app;
    let servers;
    const grants = [];

    before(async () => {
      world = await startWorld({ name: 'rotation', database, accessTokenSeconds: LIFE_SECONDS });
      servers = [world.serverUrl];
      if (database === 'postgres') servers.push(await world.replica());
      app = await world.createApp({ name: 'Rotation' });
      const credentials = await connectGoogle(world, app);
      for (let n = 0; n < GRANTS; n += 1) {
        const stage = STAGES[n % STAGES.length];
        const login = `rotation-${n}@example.com`;
        const { data } = await bringYourOwn(world, app, { login, stage, credentialId: credentials[stage] });
        grants.push({ id: data.id, login, stage });
      }
    });
    after(() => world?.stop());

    /** Calls for random grants until the end, as the provider's own userinfo answers. */
    async function caller(until, seen) {
      while (Date.now() < until) {
        const grant = grants[Math.floor(Math.random() * grants.length)];
        const server = servers[Math.floor(Math.random() * servers.length)];
        const answer = await fetch(`${server}/v3/grants/${grant.id}/proxy/me`, {
          headers: { authorization: `Bearer ${app.apiKey}` },
        });
        const body = await answer.json();
        seen.calls += 1;
        if (answer.status !== 200 || body.email !== grant.login) seen.wrong.push({ grant, status: answer.status, body });
        await sleep(5);
      }
    }

    it(`no grant is lost in ${SECONDS[database]} s of calls`, async (t) => {
      const seen = { calls: 0, wrong: [] };
      const until = Date.now() + SECONDS[database] * 1000;
      await Promise.all(Array.from({ length: CALLERS }, () => caller(until, seen)));
      assert.deepEqual(seen.wrong.slice(0, 3), []);
      for (const grant of grants) {
        assert.equal((await grantOf(app, grant.id)).grantStatus, 'valid', grant.login);
        const live = world.provider.liveRefreshTokens(grant.login, world.provider.clients[grant.stage].client_id);
        assert.equal(live.length, 1, `${grant.login} has one live refresh token`);
      }
      const rotated = world.provider.tokenCalls.filter((call) => call.grantType === 'refresh_token' && call.status === 200).length;
      t.diagnostic(`${seen.calls} calls, ${rotated} rotations of ${GRANTS} grants`);
      assert.ok(rotated > (GRANTS * SECONDS[database]) / (2 * LIFE_SECONDS), `only ${rotated} rotations`);
    });
  });
}
