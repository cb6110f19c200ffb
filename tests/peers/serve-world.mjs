// A world for tests in another language: prints one JSON line, then stays up until its input ends.
//
// A small control server beside it signs users in and mints provider tokens, because the strict provider and
// the browserless client are written in this one.
//
//     node serve-world.mjs <name> <sqlite|postgres> [bulk|mail]
//
// With `bulk`, Google and Microsoft are the provider of bulk authentication; with `mail` there is a mail server.

import { once } from 'node:events';
import http from 'node:http';
import path from 'node:path';
import { Browserless } from './harness/browserless.mjs';
import { startContoso } from './harness/bulk-provider.mjs';
import { startDovecot } from './harness/dovecot.mjs';
import { startExchange } from './harness/exchange.mjs';
import { WORLDS } from './harness/paths.mjs';
import { startWorld } from './harness/world.mjs';

const [name = 'served', database = 'sqlite', kind] = process.argv.slice(2);
const bulk = kind === 'bulk' ? await startContoso() : undefined;
const mailUser = ['ann@example.test', 'app-pass-of-ann-4'];
const mail = kind === 'mail'
  ? await startDovecot({ folder: path.join(WORLDS, `${name}-dovecot`), users: { [mailUser[0]]: mailUser[1] } })
  : undefined;
const exchange = mail && await startExchange({ ...mail, users: Object.fromEntries([mailUser]) });
const network = mail ? ['allow_private_addresses = true', `extra_certificates_file = "${mail.authority}"`] : [];
const world = await startWorld({ name, database, providers: bulk?.overrides, network });
if (mail) world.secrets.add('mail_password', mailUser[1]);
bulk?.addSecretsTo(world.secrets);
const app = await world.createApp({ name });

const actions = {
  /** {url, login, deny?} -> the parameters the application's redirect URI gets */
  '/sign-in': async ({ url, login, deny }) => {
    const { finalUrl } = await world.signIn(url, { login, deny });
    return Object.fromEntries(finalUrl.searchParams);
  },
  /** {stage, login} -> {refresh_token} */
  '/mint': async ({ stage, login }) => ({ refresh_token: await world.mint({ stage, login }) }),
  /** {permissions} -> the file of a service account for the application */
  '/service-account': async ({ permissions = [] }) => {
    const flags = permissions.flatMap((permission) => ['--permission', permission]);
    const file = await world.keyway('service-account', 'create', '--name', 'rotator', '--app', app.applicationId, '--json', ...flags);
    for (const line of file.private_key.split('\n').slice(-10, -2)) world.secrets.add('private_key', line);
    return file;
  },
  /** {api_key} -> {}: remembers a key that one answer is meant to carry */
  '/issued': async ({ api_key: key }) => {
    world.secrets.add('keyway_token', key);
    return {};
  },
  /** {url} -> the parameters the application gets back when the tenant's administrator has consented */
  '/consent': async ({ url }) => {
    const { finalUrl } = await new Browserless().travel(url, { stopAt: [app.redirectUri] });
    return Object.fromEntries(finalUrl.searchParams);
  },
  /** {name} -> an application of its own */
  '/app': async ({ name }) => {
    const { applicationId, apiKey, redirectUri } = await world.createApp({ name });
    return { application_id: applicationId, api_key: apiKey, redirect_uri: redirectUri };
  },
  /** {method, path} -> the status of the newest answer */
  '/last-status': async ({ method, path }) => ({ status: world.lastAnswer(method, path).status }),
};

const control = http.createServer(async (request, response) => {
  let raw = '';
  for await (const chunk of request) raw += chunk;
  const [status, answer] = await actions[request.url](JSON.parse(raw))
    .then((done) => [200, done], (error) => [500, { error: error.message }]);
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(answer));
});
control.listen(0, '127.0.0.1');
await once(control, 'listening');

const { clients } = world.provider;
process.stdout.write(`${JSON.stringify({
  base_url: world.baseUrl,
  server_url: world.serverUrl,
  control_url: `http://127.0.0.1:${control.address().port}`,
  api_key: app.apiKey,
  application_id: app.applicationId,
  redirect_uri: app.redirectUri,
  clients: Object.fromEntries(Object.entries(clients).map(([stage, { client_id, client_secret }]) => [
    stage, { client_id, client_secret },
  ])),
  key_file: bulk?.keyFile,
  bulk_client: bulk?.client,
  mail_host: mail?.host,
  mail_user: mail && mailUser,
})}\n`);

process.stdin.resume();
await once(process.stdin, 'end');
control.closeAllConnections();
control.close();
await world.stop();
await bulk?.close();
await exchange?.stop();
await mail?.stop();
