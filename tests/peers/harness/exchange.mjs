// A stand-in for an Exchange server, beside a Dovecot and with its certificate: it asks for a password by Basic
// authentication and opens the inbox of whoever has it. No real Exchange was there to test against.

import { readFileSync } from 'node:fs';
import { once } from 'node:events';
import https from 'node:https';
import path from 'node:path';

const MESSAGES = 'http://schemas.microsoft.com/exchange/services/2006/messages';
const OPENED = `<?xml version="1.0" encoding="utf-8"?>
<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><m:GetFolderResponse xmlns:m="${MESSAGES}">
<m:ResponseMessages><m:GetFolderResponseMessage ResponseClass="Success"><m:ResponseCode>NoError</m:ResponseCode>
</m:GetFolderResponseMessage></m:ResponseMessages></m:GetFolderResponse></s:Body></s:Envelope>`;

/** One pixel. */
const ICON = Buffer.from(
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==', 'base64',
);

/** Starts one on port 443 of `host`, for `users`, an object of passwords by name. */
export async function startExchange({ host, folder, users }) {
  const read = (name) => readFileSync(path.join(folder, name));
  const server = https.createServer({ cert: read('cert.pem'), key: read('key.pem') }, async (request, response) => {
    let body = '';
    for await (const chunk of request) body += chunk;
    const [name, password] = Buffer.from(request.headers.authorization?.slice(6) ?? '', 'base64').toString().split(':');
    if (request.url === '/icon.png') {
      response.writeHead(200, { 'content-type': 'image/png' }).end(ICON);
    } else if (password === undefined || users[name] !== password) {
      response.writeHead(401, { 'www-authenticate': 'Basic realm="mail.test"' }).end();
    } else if (request.url === '/EWS/Exchange.asmx' && request.method === 'POST' && body.includes('GetFolder')) {
      response.writeHead(200, { 'content-type': 'text/xml; charset=utf-8' }).end(OPENED);
    } else {
      response.writeHead(405).end();
    }
  });
  server.listen(443, host);
  await once(server, 'listening');
  return {
    stop: () => new Promise((done) => {
      server.closeAllConnections();
      server.close(done);
    }),
  };
}
