// One small world per test suite: a strict provider, a Keyway server on a fresh database, and the recorder
// between Keyway and everybody else. Everything listens on loopback and ends with `world.stop()`.

import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import Nylas from 'nylas';
import { mintRefreshToken, signIn } from './browserless.mjs';
import { createDatabase } from './database.mjs';
import { freePort, runKeyway, serveKeyway } from './keyway.mjs';
import { RECORDED, WORLDS } from './paths.mjs';
import { startRecorder } from './recorder.mjs';
import {
  GMAIL_READ_SCOPE, GOOGLE_EMAIL_SCOPE, GOOGLE_PROFILE_SCOPE, startStrictProvider,
} from './strict-provider.mjs';
import { Secrets } from './secrets.mjs';

/** What the connectors of the tests ask for, and what bring-your-own tokens are minted with. */
export const SCOPES = ['openid', GOOGLE_EMAIL_SCOPE, GOOGLE_PROFILE_SCOPE, GMAIL_READ_SCOPE];

const PROVIDERS_BY_OAUTH = ['google', 'microsoft', 'yahoo', 'zoom'];

/** A configuration in which no provider is the real one, so that no test can ever call out. */
function configurationFile(issuer, overrides, network) {
  const strict = {
    issuer,
    authorization_endpoint: `${issuer}/auth`,
    token_endpoint: `${issuer}/token`,
    revocation_endpoint: `${issuer}/token/revocation`,
    userinfo_endpoint: `${issuer}/me`,
    jwks_uri: `${issuer}/jwks`,
    api_base_url: issuer,
  };
  const sections = PROVIDERS_BY_OAUTH.map((provider) => {
    const endpoints = Object.entries({ ...strict, ...overrides[provider] });
    return [`[providers.${provider}]`, ...endpoints.map(([name, url]) => `${name} = "${url}"`), ''].join('\n');
  });
  return ['[network]', 'look_up_mail_exchangers = false', ...network, '', ...sections].join('\n');
}

/**
 * Starts a world.
 *
 * `providers` are endpoints of other stand-ins than the strict provider, by provider; `network` are lines of the
 * configuration's table of that name.
 *
 * @param {{name: string, database?: 'sqlite' | 'postgres', accessTokenSeconds?: number, providers?: object, network?: string[]}} options
 */
export async function startWorld({ name, database: kind = 'sqlite', accessTokenSeconds, providers = {}, network = [] }) {
  const label = `${name}-${kind}`;
  const folder = path.join(WORLDS, label);
  const recording = path.join(RECORDED, `${label}.jsonl`);
  rmSync(folder, { recursive: true, force: true });
  rmSync(recording, { force: true });
  mkdirSync(path.join(folder, 'data'), { recursive: true });
  mkdirSync(RECORDED, { recursive: true });

  const secrets = new Secrets();
  const recorder = await startRecorder({ file: recording, secrets });
  const provider = await startStrictProvider({
    redirectUris: [`${recorder.url}/v3/connect/callback`],
    accessTokenSeconds,
  });
  const database = createDatabase(kind, name, folder);
  const port = await freePort();
  recorder.forwardTo(port);
  const settings = {
    KEYWAY_CONFIG: path.join(folder, 'keyway.toml'),
    KEYWAY_DATABASE: database.url,
    KEYWAY_DATA_DIR: path.join(folder, 'data'),
    KEYWAY_LISTEN: `127.0.0.1:${port}`,
    KEYWAY_PUBLIC_URL: recorder.url,
  };
  writeFileSync(settings.KEYWAY_CONFIG, configurationFile(provider.issuer, providers, network));

  let server;
  const replicas = [];
  const stopPeers = async () => {
    await provider.close();
    await recorder.close();
    const used = [...secrets.entries(), ...provider.secrets.entries()];
    writeFileSync(path.join(folder, 'secrets.json'), JSON.stringify(used));
    database.keepRemains();
  };
  try {
    server = await serveKeyway(settings, path.join(folder, 'server.log'));
  } catch (error) {
    await stopPeers();
    throw error;
  }

  return {
    label,
    folder,
    provider,
    secrets,
    baseUrl: recorder.url,
    /** The server itself, past the recorder. */
    serverUrl: `http://127.0.0.1:${port}`,
    /** Starts one more server on the same database; its URL. */
    async replica() {
      const own = `127.0.0.1:${await freePort()}`;
      const log = path.join(folder, `replica-${replicas.length + 1}.log`);
      replicas.push(await serveKeyway({ ...settings, KEYWAY_LISTEN: own }, log));
      return `http://${own}`;
    },
    /** The newest recorded answer to a method and path. */
    lastAnswer: (method, route) => recorder.last(method, route),
    /** Runs a command beside the server. */
    keyway: (...args) => runKeyway(settings, args),
    createApp: (options) => createApp({ settings, recorder, secrets, ...options }),
    signIn: (authUrl, options) => signIn(authUrl, options),
    mint: ({ scope = SCOPES, ...options }) => mintRefreshToken(provider, { scope, ...options }),
    async stop() {
      try {
        for (const one of [server, ...replicas]) await one.stop();
      } finally {
        await stopPeers();
      }
    },
  };
}

/** Creates an application by the command line and answers it with an official SDK client for its key. */
async function createApp({ settings, recorder, secrets, name = 'peer tests', redirectUri, platform, origin }) {
  const uri = redirectUri ?? 'http://localhost:3000/callback';
  const args = ['app', 'create', '--name', name, '--redirect-uri', uri, '--json'];
  if (platform) args.push('--platform', platform);
  if (origin) args.push('--origin', origin);
  const created = await runKeyway(settings, args);
  secrets.add('api_key', created.api_key);
  return {
    created,
    applicationId: created.application_id,
    clientId: created.client_id,
    apiKey: created.api_key,
    redirectUri: uri,
    nylas: new Nylas({ apiKey: created.api_key, apiUri: recorder.url, timeout: 30 }),
  };
}
