// Runs all peer tests and closes with one line: `N passed, N failed`.
//
//     node run.mjs [--only <part of a file name>]
//
// Order matters: the contract tests read the recordings of the tests before them, and the search for secrets
// reads everything. KEYWAY_PEERS_PYTHON names the Python that has python/requirements.txt installed.

import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { run } from 'node:test';
import { spec } from 'node:test/reporters';
import { fileURLToPath } from 'node:url';
import { RECORDED, TARGET, WORLDS } from './harness/paths.mjs';

const HERE = fileURLToPath(new URL('.', import.meta.url));
const PYTHON = process.env.KEYWAY_PEERS_PYTHON ?? 'python3';
const LAST = 'secrets.test.mjs';
const total = { passed: 0, failed: 0, skipped: 0 };

/** Two files at a time suit two cores: a test mostly waits for the other side. */
async function runNodeTests(names) {
  const stream = run({ files: names.map((name) => path.join(HERE, name)), concurrency: 2, timeout: 300_000 });
  stream.on('test:pass', (event) => {
    if (event.details.type === 'suite') return;
    if (event.skip !== undefined) total.skipped += 1;
    else total.passed += 1;
  });
  stream.on('test:fail', (event) => {
    // A suite fails because of its tests, which were counted, unless its own hooks broke.
    const counted = event.details.error?.failureType === 'subtestsFailed';
    if (!counted) total.failed += 1;
  });
  for await (const chunk of stream.compose(new spec())) process.stdout.write(chunk);
}

function runPytest(folder) {
  const report = path.join(TARGET, 'peers', `pytest-${path.basename(folder)}.xml`);
  mkdirSync(path.dirname(report), { recursive: true });
  const args = ['-m', 'pytest', '-q', '-rs', '-p', 'no:cacheprovider', `--junitxml=${report}`, folder];
  const { status } = spawnSync(PYTHON, args, {
    cwd: HERE, stdio: 'inherit',
    // Made-up requests come in the same order every time.
    env: { ...process.env, PYTHONDONTWRITEBYTECODE: '1', PYTHONHASHSEED: '0' },
  });
  const summary = status <= 1 ? readFileSync(report, 'utf8') : '';
  const count = (name) => Number(summary.match(new RegExp(`<testsuite [^>]*\\b${name}="(\\d+)"`))?.[1] ?? 0);
  const failed = count('failures') + count('errors');
  const skipped = count('skipped');
  total.passed += count('tests') - failed - skipped;
  total.skipped += skipped;
  // Status 5 is "no tests collected", 2 and above an error of pytest itself: never a success here.
  total.failed += failed || (status === 0 ? 0 : 1);
}

const only = process.argv[2] === '--only' ? process.argv[3] : undefined;
const files = readdirSync(HERE).filter((name) => name.endsWith('.test.mjs') && name !== LAST);
if (only) {
  await runNodeTests(readdirSync(HERE).filter((name) => name.endsWith('.test.mjs') && name.includes(only)));
  if ('python'.includes(only)) runPytest(path.join(HERE, 'python'));
  if ('contract'.includes(only)) runPytest(path.join(HERE, '../contract'));
  if ('schema'.includes(only)) runPytest(path.join(HERE, '../schema'));
} else {
  rmSync(WORLDS, { recursive: true, force: true });
  rmSync(RECORDED, { recursive: true, force: true });
  await runNodeTests(files);
  runPytest(path.join(HERE, 'python'));
  runPytest(path.join(HERE, '../contract'));
  runPytest(path.join(HERE, '../schema'));
  await runNodeTests([LAST]);
}
if (total.skipped > 0) console.log(`${total.skipped} skipped`);
console.log(`${total.passed} passed, ${total.failed} failed`);
process.exitCode = total.failed === 0 && total.passed > 0 ? 0 : 1;
