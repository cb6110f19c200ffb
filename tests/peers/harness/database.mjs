// The databases a world can run on: SQLite always, PostgreSQL when KEYWAY_TEST_POSTGRES names a server.

import { execFileSync } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import path from 'node:path';

const POSTGRES = process.env.KEYWAY_TEST_POSTGRES;

/** Names of the databases to run a suite on. */
export const DATABASES = POSTGRES ? ['sqlite', 'postgres'] : ['sqlite'];

/** One empty database of its own for a world. */
export function createDatabase(kind, world, folder) {
  if (kind === 'sqlite') return { url: `sqlite://${folder}/data/keyway.db`, keepRemains() {} };
  const name = `keyway_peers_${world.replaceAll(/[^a-z0-9]/g, '_')}_${process.pid}`;
  psql(`create database ${name}`);
  const url = new URL(POSTGRES);
  url.pathname = `/${name}`;
  return {
    url: url.href,
    /** Leaves a dump beside the log, for the search for secrets, and drops the database. */
    keepRemains() {
      const dump = openSync(path.join(folder, 'database.sql'), 'w');
      execFileSync('pg_dump', ['--dbname', url.href], { stdio: ['ignore', dump, 'inherit'] });
      closeSync(dump);
      psql(`drop database ${name} with (force)`);
    },
  };
}

function psql(statement) {
  execFileSync('psql', ['--quiet', '--no-psqlrc', '--dbname', POSTGRES, '--command', statement], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
}
