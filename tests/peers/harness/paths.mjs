// Where things are, from the repository's point of view.

import { fileURLToPath } from 'node:url';
import path from 'node:path';

export const REPOSITORY = fileURLToPath(new URL('../../../', import.meta.url));
export const TARGET = path.resolve(REPOSITORY, process.env.CARGO_TARGET_DIR ?? 'target');
export const KEYWAY_BIN = process.env.KEYWAY_BIN ?? path.join(TARGET, 'debug/keyway');
/** One folder per world: configuration, data, log, and the list of its secrets. */
export const WORLDS = path.join(TARGET, 'peers');
/** One file of JSON lines per world: every request and its answer. */
export const RECORDED = path.join(TARGET, 'recorded');
export const SCREENSHOTS = path.join(TARGET, 'screenshots');
