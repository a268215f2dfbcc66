import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { connect, type PeerCertificate, type TLSSocket } from 'node:tls';
import { describe, expect, onTestFinished, test } from 'vitest';
import { TestAgent } from '../support/agent.ts';
import { createCertificate } from '../support/certificate.ts';
import { FakeClock, whyNoFakeClock } from '../support/fake-clock.ts';
import { ask } from '../support/http.ts';
import { needs, unless } from '../support/programs.ts';
import { eventually, Served, temporaryDirectory } from '../support/serve.ts';

/** The log says so when a reload is over. */
async function reload(
  served: Served,
  outcome: 'reloaded' | 'reload failed, nothing changed',
): Promise<void> {
  const before = served.log.split(outcome).length;
  process.kill(served.pid, 'SIGHUP');
  await eventually(() => expect(served.log.split(outcome).length).toBeGreaterThan(before));
}

async function scrapeStatus(served: Served, token: string): Promise<number> {
  const headers = { Authorization: `Bearer ${token}` };
  return (await ask(served.metricsUrl, { headers })).status;
}

/** Waits until all loops, which serve in turn, have got the token from the main thread. */
function allKnow(served: Served, token: string): Promise<void> {
  return eventually(async () => {
    for (let n = 0; n < 4; n++) expect(await scrapeStatus(served, token)).toBe(200);
  });
}

/** What a client that says no server name (SNI) is shown. */
function certificateOf(url: string): Promise<PeerCertificate> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    const socket = connect({ host: hostname, port: Number(port), rejectUnauthorized: false });
    socket.on('error', reject);
    socket.on('secureConnect', () => {
      resolve(socket.getPeerCertificate());
      socket.destroy();
    });
  });
}

/** A connection on which a request was answered, and that says nothing afterwards. */
async function idleConnection(url: string): Promise<TLSSocket> {
  const { hostname, port } = new URL(url);
  const socket = connect({ host: hostname, port: Number(port), rejectUnauthorized: false });
  onTestFinished(() => void socket.destroy());
  socket.on('error', () => {});
  socket.write('GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n');
  await once(socket, 'data');
  return socket;
}

/**
 * A module by which the file of a new certificate becomes invalid after the main thread has checked it, before
 * an agent loop loads it.
 */
function spoiler(): string {
  const file = join(temporaryDirectory(), 'spoiler.mjs');
  writeFileSync(
    file,
    `import { writeFileSync } from 'node:fs';
    import { parentPort, workerData } from 'node:worker_threads';
    if (workerData?.jobs && workerData?.store) {
      parentPort.on('message', ({ tls }) => tls && writeFileSync(tls.certFile, 'no certificate'));
    }`,
  );
  return file;
}

const withClock = unless(whyNoFakeClock());
const withCertificate = needs('openssl');

