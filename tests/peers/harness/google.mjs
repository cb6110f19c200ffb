// The set-up the issue is about: one google connector with three provider applications behind it.

import { SCOPES } from './world.mjs';

const settingsOf = ({ client_id: clientId, client_secret: clientSecret }) => ({ clientId, clientSecret });

/** Creates the connector with the development application, then the other two as credentials. */
export async function connectGoogle(world, app) {
  const { clients } = world.provider;
  const connector = await app.nylas.connectors.create({
    requestBody: {
      provider: 'google',
      name: 'Google',
      settings: settingsOf(clients.development),
      scope: SCOPES,
    },
  });
  const credentials = { development: connector.data.activeCredentialId };
  for (const stage of ['staging', 'production']) {
    const credential = await app.nylas.connectors.credentials.create({
      provider: 'google',
      requestBody: { name: stage, credentialType: 'connector', credentialData: settingsOf(clients[stage]) },
    });
    credentials[stage] = credential.data.id;
  }
  return credentials;
}

/** Goes through the provider up to the code, as the user's browser does. */
export function authorize(world, app, { login, credentialId, deny, ...options }) {
  const url = app.nylas.auth.urlForOAuth2({
    clientId: app.clientId,
    redirectUri: app.redirectUri,
    provider: 'google',
    accessType: 'offline',
    credentialId,
    ...options,
  });
  return world.signIn(url, { login, deny });
}

/** A whole hosted sign-in, exchange included. */
export async function hosted(world, app, options) {
  const { code } = await authorize(world, app, options);
  return app.nylas.auth.exchangeCodeForToken({ clientId: app.clientId, redirectUri: app.redirectUri, code });
}

/** Bring-your-own authentication with a token minted by one of the provider's applications. */
export async function bringYourOwn(world, app, { login, stage, credentialId }) {
  const refreshToken = await world.mint({ stage, login });
  return app.nylas.auth.customAuthentication({
    requestBody: { provider: 'google', settings: { refreshToken, credentialId } },
  });
}

export async function grantOf(app, grantId) {
  return (await app.nylas.grants.find({ grantId })).data;
}
