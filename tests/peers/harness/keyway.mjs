// The program under test, as an operator would start it: `keyway serve` and the commands beside it.

import { execFile, spawn } from 'node:child_process';
import { createWriteStream, existsSync } from 'node:fs';
import { once } from 'node:events';
import net from 'node:net';
import { promisify } from 'node:util';
import { setTimeout as sleep } from 'node:timers/promises';
import { KEYWAY_BIN } from './paths.mjs';

// A test that is ended from outside must still run its exit handlers, which end the server.
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(1));

const READY_MS_MAX = 20_000;
const STOP_MS_MAX = 10_000;

/** A port nobody listens on at this moment. */
export async function freePort() {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

/** The environment of a Keyway process: settings of the caller's own shell must not leak into a test. */
function environment(settings) {
  const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith('KEYWAY_'));
  return { ...Object.fromEntries(inherited), ...settings };
}

/** Runs one command to its end and answers the JSON it prints. */
export async function runKeyway(settings, args) {
  const { stdout } = await promisify(execFile)(KEYWAY_BIN, args, { env: environment(settings) });
  return JSON.parse(stdout);
}

/** Starts `keyway serve` and waits until it accepts calls. Its output goes to `logFile`. */
export async function serveKeyway(settings, logFile) {
  if (!existsSync(KEYWAY_BIN)) throw new Error(`no program at ${KEYWAY_BIN}: run \`cargo build -p keyway\``);
  const log = createWriteStream(logFile, { flags: 'a' });
  const child = spawn(KEYWAY_BIN, ['serve'], { env: environment(settings), stdio: ['ignore', 'pipe', 'pipe'] });
  child.stdout.pipe(log, { end: false });
  child.stderr.pipe(log, { end: false });
  const ended = once(child, 'exit');
  const killAtExit = () => child.kill('SIGKILL');
  process.once('exit', killAtExit);

  try {
    await ready(`http://${settings.KEYWAY_LISTEN}/readyz`, child);
  } catch (error) {
    child.kill('SIGKILL');
    throw new Error(`${error.message}; its output is in ${logFile}`);
  }
  return {
    async stop() {
      process.off('exit', killAtExit);
      const late = setTimeout(() => child.kill('SIGKILL'), STOP_MS_MAX);
      child.kill('SIGTERM');
      const [code, signal] = child.exitCode === null ? await ended : [child.exitCode, null];
      clearTimeout(late);
      log.end();
      if (code !== 0) throw new Error(`keyway serve ended with ${signal ?? code} on SIGTERM, see ${logFile}`);
    },
  };
}

async function ready(url, child) {
  for (const deadline = Date.now() + READY_MS_MAX; Date.now() < deadline; await sleep(25)) {
    if (child.exitCode !== null) throw new Error(`keyway serve ended with status ${child.exitCode}`);
    const answer = await fetch(url).catch(() => undefined);
    await answer?.arrayBuffer();
    if (answer?.ok) return;
  }
  throw new Error(`keyway serve was not ready after ${READY_MS_MAX} ms`);
}
