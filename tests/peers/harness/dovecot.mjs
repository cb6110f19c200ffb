// A Dovecot of one suite: IMAP and submission, with a certificate of an authority of its own. It listens on the
// ports of mail on a loopback address that nothing else uses, so it needs root.

import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const READY_MS_MAX = 20_000;

/** Why there can be none here, or nothing. */
export function dovecotIsMissing() {
  if (process.getuid() !== 0) return 'Dovecot needs root';
  try {
    execFileSync('sh', ['-c', 'command -v dovecot && command -v openssl'], { stdio: 'ignore' });
  } catch {
    return 'Dovecot or openssl is not installed: scripts/test-prerequisites dovecot';
  }
  return undefined;
}

function certify(folder, host) {
  const openssl = (line) => execFileSync('openssl', line.split(' '), { cwd: folder, stdio: 'ignore' });
  const key = '-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes';
  writeFileSync(path.join(folder, 'names'), `subjectAltName=IP:${host}\n`);
  openssl(`req -x509 ${key} -keyout ca.key -out ca.pem -days 30 -subj /CN=tests`);
  openssl(`req ${key} -keyout key.pem -out request.pem -subj /CN=mail.test`);
  openssl('x509 -req -in request.pem -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -extfile names -out cert.pem');
}

const listener = (name, port, more = '') => `inet_listener ${name} {\n port = ${port}\n ${more}\n}`;

function configuration(folder, host) {
  return `
base_dir = ${folder}/run
state_dir = ${folder}/state
log_path = ${folder}/dovecot.log
protocols = imap submission
auth_failure_delay = 0
hostname = mail.test
submission_relay_host = 127.0.0.1
submission_relay_port = 1
submission_relay_trusted = yes
listen = ${host}
ssl = required
ssl_cert = <${folder}/cert.pem
ssl_key = <${folder}/key.pem
auth_mechanisms = plain login
mail_location = maildir:${folder}/mail/%u
first_valid_uid = 1
passdb {
  driver = passwd-file
  args = scheme=PLAIN username_format=%u ${folder}/users
}
userdb {
  driver = static
  args = uid=mail gid=mail home=${folder}/mail/%u
}
service anvil {
  unix_listener anvil-auth-penalty {
    mode = 0
  }
}
service imap-login {
  ${listener('imap', 143)}
  ${listener('imaps', 993, 'ssl = yes')}
}
service submission-login {
  ${listener('submission', 587)}
  ${listener('submissions', 465, 'ssl = yes')}
}
`;
}

async function listens(host, port) {
  const socket = net.connect(port, host);
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

/** Starts one for `users`, an object of passwords by name. */
export async function startDovecot({ folder, users }) {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(path.join(folder, 'mail'), { recursive: true });
  // Its login processes run as users of their own.
  chmodSync(folder, 0o755);
  const host = `127.${32 + (process.pid >> 16) % 32}.${(process.pid >> 8) % 256}.${Math.max(process.pid % 256, 1)}`;
  certify(folder, host);
  execFileSync('chown', ['mail:mail', path.join(folder, 'mail')]);
  const lines = Object.entries(users).map(([name, password]) => `${name}:{PLAIN}${password}\n`);
  writeFileSync(path.join(folder, 'users'), lines.join(''));
  writeFileSync(path.join(folder, 'dovecot.conf'), configuration(folder, host));
  const child = spawn('dovecot', ['-F', '-c', path.join(folder, 'dovecot.conf')], { stdio: 'ignore' });
  const ended = once(child, 'exit');
  const killAtExit = () => child.kill('SIGTERM');
  process.once('exit', killAtExit);
  const deadline = Date.now() + READY_MS_MAX;
  while (!(await listens(host, 993))) {
    if (child.exitCode !== null || Date.now() > deadline) {
      throw new Error(`Dovecot does not listen: ${readFileSync(path.join(folder, 'dovecot.log'), 'utf8')}`);
    }
    await sleep(50);
  }
  return {
    host,
    folder,
    authority: path.join(folder, 'ca.pem'),
    async stop() {
      process.off('exit', killAtExit);
      child.kill('SIGTERM');
      await ended;
    },
  };
}
