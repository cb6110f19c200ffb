// Where the strict provider keeps what it has issued.
//
// oidc-provider's own memory adapter holds 1,000 records in all and then silently forgets tokens, which
// would look like a revocation; this one forgets only what has expired.

export class TokenRecords {
  #records = new Map();
  #keysByGrant = new Map();
  #sessionByUid = new Map();

  /** The adapter class oidc-provider wants, bound to these records. `onIssued` hears of every new token. */
  adapter(onIssued) {
    const records = this;
    return class Adapter {
      constructor(kind) {
        this.kind = kind;
      }

      async upsert(id, payload, expiresInSeconds) {
        records.#put(this.kind, id, payload, expiresInSeconds);
        onIssued(this.kind, id);
      }

      async find(id) {
        return records.#get(`${this.kind} ${id}`);
      }

      async findByUid(uid) {
        return this.find(records.#sessionByUid.get(uid));
      }

      async consume(id) {
        const payload = await this.find(id);
        if (payload) payload.consumed = Math.floor(Date.now() / 1000);
      }

      async destroy(id) {
        records.#records.delete(`${this.kind} ${id}`);
      }

      async revokeByGrantId(grantId) {
        for (const key of records.#keysByGrant.get(grantId) ?? []) records.#records.delete(key);
        records.#keysByGrant.delete(grantId);
      }
    };
  }

  /** Refresh tokens of a user at one client that would still be honoured. */
  liveRefreshTokens(accountId, clientId) {
    const live = [];
    for (const key of this.#records.keys()) {
      const [kind, id] = key.split(' ');
      const payload = kind === 'RefreshToken' ? this.#get(key) : undefined;
      if (!payload || payload.consumed) continue;
      if (payload.accountId === accountId && payload.clientId === clientId) live.push(id);
    }
    return live;
  }

  /** The client a refresh or access token was issued to. */
  ownerOf(token) {
    const payload = this.#get(`RefreshToken ${token}`) ?? this.#get(`AccessToken ${token}`);
    return payload?.clientId;
  }

  #put(kind, id, payload, expiresInSeconds) {
    const key = `${kind} ${id}`;
    const expiresAt = expiresInSeconds ? Date.now() + expiresInSeconds * 1000 : Infinity;
    this.#records.set(key, { payload, expiresAt });
    if (kind === 'Session') this.#sessionByUid.set(payload.uid, id);
    if (kind === 'Session' || !payload.grantId) return;
    if (!this.#keysByGrant.has(payload.grantId)) this.#keysByGrant.set(payload.grantId, new Set());
    this.#keysByGrant.get(payload.grantId).add(key);
  }

  #get(key) {
    const record = this.#records.get(key);
    if (record && record.expiresAt < Date.now()) {
      this.#records.delete(key);
      return undefined;
    }
    return record?.payload;
  }
}
