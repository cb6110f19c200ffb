// How the official Node SDK must report a refusal: complete, in the shape of the endpoint.

import assert from 'node:assert/strict';
import { NylasApiError, NylasOAuthError } from 'nylas';

/** An error of an ordinary endpoint: a dotted type, words, and the request id of the header. */
export async function rejectsApi(promise, { status, type, says }) {
  const error = await caught(promise);
  assert.ok(error instanceof NylasApiError, `expected an API error, got ${error}`);
  assert.equal(error.statusCode, status, error.message);
  if (type) assert.equal(error.type, type, error.message);
  assert.match(error.type, /^[a-z_]+\.[a-z_]+$/, 'error types are dotted');
  assert.ok(error.message.length > 0, 'an error has words');
  assert.ok(error.requestId, 'x-request-id must be sent with every error');
  if (says) assert.match(error.message, says);
  return error;
}

/** An error of the three OAuth endpoints: all four members, error_code an integer, status always 400. */
export async function rejectsOAuth(promise, { error: name, code = 400, says }) {
  const error = await caught(promise);
  assert.ok(error instanceof NylasOAuthError, `expected an OAuth error, got ${error}`);
  assert.equal(error.statusCode, 400);
  assert.equal(error.error, name, error.errorDescription);
  assert.equal(error.errorCode, code);
  assert.ok(error.errorDescription.length > 0, 'error_description must be there');
  assert.ok(error.errorUri.length > 0, 'error_uri must be there');
  if (says) assert.match(error.errorDescription, says);
  return error;
}

async function caught(promise) {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  throw new assert.AssertionError({ message: 'the call was accepted, a refusal was expected' });
}
