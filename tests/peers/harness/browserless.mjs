// A browser without a screen: cookies, redirects, and the provider's two forms.

import { createHash, randomBytes } from 'node:crypto';
import { MINT_REDIRECT_URI } from './strict-provider.mjs';

const REDIRECTS_MAX = 20;

/** Cookies by host and port, sent back on a matching path. Ports matter: every peer is 127.0.0.1. */
class CookieJar {
  #cookies = new Map();

  remember(url, response) {
    for (const line of response.headers.getSetCookie()) {
      const [pair, ...attributes] = line.split(';').map((part) => part.trim());
      const [name, ...value] = pair.split('=');
      const path = attributes.find((a) => /^path=/i.test(a))?.slice(5) || '/';
      const gone = attributes.some((a) => /^max-age=0$/i.test(a) || /^expires=Thu, 01 Jan 1970/i.test(a));
      const key = `${url.host} ${path} ${name}`;
      if (gone) this.#cookies.delete(key);
      else this.#cookies.set(key, { host: url.host, path, pair: `${name}=${value.join('=')}` });
    }
  }

  header(url) {
    return [...this.#cookies.values()]
      .filter((c) => c.host === url.host && pathMatches(url.pathname, c.path))
      .map((c) => c.pair)
      .join('; ');
  }
}

/** RFC 6265, section 5.1.4. */
function pathMatches(path, cookiePath) {
  if (!path.startsWith(cookiePath)) return false;
  return path.length === cookiePath.length || cookiePath.endsWith('/') || path[cookiePath.length] === '/';
}

export class Browserless {
  #jar = new CookieJar();
  /** Addresses requested so far, oldest first. */
  visited = [];

  /** One request; redirects are left to the caller. A `form` makes it a POST. */
  async request(address, form) {
    const url = new URL(address);
    this.visited.push(url.href);
    const headers = { accept: 'text/html', 'user-agent': 'KeywayPeerTests/1.0' };
    const cookie = this.#jar.header(url);
    if (cookie) headers.cookie = cookie;
    const body = form && new URLSearchParams(form);
    const response = await fetch(url, { method: form ? 'POST' : 'GET', headers, body, redirect: 'manual' });
    this.#jar.remember(url, response);
    return response;
  }

  /**
   * Follows redirects and fills the provider's forms until `stopAt` would be requested.
   *
   * @returns {Promise<{finalUrl?: URL, response?: Response, body?: string}>} the address the user would land on,
   *   or the page that ended the journey.
   */
  async travel(start, { login, stopAt, deny = false }) {
    let address = start;
    let form;
    for (let step = 0; step < REDIRECTS_MAX; step += 1) {
      const response = await this.request(address, form);
      form = undefined;
      const location = response.headers.get('location');
      const body = await response.text();
      if (location) {
        address = new URL(location, address).href;
        if (stopAt.some((prefix) => address.startsWith(prefix))) return { finalUrl: new URL(address) };
        continue;
      }
      const next = nextForm(address, body, { login, deny });
      if (!next) return { response, body };
      ({ address, form } = next);
    }
    throw new Error(`more than ${REDIRECTS_MAX} steps from ${start}`);
  }
}

/** What a person would do on the provider's page, or nothing if the page is not one of its forms. */
function nextForm(address, body, { login, deny }) {
  const url = new URL(address);
  if (!url.pathname.startsWith('/interaction/')) return undefined;
  if (deny && body.includes('value="consent"')) return { address: `${address}/abort` };
  const form = body.includes('name="login"')
    ? { prompt: 'login', login, password: 'not-checked' }
    : { prompt: 'consent' };
  return { address, form };
}

/**
 * Runs a whole sign-in in a fresh browser and answers what the application sees.
 *
 * @returns the parameters on the application's redirect URI, and the browser for a closer look.
 */
export async function signIn(authUrl, { login, deny = false }) {
  const browser = new Browserless();
  const redirectUri = new URL(authUrl).searchParams.get('redirect_uri');
  const journey = await browser.travel(authUrl, { login, deny, stopAt: [redirectUri] });
  if (!journey.finalUrl) {
    throw new Error(`the sign-in ended on a page (${journey.response.status}): ${journey.body.slice(0, 600)}`);
  }
  return { ...Object.fromEntries(journey.finalUrl.searchParams), finalUrl: journey.finalUrl, browser };
}

/** Gets a refresh token straight from the provider, as an application that brings its own would. */
export async function mintRefreshToken(provider, { stage, login, scope }) {
  const client = provider.clients[stage];
  const verifier = randomBytes(32).toString('base64url');
  const query = new URLSearchParams({
    client_id: client.client_id,
    redirect_uri: MINT_REDIRECT_URI,
    response_type: 'code',
    scope: scope.join(' '),
    code_challenge: createHash('sha256').update(verifier).digest('base64url'),
    code_challenge_method: 'S256',
    state: 'mint',
  });
  const { code } = await signIn(`${provider.issuer}/auth?${query}`, { login });
  const answer = await fetch(`${provider.issuer}/token`, {
    method: 'POST',
    body: new URLSearchParams({
      grant_type: 'authorization_code',
      client_id: client.client_id,
      client_secret: client.client_secret,
      redirect_uri: MINT_REDIRECT_URI,
      code,
      code_verifier: verifier,
    }),
  });
  const tokens = await answer.json();
  if (!answer.ok) throw new Error(`minting failed: ${JSON.stringify(tokens)}`);
  return tokens.refresh_token;
}