describe.each(['1', '3'])('SIGHUP with agent_threads=%s', (threads) => {
  test('takes over the token of the file; the one before is good for the moment', async () => {
    const file = join(temporaryDirectory(), 'token');
    writeFileSync(file, 'old-token\n');
    const served = await Served.start({
      RM_METRICS_TOKEN: '',
      RM_METRICS_TOKEN_FILE: file,
      RM_AGENT_THREADS: threads,
    });
    expect(await scrapeStatus(served, 'new-token')).toBe(401);
    writeFileSync(file, 'new-token\n');
    expect(await scrapeStatus(served, 'new-token'), 'before the signal').toBe(401);
    await reload(served, 'reloaded');
    await allKnow(served, 'new-token');
    // Each loop has its turn.
    for (let n = 0; n < 4; n++) {
      expect(await scrapeStatus(served, 'new-token')).toBe(200);
      expect(await scrapeStatus(served, 'old-token')).toBe(200);
      expect(await scrapeStatus(served, 'other-token')).toBe(401);
    }
    expect(served.log).not.toMatch(/(old|new)-token/);
  });

  withClock.test('the token before is good for five minutes, not longer', async () => {
    const clock = new FakeClock('all');
    const file = join(temporaryDirectory(), 'token');
    writeFileSync(file, 'old-token');
    const served = await Served.start({
      ...clock.variables,
      RM_METRICS_TOKEN: '',
      RM_METRICS_TOKEN_FILE: file,
      RM_AGENT_THREADS: threads,
    });
    writeFileSync(file, 'new-token');
    await reload(served, 'reloaded');
    await allKnow(served, 'new-token');
    clock.set(4.5 * 60);
    for (let n = 0; n < 4; n++) expect(await scrapeStatus(served, 'old-token')).toBe(200);
    clock.set(5.5 * 60);
    for (let n = 0; n < 4; n++) {
      expect(await scrapeStatus(served, 'old-token')).toBe(401);
      expect(await scrapeStatus(served, 'new-token')).toBe(200);
    }
  });

  withCertificate.test.each([undefined, '127.0.0.1:0'])(
    'shows a new certificate to new connections, established ones go on (metrics_listen=%s)',
    async (metricsListen) => {
      const certificate = createCertificate(temporaryDirectory());
      const served = await Served.start({
        RM_TLS_CERT_FILE: certificate.cert,
        RM_TLS_KEY_FILE: certificate.key,
        RM_AGENT_THREADS: threads,
        ...(metricsListen && { RM_METRICS_LISTEN: metricsListen }),
      });
      const { token } = await served.addHost('web');
      const options = { rejectUnauthorized: false };
      const agent = await TestAgent.online(served.agentUrl, token, options);
      const idle = await idleConnection(served.url);
      for (let renewal = 1; renewal <= 3; renewal++) {
        const renewed = createCertificate(temporaryDirectory());
        writeFileSync(certificate.cert, renewed.certPem);
        writeFileSync(certificate.key, renewed.keyPem);
        await reload(served, 'reloaded');
        const { fingerprint256 } = new X509Certificate(renewed.certPem);
        // Each agent loop takes the certificate in its next turn.
        await eventually(async () => {
          const fingerprints = new Set<string>();
          for (let n = 0; n < 6; n++) {
            for (const url of [served.url, served.metricsUrl]) {
              fingerprints.add((await certificateOf(url)).fingerprint256);
            }
          }
          expect(fingerprints, `renewal ${renewal}`).toEqual(new Set([fingerprint256]));
        });
        await agent.job({ id: `after-${renewal}`, kind: 'backup', status: 'succeeded' });
      }
      expect(agent.isClosed).toBe(false);
      const again = await TestAgent.online(served.agentUrl, token, options);
      await again.job({ id: 'again', kind: 'backup', status: 'succeeded' });
      expect(idle.closed, 'it has the first certificate').toBe(false);
      expect(await served.stop(), served.log).toBe(0);
    },
  );

  withCertificate.test(
    'with files that are wrong changes nothing, and says what is wrong',
    async () => {
      const certificate = createCertificate(temporaryDirectory());
      const file = join(temporaryDirectory(), 'token');
      writeFileSync(file, 'good-token');
      const served = await Served.start({
        RM_METRICS_TOKEN: '',
        RM_METRICS_TOKEN_FILE: file,
        RM_TLS_CERT_FILE: certificate.cert,
        RM_TLS_KEY_FILE: certificate.key,
        RM_AGENT_THREADS: threads,
      });
      const before = await certificateOf(served.url);
      const other = createCertificate(temporaryDirectory());
      const unusual = createCertificate(temporaryDirectory(), 'localhost', 'secp256k1');
      const wrongs: (() => void)[] = [
        () => writeFileSync(file, 'a secret with spaces'),
        () => writeFileSync(file, ''),
        () => writeFileSync(certificate.cert, 'no certificate'),
        () => writeFileSync(certificate.key, other.keyPem),
        // Node takes this key, and uWebSockets.js does not. The new token beside it must not count either.
        () => {
          writeFileSync(file, 'new-token');
          writeFileSync(certificate.cert, unusual.certPem);
          writeFileSync(certificate.key, unusual.keyPem);
        },
      ];
      for (const wrong of wrongs) {
        writeFileSync(file, 'good-token');
        writeFileSync(certificate.cert, certificate.certPem);
        writeFileSync(certificate.key, certificate.keyPem);
        wrong();
        await reload(served, 'reload failed, nothing changed');
        expect((await certificateOf(served.url)).fingerprint256).toBe(before.fingerprint256);
        expect(await scrapeStatus(served, 'good-token')).toBe(200);
        expect(await scrapeStatus(served, 'new-token')).toBe(401);
      }
      expect(served.log).toMatch(/"faults":\["[^"]*is not the key of the certificate/);
      expect(served.log).not.toContain('a secret');
    },
  );
});

