// A loopback proxy in front of Keyway that writes down every request with its answer.
//
// Node, Python and the browser all pass through it, so one recording serves the checks of status codes, of the
// API description, and of secrets. Keyway's public address is this proxy's.

import { appendFileSync } from 'node:fs';
import { once } from 'node:events';
import http from 'node:http';

/** @param {{file: string, secrets: import('./secrets.mjs').Secrets}} options */
export async function startRecorder({ file, secrets }) {
  const answers = [];
  let targetPort;
  const agent = new http.Agent({ keepAlive: true });

  const server = http.createServer(async (request, response) => {
    try {
      const body = await collect(request);
      const upstream = await forward({ request, body, targetPort, agent });
      const answerBody = await collect(upstream);
      const exchange = describe({ request, body, upstream, answerBody });
      rememberSecrets(exchange, secrets);
      answers.push(exchange);
      appendFileSync(file, `${JSON.stringify(exchange)}\n`);
      response.writeHead(upstream.statusCode, upstream.rawHeaders);
      response.end(answerBody);
    } catch (error) {
      response.writeHead(502, { 'content-type': 'text/plain' });
      response.end(`the recorder could not reach Keyway: ${error.message}`);
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');

  return {
    url: `http://127.0.0.1:${server.address().port}`,
    forwardTo(port) {
      targetPort = port;
    },
    /** The newest answer to a method and path. */
    last(method, path) {
      const found = answers.findLast((a) => a.request.method === method && a.request.path === path);
      if (!found) throw new Error(`nothing recorded for ${method} ${path}`);
      return found.response;
    },
    close: () => new Promise((done) => {
      agent.destroy();
      server.closeAllConnections();
      server.close(done);
    }),
  };
}

async function collect(stream) {
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks);
}

async function forward({ request, body, targetPort, agent }) {
  // Without this header no answer is compressed, and the recording can be read and searched.
  delete request.headers['accept-encoding'];
  const outgoing = http.request({
    host: '127.0.0.1',
    port: targetPort,
    method: request.method,
    path: request.url,
    headers: request.headers,
    agent,
  });
  outgoing.end(body);
  const [upstream] = await once(outgoing, 'response');
  return upstream;
}

function describe({ request, body, upstream, answerBody }) {
  const url = new URL(request.url, 'http://recorded');
  return {
    request: {
      method: request.method,
      path: url.pathname,
      query: url.search,
      contentType: request.headers['content-type'] ?? null,
      body: body.toString('utf8'),
    },
    response: {
      status: upstream.statusCode,
      headers: upstream.headers,
      body: answerBody.toString('utf8'),
    },
  };
}

const SECRET_MEMBERS = ['client_secret', 'private_key', 'refresh_token', 'password', 'imap_password'];

function rememberSecrets({ request, response }, secrets) {
  const asked = parseBody(request);
  if (request.path === '/v3/connect/token') {
    // First the answer: a Keyway refresh token that is shown again in a request stays a Keyway token.
    const answered = parseJson(response.body);
    for (const name of ['access_token', 'refresh_token', 'id_token']) secrets.add('keyway_token', answered[name]);
    secrets.add('pkce_verifier', asked.code_verifier);
    secrets.add('code', asked.code);
    secrets.add('api_key', asked.client_secret);
  } else {
    for (const part of [asked, asked.settings, asked.credential_data]) {
      for (const name of SECRET_MEMBERS) secrets.add(name, part?.[name]);
    }
  }
  const location = response.headers.location && new URL(response.headers.location, 'http://recorded');
  if (location && request.path === '/v3/connect/auth') secrets.add('state', location.searchParams.get('state'));
  if (location && request.path === '/v3/connect/callback') secrets.add('code', location.searchParams.get('code'));
}

function parseBody({ contentType, body }) {
  if (contentType?.startsWith('application/x-www-form-urlencoded')) {
    return Object.fromEntries(new URLSearchParams(body));
  }
  return parseJson(body);
}

function parseJson(text) {
  try {
    return JSON.parse(text) ?? {};
  } catch {
    return {};
  }
}
