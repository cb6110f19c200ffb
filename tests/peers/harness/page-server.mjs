// The pages of a small single-page application, on a loopback origin of its own.

import { readFileSync } from 'node:fs';
import { once } from 'node:events';
import http from 'node:http';
import { fileURLToPath } from 'node:url';

const SCRIPTS = {
  '/connect.js': readFileSync(fileURLToPath(import.meta.resolve('@nylas/connect'))),
  '/identity.js': readFileSync(new URL('../node_modules/@nylas/identity/dist/nylas-identity.es.js', import.meta.url)),
};

const PAGE = `<!doctype html><meta charset="utf-8"><title>peer test</title>
<script type="module">
  import { NylasConnect } from '/connect.js';
  import { NylasSessions } from '/identity.js';
  window.makeConnect = (config) => new NylasConnect(config);
  window.makeIdentity = (config) => new NylasSessions(config);
  document.title = 'ready';
</script>`;

export async function startPageServer() {
  const server = http.createServer((request, response) => {
    const { pathname } = new URL(request.url, 'http://page');
    if (SCRIPTS[pathname]) {
      response.writeHead(200, { 'content-type': 'text/javascript' }).end(SCRIPTS[pathname]);
    } else if (pathname === '/favicon.ico') {
      response.writeHead(404).end();
    } else {
      response.writeHead(200, { 'content-type': 'text/html' }).end(PAGE);
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    origin: `http://127.0.0.1:${server.address().port}`,
    close: () => new Promise((done) => {
      server.closeAllConnections();
      server.close(done);
    }),
  };
}