withCertificate.test(
  'an agent loop that cannot load the new certificate keeps the old one, and says so',
  async () => {
    const certificate = createCertificate(temporaryDirectory());
    const served = await Served.start({
      RM_TLS_CERT_FILE: certificate.cert,
      RM_TLS_KEY_FILE: certificate.key,
      RM_AGENT_THREADS: '2',
      NODE_OPTIONS: `--import=${spoiler()}`,
    });
    const before = await certificateOf(served.url);
    await reload(served, 'reloaded');
    const said = /"level":"error".*"msg":"an agent loop could not load the new certificate/g;
    await eventually(() => expect(served.log.match(said)).toHaveLength(2));
    for (let n = 0; n < 4; n++) {
      expect((await certificateOf(served.url)).fingerprint256).toBe(before.fingerprint256);
    }
    expect(await served.stop()).toBe(0);
  },
);

withCertificate.test(
  'SIGHUP loads the certificate from the files that the settings name now',
  async () => {
    const directory = temporaryDirectory();
    const config = join(directory, 'config.yaml');
    const first = createCertificate(temporaryDirectory());
    const second = createCertificate(temporaryDirectory());
    const configure = ({ cert, key }: typeof first) =>
      writeFileSync(
        config,
        `data_dir: ${join(directory, 'data')}\nlisten: 127.0.0.1:0\ntls_cert_file: ${cert}\ntls_key_file: ${key}\n`,
      );
    configure(first);
    const unset = { RM_LISTEN: '', RM_DATA_DIR: '' };
    const withFlag = ['sh', '-c', 'exec "$@" --config "$0"', config];
    const served = await Served.start(unset, directory, undefined, withFlag);
    const shows = async ({ certPem }: typeof first) => {
      const { fingerprint256 } = new X509Certificate(certPem);
      expect((await certificateOf(served.url)).fingerprint256).toBe(fingerprint256);
    };
    await shows(first);
    configure(second);
    await reload(served, 'reloaded');
    await eventually(() => shows(second));
    expect(served.log).not.toContain('needs_restart');
  },
);

withCertificate.test(
  'SIGHUP does not make a gate or TLS where there was none, or none of one, and says what needs a restart',
  async () => {
    const directory = temporaryDirectory();
    const config = join(directory, 'config.yaml');
    const certificate = createCertificate(directory);
    const common = `data_dir: ${join(directory, 'data')}\nlisten: 127.0.0.1:0\n`;
    const networks = 'metrics_trusted_cidrs: [127.0.0.0/8]\n';
    const tls = `tls_cert_file: ${certificate.cert}\ntls_key_file: ${certificate.key}\n`;
    writeFileSync(config, `${common}${networks}`);
    const unset = { RM_LISTEN: '', RM_DATA_DIR: '', RM_METRICS_TOKEN: '' };
    // `serve` is followed by the flag.
    const withFlag = ['sh', '-c', 'exec "$@" --config "$0"', config];
    const served = await Served.start(unset, directory, undefined, withFlag);
    expect((await ask(served.metricsUrl)).status).toBe(200);
    writeFileSync(config, `${common}${networks}${tls}metrics_token: new\nagent_threads: 2\n`);
    await reload(served, 'reloaded');
    expect((await ask(served.metricsUrl)).status, 'no token, no TLS').toBe(200);
    expect(served.log).toContain(
      '"needs_restart":["metrics_token","agent_threads","tls_cert_file"]',
    );
  },
);

test('SIGHUP never ends the process, also without anything to reload, and again and again', async () => {
  const served = await Served.start();
  for (let n = 0; n < 20; n++) process.kill(served.pid, 'SIGHUP');
  await reload(served, 'reloaded');
  expect(await served.scrape()).toContain('rm_build_info');
  expect(await served.stop()).toBe(0);
});
