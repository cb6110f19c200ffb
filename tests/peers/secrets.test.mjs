// Runs last: looks through what all worlds of this run left behind for the secrets they used (rule 7).

import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { RECORDED, WORLDS } from './harness/paths.mjs';

const left = existsSync(WORLDS) ? readdirSync(WORLDS) : [];
const worlds = left.filter((world) => existsSync(path.join(WORLDS, world, 'secrets.json')));

/** A redirect exists to carry these two; in a body or anywhere else they are a leak. */
const MEANT_FOR_REDIRECTS = new Set(['code', 'state']);
/** Answers to forms lead on by their body and not by a redirect. */
const LEADS_ON = /^(GET \/v3\/connect\/auth|POST \/v3\/connect\/login(\/imap|\/ews)?)$/;

describe('secrets', () => {
  it('there are worlds to look through', () => assert.ok(worlds.length > 0, `nothing in ${WORLDS}`));

  for (const world of worlds) {
    const folder = path.join(WORLDS, world);
    const secrets = JSON.parse(readFileSync(path.join(folder, 'secrets.json')));

    it(`${world}: none of ${secrets.length} secrets is in its database`, () => {
      const files = databaseFiles(folder);
      assert.ok(files.length > 0, 'a world leaves its database behind');
      for (const file of files) assertFree(readFileSync(file, 'latin1'), secrets, path.basename(file));
    });

    it(`${world}: none is in its log`, () => {
      assertFree(readFileSync(path.join(folder, 'server.log'), 'latin1'), secrets, 'server.log');
    });

    it(`${world}: none is in an answer that is not meant to carry it`, () => {
      const recording = path.join(RECORDED, `${world}.jsonl`);
      if (!existsSync(recording)) return;
      for (const line of readFileSync(recording, 'utf8').split('\n').filter(Boolean)) {
        const { request, response } = JSON.parse(line);
        const where = `${request.method} ${request.path}`;
        const meant = (kind) => kind === 'keyway_token' || (LEADS_ON.test(where) && MEANT_FOR_REDIRECTS.has(kind));
        assertFree(response.body, secrets.filter(({ kind }) => !meant(kind)), `the body of ${where}`);
        assertFree(headersOf(response), secrets.filter(({ kind }) => !MEANT_FOR_REDIRECTS.has(kind)), where);
      }
    });
  }
});

function headersOf({ headers }) {
  return Object.entries(headers).map(([name, value]) => `${name}: ${value}`).join('\n');
}

function databaseFiles(folder) {
  const data = path.join(folder, 'data');
  const inData = readdirSync(data, { recursive: true })
    .map((name) => path.join(data, name))
    .filter((file) => statSync(file).isFile() && path.basename(file) !== 'master.key');
  const dump = path.join(folder, 'database.sql');
  return existsSync(dump) ? [...inData, dump] : inData;
}

/** Fails naming the kind of secret and the place, never the secret. */
function assertFree(text, secrets, where) {
  for (const { kind, value } of secrets) {
    for (const [form, spelled] of Object.entries(spellings(value))) {
      assert.ok(!text.includes(spelled), `a ${kind} is in ${where} (${form})`);
    }
  }
}

/** How a careless program might have written it: plain, for a URL, or as bytes in a dump. */
function spellings(value) {
  const bytes = Buffer.from(value);
  return {
    plain: value,
    'percent-encoded': encodeURIComponent(value),
    hex: bytes.toString('hex'),
    // Up to the last full group, so that what follows the secret does not change its spelling.
    base64: bytes.subarray(0, bytes.length - (bytes.length % 3)).toString('base64'),
  };
}
