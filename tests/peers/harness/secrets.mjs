// The list of everything a world used that must never be found lying about.
//
// `kind` decides where a value may legitimately appear; see secrets.test.mjs.

export class Secrets {
  #kinds = new Map();

  /** Remembers a secret as what it was first seen as; short values are ignored: they would match by chance. */
  add(kind, value) {
    if (typeof value === 'string' && value.length >= 12 && !this.#kinds.has(value)) this.#kinds.set(value, kind);
  }

  entries() {
    return [...this.#kinds].map(([value, kind]) => ({ kind, value }));
  }
}
