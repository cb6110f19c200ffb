// A provider for bulk authentication that believes nothing: it verifies a service account's RS256 assertion
// with the public key alone (RFC 7523, 3), gives an application its own token only in a tenant whose administrator has
// consented, and has a directory of users. Made of Node's own crypto; no code of Keyway's is in it.

import { createVerify, generateKeyPairSync, randomBytes, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import http from 'node:http';

const ASSERTION_SECONDS_MAX = 3600;
const SKEW_SECONDS = 300;
const JWT_BEARER = 'urn:ietf:params:oauth:grant-type:jwt-bearer';

class Refusal extends Error {
  constructor(error, description, status = 400) {
    super(description);
    Object.assign(this, { body: { error, error_description: description }, status });
  }
}

export const MAIL = 'https://www.googleapis.com/auth/gmail.readonly';
export const CONTOSO = 'c0a80101-0000-4000-8000-000000000001';

const decoded = (part) => JSON.parse(Buffer.from(part, 'base64url').toString());

/** The provider of the tests: two tenants, of which the administrator is one of the first. */
export const startContoso = () => startBulkProvider({
  clientId: 'bulk-app',
  clientSecret: 'bulk-secret-of-the-peer',
  domains: { 'contoso.test': CONTOSO, 'fabrikam.test': 'c0a80101-0000-4000-8000-000000000002' },
  delegated: [MAIL],
});

/** A provider on loopback. `delegated` are the scopes its service account may ask for. */
export async function startBulkProvider({ clientId, clientSecret, domains, delegated }) {
  const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const robot = 'robot@project.iam.gserviceaccount.com';
  const keyId = randomBytes(20).toString('hex');
  const consented = new Set();
  const tokens = new Map();
  const users = new Map();
  const seen = { assertions: [], clientCredentials: [], consents: [], calls: [] };
  let origin;

  const tenantOf = (name) => Object.entries(domains).find(([domain, id]) => domain === name || id === name)?.[1];
  const userOf = (address) => {
    const tenant = tenantOf(address.split('@')[1]);
    if (!tenant || address.startsWith('nobody@')) return undefined;
    if (!users.has(address)) users.set(address, { id: randomUUID(), tenant, address });
    return users.get(address);
  };

  const issue = (facts) => {
    const token = randomBytes(24).toString('base64url');
    tokens.set(token, facts);
    return { access_token: token, token_type: 'Bearer', expires_in: 3600 };
  };

  const byAssertion = (form) => {
    const [head, claims, signature, ...rest] = (form.get('assertion') ?? '').split('.');
    if (!signature || rest.length) throw new Refusal('invalid_grant', 'Invalid JWT');
    const { alg, kid, typ } = decoded(head);
    if (alg !== 'RS256' || typ !== 'JWT' || kid !== keyId) throw new Refusal('invalid_grant', 'Invalid JWT: header');
    const isSigned = createVerify('RSA-SHA256').update(`${head}.${claims}`).verify(publicKey, signature, 'base64url');
    if (!isSigned) throw new Refusal('invalid_grant', 'Invalid JWT Signature.');
    const { iss, sub, aud, scope, iat, exp } = decoded(claims);
    seen.assertions.push({ iss, sub, aud, scope, iat, exp });
    const now = Date.now() / 1000;
    if (iss !== robot || aud !== `${origin}/token`) throw new Refusal('invalid_grant', 'Invalid JWT: iss or aud');
    if (exp - iat > ASSERTION_SECONDS_MAX || exp < now || iat > now + SKEW_SECONDS) {
      throw new Refusal('invalid_grant', 'Invalid JWT: Token must be a short-lived token (60 minutes)');
    }
    if (form.has('client_id') || form.has('client_secret')) throw new Refusal('invalid_request', 'too much proof');
    const asked = scope.split(' ');
    if (!asked.every((one) => delegated.includes(one))) throw new Refusal('unauthorized_client', 'not delegated', 401);
    if (sub && !userOf(sub)) throw new Refusal('invalid_grant', 'Invalid email or User ID');
    return issue({ user: sub, scope: asked });
  };

  const byClient = (form, tenantName) => {
    seen.clientCredentials.push(tenantName);
    if (form.get('client_id') !== clientId || form.get('client_secret') !== clientSecret) {
      throw new Refusal('invalid_client', 'AADSTS7000215: Invalid client secret provided.', 401);
    }
    const tenant = tenantOf(tenantName);
    if (!tenant) throw new Refusal('invalid_request', `AADSTS90002: Tenant '${tenantName}' not found.`);
    if (form.get('scope') !== 'https://graph.microsoft.com/.default') throw new Refusal('invalid_scope', 'AADSTS70011');
    if (!consented.has(tenant)) throw new Refusal('unauthorized_client', 'AADSTS700016: not found in the directory');
    return issue({ tenant });
  };

  const consent = (url, name, response) => {
    seen.consents.push(url.href);
    const tenant = tenantOf(name) ?? Object.values(domains)[0];
    consented.add(tenant);
    const back = new URL(url.searchParams.get('redirect_uri'));
    back.searchParams.set('admin_consent', 'True');
    back.searchParams.set('tenant', tenant);
    back.searchParams.set('state', url.searchParams.get('state'));
    response.writeHead(302, { location: back.href }).end();
  };

  const api = (request, url) => {
    const bearer = tokens.get((request.headers.authorization ?? '').replace(/^Bearer /, ''));
    if (!bearer) throw new Refusal('InvalidAuthenticationToken', 'no such token', 401);
    seen.calls.push({ path: url.pathname, ...bearer });
    const [, version, collection, name, ...rest] = url.pathname.split('/').map(decodeURIComponent);
    if (bearer.user) return { user: bearer.user, path: url.pathname };
    if (version !== 'v1.0' || collection !== 'users') throw new Refusal('BadRequest', 'an application has no /me');
    const user = [...users.values()].find((u) => u.id === name) ?? (name?.includes('@') ? userOf(name) : undefined);
    if (!name) return { value: [] };
    if (!user || user.tenant !== bearer.tenant) throw new Refusal('Request_ResourceNotFound', 'no such user', 404);
    return rest.length ? { user: user.address, rest } : { id: user.id, displayName: user.address };
  };

  const answer = async (request, response) => {
    const url = new URL(request.url, origin);
    let raw = '';
    for await (const chunk of request) raw += chunk;
    const form = new URLSearchParams(raw);
    const [, first, second] = url.pathname.split('/');
    if (url.pathname.endsWith('/adminconsent')) return consent(url, first, response);
    let body;
    if (url.pathname === '/token' && form.get('grant_type') === JWT_BEARER) body = byAssertion(form);
    else if (second === 'token') body = byClient(form, first);
    else if (url.pathname.endsWith('/.well-known/openid-configuration')) {
      if (!tenantOf(first)) throw new Refusal('invalid_tenant', 'AADSTS90002');
      body = { issuer: `${origin}/${tenantOf(first)}/v2.0` };
    } else body = api(request, url);
    return response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body));
  };

  const server = http.createServer((request, response) => {
    answer(request, response).catch((error) => {
      const status = error.status ?? 500;
      response.writeHead(status, { 'content-type': 'application/json' })
        .end(JSON.stringify(error.body ?? { error: 'server_error', error_description: error.message }));
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  origin = `http://127.0.0.1:${server.address().port}`;
  return {
    seen,
    client: { client_id: clientId, client_secret: clientSecret },
    addSecretsTo(secrets) {
      for (const line of this.keyFile.private_key.split('\n').slice(-10, -2)) secrets.add('private_key', line);
      secrets.add('client_secret', clientSecret);
    },
    keyFile: {
      type: 'service_account',
      project_id: 'project',
      private_key_id: keyId,
      private_key: privateKey.export({ type: 'pkcs8', format: 'pem' }),
      client_email: robot,
      client_id: '100000000000000000001',
      token_uri: 'https://elsewhere.example/token',
    },
    overrides: {
      google: { token_endpoint: `${origin}/token`, api_base_url: origin },
      microsoft: {
        issuer: `${origin}/{tenant}/v2.0`,
        token_endpoint: `${origin}/{tenant}/token`,
        admin_consent_endpoint: `${origin}/{tenant}/v2.0/adminconsent`,
        admin_consent_v1_endpoint: `${origin}/{tenant}/adminconsent`,
        api_base_url: origin,
      },
    },
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}
