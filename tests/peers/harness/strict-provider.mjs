// A strict OpenID provider that stands in for Google: three client applications, mandatory PKCE (S256),
// refresh tokens that rotate at every use and a whole family that dies when a used one comes back.
//
// It is npm `oidc-provider`, a certified implementation, so what it refuses is refused for a reason in a
// standard and not because of a belief of ours. Two of Google's habits are added on top, each marked below.

import http from 'node:http';
import { once } from 'node:events';
import { randomBytes } from 'node:crypto';
import { Provider } from 'oidc-provider';
import { Secrets } from './secrets.mjs';
import { TokenRecords } from './token-records.mjs';

export const GOOGLE_EMAIL_SCOPE = 'https://www.googleapis.com/auth/userinfo.email';
export const GOOGLE_PROFILE_SCOPE = 'https://www.googleapis.com/auth/userinfo.profile';
export const GMAIL_READ_SCOPE = 'https://www.googleapis.com/auth/gmail.readonly';
export const GMAIL_SEND_SCOPE = 'https://www.googleapis.com/auth/gmail.send';

/** Where `mint` lets the provider send its code: nothing listens there, the redirect is only read. */
export const MINT_REDIRECT_URI = 'http://127.0.0.1:9/minted';

const STAGES = ['development', 'staging', 'production'];

function makeClients(redirectUris) {
  const clients = {};
  for (const stage of STAGES) {
    clients[stage] = {
      client_id: `${stage}.apps.strict.test`,
      client_secret: `strict-${stage}-${randomBytes(18).toString('base64url')}`,
      redirect_uris: [...redirectUris, MINT_REDIRECT_URI],
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      token_endpoint_auth_method: 'client_secret_post',
    };
  }
  return clients;
}

function configuration({ clients, adapter, accessTokenSeconds }) {
  const emailClaims = ['email', 'email_verified'];
  const profileClaims = ['name'];
  return {
    adapter,
    clients: Object.values(clients),
    cookies: { keys: [randomBytes(16).toString('hex')] },
    scopes: ['openid', 'offline_access', GMAIL_READ_SCOPE, GMAIL_SEND_SCOPE],
    // Google's long names of the identity scopes release the same claims as the standard ones.
    claims: {
      openid: ['sub'],
      email: emailClaims,
      profile: profileClaims,
      [GOOGLE_EMAIL_SCOPE]: emailClaims,
      [GOOGLE_PROFILE_SCOPE]: profileClaims,
    },
    // Google and Microsoft put the address into the id_token; without this it is only at userinfo.
    conformIdTokenClaims: false,
    findAccount: (_ctx, login) => ({ accountId: login, claims: async () => claimsOf(login) }),
    // The defaults rotate only late in a token's life, and issue one only with prompt=consent.
    rotateRefreshToken: () => true,
    issueRefreshToken: async (_ctx, client) => client.grantTypeAllowed('refresh_token'),
    expiresWithSession: async () => false,
    // The default tolerance of 15 s would keep a short-lived access token alive past its end.
    clockTolerance: 0,
    pkce: { required: () => true },
    ttl: {
      AccessToken: accessTokenSeconds,
      AuthorizationCode: 60,
      Grant: 86_400,
      IdToken: 3600,
      Interaction: 600,
      RefreshToken: 86_400,
      Session: 86_400,
    },
    features: {
      devInteractions: { enabled: true },
      // A client may end its own tokens only: a call with another client's name would go unheard.
      revocation: {
        enabled: true,
        allowedPolicy: (_ctx, client, token) => client.clientId === token.clientId,
      },
      userinfo: { enabled: true },
    },
  };
}

/** Any login name is a user; it is both the stable identifier and the address. */
function claimsOf(login) {
  return { sub: login, email: login, email_verified: true, name: login.split('@')[0] };
}

/** Remembers every secret that passes the token endpoint, and what was asked of it. */
function watchTokenEndpoint(provider, secrets, tokenCalls) {
  provider.use(async (ctx, next) => {
    await next();
    if (ctx.oidc?.route !== 'token') return;
    const asked = ctx.oidc.body ?? {};
    const answered = typeof ctx.body === 'object' ? ctx.body : {};
    secrets.add('pkce_verifier', asked.code_verifier);
    for (const name of ['access_token', 'refresh_token', 'id_token']) {
      secrets.add('provider_token', answered[name]);
    }
    tokenCalls.push({ grantType: asked.grant_type, clientId: asked.client_id, status: ctx.status });
  });
}

/** Google's habit 1: another application's refresh token is `unauthorized_client`, not `invalid_grant`. */
function answerForeignTokensLikeGoogle(provider) {
  provider.on('grant.error', (ctx, error) => {
    if (error.error_detail !== 'client mismatch') return;
    ctx.status = 401;
    ctx.body = { error: 'unauthorized_client', error_description: 'Unauthorized' };
  });
}

/** Google's habit 2: revocation needs only the token. The owner's credentials are filled in for such calls. */
async function readRevocation(request, records, clients) {
  let raw = '';
  for await (const chunk of request) raw += chunk;
  const form = Object.fromEntries(new URLSearchParams(raw));
  const authenticated = form.client_id || request.headers.authorization;
  const owner = Object.values(clients).find((c) => c.client_id === records.ownerOf(form.token));
  if (authenticated || !owner) return form;
  return { ...form, client_id: owner.client_id, client_secret: owner.client_secret };
}

/** Listens first and builds the provider afterwards, because the issuer contains the port. */
async function listen(makeHandler) {
  let handler;
  const server = http.createServer((request, response) => handler(request, response));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const issuer = `http://127.0.0.1:${server.address().port}`;
  handler = makeHandler(issuer);
  return { server, issuer };
}

/**
 * Starts the provider on a free loopback port.
 *
 * @param {{redirectUris: string[], accessTokenSeconds?: number}} options Keyway's callback addresses, and how
 *   long an access token lives.
 */
export async function startStrictProvider({ redirectUris, accessTokenSeconds = 60 }) {
  const clients = makeClients(redirectUris);
  const secrets = new Secrets();
  const records = new TokenRecords();
  const tokenCalls = [];
  const revocations = [];
  for (const client of Object.values(clients)) secrets.add('client_secret', client.client_secret);

  const adapter = records.adapter((kind, id) => {
    if (['AccessToken', 'AuthorizationCode', 'RefreshToken'].includes(kind)) secrets.add('provider_token', id);
  });
  const { server, issuer } = await listen((ownIssuer) => {
    const provider = new Provider(ownIssuer, configuration({ clients, adapter, accessTokenSeconds }));
    watchTokenEndpoint(provider, secrets, tokenCalls);
    answerForeignTokensLikeGoogle(provider);
    const callback = provider.callback();
    return async (request, response) => {
      if (request.method === 'POST' && request.url === '/token/revocation') {
        // oidc-provider accepts a body that was parsed before it.
        request.body = await readRevocation(request, records, clients);
        revocations.push({ token: request.body.token, clientId: request.body.client_id });
      }
      callback(request, response);
    };
  });

  return {
    issuer,
    clients,
    secrets,
    /** Every call of the token endpoint: grant type, client and status. */
    tokenCalls,
    /** Every call of the revocation endpoint. */
    revocations,
    liveRefreshTokens: (login, clientId) => records.liveRefreshTokens(login, clientId),
    close: () => new Promise((done) => {
      server.closeAllConnections();
      server.close(done);
    }),
  };
}
