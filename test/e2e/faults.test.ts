import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as sleep } from 'node:timers/promises';
import { gunzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { openDatabase } from '../../src/store-thread/sqlite/database.ts';
import { TestAgent } from '../support/agent.ts';
import { type Answer, ask, RawConnection } from '../support/http.ts';
import { unless } from '../support/programs.ts';
import { hostId, hostName, ScrapeRig } from '../support/scrape-rig.ts';
import {
  aboutFleet,
  cli,
  eventually,
  Served,
  sample,
  TOKEN,
  temporaryDirectory,
} from '../support/serve.ts';
import { SmallDisk, whyNoSmallDisk } from '../support/small-disk.ts';

const AUTHORIZATION = `Authorization: Bearer ${TOKEN}`;
const HEADERS = { Authorization: `Bearer ${TOKEN}` };
const TIMEOUT = 'X-Prometheus-Scrape-Timeout-Seconds';
const BACKUPS = 'rm_job_duration_seconds_count{kind="backup",status="succeeded"}';

function residentBytes(pid: number): number {
  const kib = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  return Number(kib) * 1024;
}

/** A failed scrape: one line that says nothing about the inside. */
function expectUnavailable({ status, headers, body }: Answer, line: string): void {
  expect([status, body.toString()]).toEqual([503, `${line}\n`]);
  expect(headers['content-type']).toBe('text/plain; charset=utf-8');
  expect(headers).not.toHaveProperty('content-encoding');
}

const at = (second: number) => new Date(Date.UTC(2026, 0, 1) + second * 1000).toISOString();

function finish(job: number): object {
  return {
    job_id: `job-${job}`,
    kind: 'backup',
    status: 'succeeded',
    started_at: at(job),
    finished_at: at(job + 1),
  };
}

describe('kill -9 in a storm of finishes', () => {
  const AGENTS = 4;
  const IN_FLIGHT = 50;

  /** One agent of the storm: what it sent, and what of it was acknowledged. */
  class Stormer {
    readonly id: string;
    readonly #token: string;
    readonly acknowledged = new Set<number>();
    sent = 0;

    constructor({ host_id, token }: { host_id: string; token: string }) {
      this.id = host_id;
      this.#token = token;
    }

    /** Sends finishes, never more than some ahead of their acknowledgements, until the server is gone. */
    async storm(url: string): Promise<void> {
      const agent = await TestAgent.online(url, this.#token);
      const send = () => {
        agent.send('job.finished', finish(this.sent), `${this.sent}`);
        this.sent++;
      };
      for (let i = 0; i < IN_FLIGHT; i++) send();
      try {
        for (;;) {
          const { payload } = await agent.receive('ack');
          this.acknowledged.add(Number(payload.id));
          send();
        }
      } catch {
        expect((await agent.closed).code, 'no goodbye').toBe(1006);
      }
    }

    /** Sends these again and waits until each is acknowledged. */
    async sendAgain(url: string, jobs: readonly number[]): Promise<void> {
      const agent = await TestAgent.online(url, this.#token);
      for (const job of jobs) agent.send('job.finished', finish(job), `${job}`);
      for (const job of jobs) {
        expect((await agent.receive('ack')).payload.id).toBe(`${job}`);
      }
      agent.close();
      await agent.closed;
    }

    get unacknowledged(): number[] {
      return Array.from({ length: this.sent }, (_, job) => job).filter(
        (job) => !this.acknowledged.has(job),
      );
    }
  }

  const total = (numbers: readonly number[]) => numbers.reduce((sum, n) => sum + n, 0);

  test.each(['1', '2'])('loses nothing acknowledged with agent_threads=%s', async (threads) => {
    const dataDir = temporaryDirectory();
    const variables = { RM_AGENT_THREADS: threads };
    const first = await Served.start(variables, dataDir);
    const stormers: Stormer[] = [];
    for (let i = 0; i < AGENTS; i++) stormers.push(new Stormer(await first.addHost(`storm-${i}`)));
    const storms = stormers.map((stormer) => stormer.storm(first.agentUrl));
    await eventually(() => {
      for (const { acknowledged } of stormers) expect(acknowledged.size).toBeGreaterThan(200);
    });
    await sleep(Math.random() * 50);
    expect(await first.stop('SIGKILL')).toBe('SIGKILL');
    await Promise.all(storms);

    const stored = storedJobs(dataDir);
    const acknowledged = total(stormers.map((stormer) => stormer.acknowledged.size));
    const sent = total(stormers.map((stormer) => stormer.sent));
    expect(stored).toBeGreaterThanOrEqual(acknowledged);
    expect(acknowledged, 'the storm was still blowing').toBeLessThan(sent);

    const second = await Served.start(variables, dataDir);
    const atStart = await second.scrape();
    for (const { id, acknowledged } of stormers) {
      const series = atStart.split('\n').find((row) => row.match(lastBackupOf(id))) ?? '';
      const lastAcknowledged = Date.parse(at(Math.max(...acknowledged) + 1)) / 1000;
      expect(Number(series.split(' ').at(-1))).toBeGreaterThanOrEqual(lastAcknowledged);
    }
    await Promise.all(
      stormers.map((stormer) => stormer.sendAgain(second.agentUrl, [...stormer.acknowledged])),
    );
    expect(sample(await second.scrape(), BACKUPS), 'all of them were known').toBe(0);
    await Promise.all(
      stormers.map((stormer) => stormer.sendAgain(second.agentUrl, stormer.unacknowledged)),
    );
    expect(sample(await second.scrape(), BACKUPS), 'those that were lost').toBe(sent - stored);
    expect(await second.stop()).toBe(0);
    expect(storedJobs(dataDir)).toBe(sent);
  });

  const lastBackupOf = (id: string) => `^rm_host_last_backup_timestamp_seconds\\{host_id="${id}"`;

  function storedJobs(dataDir: string): number {
    const db = new DatabaseSync(join(dataDir, 'fleet.db'));
    const row = db.prepare('SELECT count(*) AS jobs FROM jobs WHERE status IS NOT NULL').get();
    db.close();
    return Number(row?.jobs);
  }
});

describe('clients that are slow or gone', () => {
  const HOSTS = 20_000;

  /** A data directory with a fleet whose exposition does not fit into the buffers of sockets. */
  async function largeFleet(): Promise<string> {
    const dataDir = temporaryDirectory();
    const db = openDatabase(dataDir);
    const insert = db.prepare(
      `INSERT INTO hosts (host_id, host, token_digest, enrolled_at, status, repo_size_bytes)
       VALUES (?, ?, ?, 0, 'offline', 1)`,
    );
    db.exec('BEGIN');
    for (let host = 0; host < HOSTS; host++) {
      insert.run(hostId(host), hostName(host), Buffer.from(`${host}`));
    }
    db.exec('COMMIT');
    db.close();
    return dataDir;
  }

  /** Asks for a scrape and waits until the body is on its way. */
  async function beginScrape(url: string): Promise<RawConnection> {
    const reader = await RawConnection.open(url);
    reader.send('GET', '/metrics', [AUTHORIZATION]);
    await reader.until(({ receivedBytes }) => receivedBytes > 0);
    reader.pause();
    expect(reader.text).toMatch(/^HTTP\/1.1 200 OK\r\n/);
    return reader;
  }

  test('cost the others nothing', async () => {
    const served = await Served.start({}, await largeFleet());
    const { token } = await served.addHost('lively');
    const agent = await TestAgent.online(served.agentUrl, token);
    const { body } = await ask(served.metricsUrl, { headers: HEADERS });
    expect(body.length).toBeGreaterThan(20_000_000);

    let job = 0;
    const goOn = async () => {
      for (const last = job + 10; job < last; ) {
        await agent.report('job.finished', finish(++job), `${job}`);
        const bodies = await Promise.all([served.scrape(), served.scrape()]);
        for (const text of bodies) expect(sample(text, BACKUPS)).toBe(job);
      }
    };
    await goOn();
    const before = residentBytes(served.pid);
    // One after the other, so that each holds a body of its own.
    const readers: RawConnection[] = [];
    for (let i = 0; i < 10; i++) readers.push(await beginScrape(served.url));
    await goOn();
    expect(residentBytes(served.pid) - before, 'less than one body').toBeLessThan(body.length);
    for (const reader of readers) {
      expect(reader.receivedBytes, 'still held up').toBeLessThan(body.length);
      reader.vanish();
    }

    for (let i = 0; i < 20; i++) (await beginScrape(served.url)).vanish();
    const gzip = await ask(served.metricsUrl, {
      headers: { ...HEADERS, 'Accept-Encoding': 'gzip' },
    });
    expect(gzip.status).toBe(200);
    expect(aboutFleet(gunzipSync(gzip.body).toString())).toBe(aboutFleet(await served.scrape()));
    await agent.report('job.finished', finish(job + 1), 'last');
  });

  test.each([
    ['in the loop that renders are asked from', false],
    ['in a loop of its own', true],
  ])(
    'that hold more than two bodies in pieces that are no more are sent away (%s)',
    async (_, remote) => {
      const rig = await ScrapeRig.start(HOSTS, { remote });
      const readers: RawConnection[] = [];
      // Each body has hardly a byte in common with the one before.
      for (let round = 0; round < 5; round++) {
        for (let host = 0; host < HOSTS; host++) {
          const name = `${round}-${hostName(host)}`;
          rig.fleet.upsert({ hostId: hostId(host), host: name, online: true });
        }
        readers.push(await beginScrape(rig.url));
      }
      const [first] = readers;
      const last = readers.at(-1);
      first?.resume();
      await first?.until(({ isClosed }) => isClosed);
      const { body } = await ask(rig.url, { headers: HEADERS });
      expect(first?.receivedBytes).toBeLessThan(body.length);
      last?.resume();
      await last?.until(({ receivedBytes }) => receivedBytes > body.length);
    },
  );

  test('a reader that pauses gets every byte in the end', async () => {
    const rig = await ScrapeRig.start(HOSTS);
    const { body } = await ask(rig.url, { headers: HEADERS });
    const reader = await RawConnection.open(rig.url);
    reader.send('GET', '/metrics', [AUTHORIZATION]);
    for (let received = 1; received < body.length; received += body.length / 20) {
      reader.resume();
      await reader.until(({ receivedBytes }) => receivedBytes >= received);
      reader.pause();
      // Memory that is free is written to meanwhile, with other bytes.
      rig.fleet.upsert({ hostId: hostId(1), host: `renamed-${received}`, online: false });
      expect((await ask(rig.url, { headers: HEADERS })).status).toBe(200);
    }
    reader.resume();
    await reader.until(({ receivedBytes }) => receivedBytes > body.length);
    const [, held] = reader.text.split('\r\n\r\n');
    expect(held === body.toString('latin1')).toBe(true);
  });

  test('an agent that reads no acknowledgements is closed, the others are not', async () => {
    const served = await Served.start();
    const [stuck, lively] = [await served.addHost('stuck'), await served.addHost('lively')];
    const agent = await TestAgent.online(served.agentUrl, lively.token);
    const reader = await TestAgent.online(served.agentUrl, stuck.token);
    reader.pause();
    const online = `rm_host_agent_online{host_id="${stuck.host_id}",host="stuck"}`;
    const id = 'x'.repeat(64);
    for (let job = 0; ; job++) {
      for (let i = 0; i < 2000 && !reader.isClosed; i++) {
        reader.send('job.started', { job_id: 'j', kind: 'backup', started_at: at(0) }, id);
      }
      await agent.report('job.finished', finish(job), `${job}`);
      if (sample(await served.scrape(), online) === 0) break;
      expect(job, 'acknowledgements pile up without end').toBeLessThan(200);
    }
    const again = await TestAgent.online(served.agentUrl, stuck.token);
    await again.report('job.finished', finish(0), '0');
    expect(agent.isClosed).toBe(false);
  });
});

describe('a render thread that dies', () => {
  const FAILED = 'the metrics could not be rendered';

  test('costs the scrape in hand, and no other', async () => {
    const rig = await ScrapeRig.start(5_000);
    const { body } = await ask(rig.url, { headers: HEADERS });
    for (let death = 1; death <= 5; death++) {
      rig.onRender = () => void rig.thread.threads[0]?.terminate();
      expectUnavailable(await ask(rig.url, { headers: HEADERS }), FAILED);
      expect(rig.failures).toHaveLength(death);
      rig.onRender = () => {};
      const next = await ask(rig.url, { headers: HEADERS });
      expect(next.status).toBe(200);
      expect(next.body.equals(body)).toBe(true);
    }
  });

  test('at any moment, a hundred times, also while its successor starts', async () => {
    const rig = await ScrapeRig.start(5_000);
    let expected = (await ask(rig.url, { headers: HEADERS })).body;
    let failed = 0;
    for (let death = 0; death < 100; death++) {
      const headers = { ...HEADERS, 'Accept-Encoding': death % 3 === 0 ? 'identity' : 'gzip' };
      const scrape = ask(rig.url, { headers });
      // A render takes some milliseconds, compressing a few tens, a new thread some more.
      await sleep(Math.random() * 60);
      const died = rig.thread.threads[0]?.terminate();
      const answer = await scrape;
      if (answer.status === 200) {
        const packed = answer.headers['content-encoding'] === 'gzip';
        expect((packed ? gunzipSync(answer.body) : answer.body).equals(expected)).toBe(true);
      } else {
        expectUnavailable(answer, FAILED);
        failed++;
      }
      // Every other time the next scrape comes when nobody has noticed yet.
      if (death % 2 === 0) await died;
      if (death % 5 !== 0) continue;
      rig.fleet.upsert({ hostId: hostId(death), host: `renamed-${death}`, online: true });
      await died;
      expected = (await ask(rig.url, { headers: HEADERS })).body;
      const gzip = await ask(rig.url, { headers: { ...HEADERS, 'Accept-Encoding': 'gzip' } });
      expect(gunzipSync(gzip.body).equals(expected)).toBe(true);
      expect(expected.includes(`host="renamed-${death}"`)).toBe(true);
    }
    expect(failed).toBeGreaterThan(0);
  });

  test('while it starts, costs the scrape that waits for it', async () => {
    const rig = await ScrapeRig.start(10);
    for (let death = 1; death <= 3; death++) {
      await rig.thread.threads[0]?.terminate();
      // The successor has hardly begun to start.
      rig.onRender = () => setImmediate(() => rig.thread.threads[0]?.terminate());
      expectUnavailable(await ask(rig.url, { headers: HEADERS }), FAILED);
      rig.onRender = () => {};
      expect((await ask(rig.url, { headers: HEADERS })).status).toBe(200);
    }
  });
});

describe('scrapes that wait', () => {
  const TOO_LATE = 'the metrics were not ready in time';

  test('a scrape is answered in the time that it gives, others go on waiting', async () => {
    const rig = await ScrapeRig.start(10);
    const release = rig.hold();
    const first = ask(rig.url, { headers: HEADERS });
    const patient = ask(rig.url, { headers: { ...HEADERS, [TIMEOUT]: '25' } });
    for (const seconds of ['0.002', '0.25', '1e-9']) {
      const hasty = await ask(rig.url, { headers: { ...HEADERS, [TIMEOUT]: seconds } });
      expectUnavailable(hasty, TOO_LATE);
    }
    release();
    expect((await first).status).toBe(200);
    expect((await patient).status).toBe(200);
  });

  test('a render that takes longer than a scrape gives it', async () => {
    const rig = await ScrapeRig.start(20_000);
    for (const encoding of ['identity', 'gzip']) {
      const headers = { ...HEADERS, 'Accept-Encoding': encoding };
      // What did not change since the last render would take less than any timeout.
      for (let host = 0; host < 20_000; host++) {
        rig.fleet.upsert({ hostId: hostId(host), host: `${encoding}-${host}`, online: true });
      }
      expectUnavailable(
        await ask(rig.url, { headers: { ...headers, [TIMEOUT]: '0.002' } }),
        TOO_LATE,
      );
      expect((await ask(rig.url, { headers })).status).toBe(200);
    }
  });

  test('a timeout that makes no sense is no timeout', async () => {
    const rig = await ScrapeRig.start(10);
    const release = rig.hold();
    const nonsense = ['', '0', '-1', 'soon', 'NaN', 'Infinity', '1e999', '1,5', '10s'];
    const scrapes = nonsense.map(async (timeout) => {
      const { status } = await ask(rig.url, { headers: { ...HEADERS, [TIMEOUT]: timeout } });
      return { timeout, status };
    });
    // By the time that this one is given up, one with no time at all would be, too.
    await ask(rig.url, { headers: { ...HEADERS, [TIMEOUT]: '0.2' } });
    release();
    expect(await Promise.all(scrapes)).toEqual(
      nonsense.map((timeout) => ({ timeout, status: 200 })),
    );
  });

  test('no more than 256 at a time', async () => {
    const rig = await ScrapeRig.start(10);
    const release = rig.hold();
    const refused: Answer[] = [];
    const scrapes = Array.from({ length: 300 }, async () => {
      const answer = await ask(rig.url, { headers: HEADERS });
      if (answer.status !== 200) refused.push(answer);
      return answer.status;
    });
    await eventually(() => expect(refused).toHaveLength(44));
    for (const answer of refused) expectUnavailable(answer, 'too many scrapes are waiting');
    release();
    const statuses = await Promise.all(scrapes);
    expect(statuses.filter((status) => status === 200)).toHaveLength(256);
    expect((await ask(rig.url, { headers: HEADERS })).status, 'room again').toBe(200);
  });
});

describe('freshness', () => {
  test.each(['1', '2'])(
    'a scrape shows all that was acknowledged before it, with agent_threads=%s',
    async (threads) => {
      const served = await Served.start({ RM_AGENT_THREADS: threads });
      let acknowledged = 0;
      let over = false;
      const scrape = async (encoding: string) => {
        const before = acknowledged;
        const headers = { ...HEADERS, 'Accept-Encoding': encoding };
        const { status, body } = await ask(served.metricsUrl, { headers });
        expect(status).toBe(200);
        const text = (encoding === 'gzip' ? gunzipSync(body) : body).toString();
        expect(sample(text, BACKUPS)).toBeGreaterThanOrEqual(before);
        return text;
      };
      const scraping = ['identity', 'gzip', 'identity', 'gzip'].map(async (encoding) => {
        while (!over) await scrape(encoding);
      });
      const working = Array.from({ length: 3 }, async (_, index) => {
        const { token, host_id: id } = await served.addHost(`fresh-${index}`);
        const agent = await TestAgent.online(served.agentUrl, token);
        for (let job = 1; job <= 40; job++) {
          await agent.report('job.finished', finish(job), `${job}`);
          acknowledged++;
          await agent.report('repo.stats', { snapshot_count: job }, `stats-${job}`);
          const text = await scrape(job % 2 === 0 ? 'gzip' : 'identity');
          const snapshots = `rm_host_snapshot_count{host_id="${id}",host="fresh-${index}"}`;
          expect(sample(text, snapshots)).toBe(job);
        }
      });
      await Promise.all(working);
      over = true;
      await Promise.all(scraping);
      expect(sample(await served.scrape(), BACKUPS)).toBe(120);
    },
  );
});

describe('a storm of finishes', () => {
  test('each scrape agrees with itself, and none goes back', async () => {
    const FINISHES = 10_000;
    const served = await Served.start();
    const agents = await Promise.all(
      ['a', 'b', 'c', 'd'].map(async (name) => {
        const { token } = await served.addHost(name);
        return { name, agent: await TestAgent.online(served.agentUrl, token) };
      }),
    );
    let over = false;
    let last = 0;
    let scrapes = 0;
    const scraping = ['identity', 'gzip'].map(async (encoding) => {
      while (!over) {
        const headers = { ...HEADERS, 'Accept-Encoding': encoding };
        const { body } = await ask(served.metricsUrl, { headers });
        const text = (encoding === 'gzip' ? gunzipSync(body) : body).toString();
        const count = sample(text, BACKUPS) ?? Number.NaN;
        // Each backup took a second.
        expect(sample(text, BACKUPS.replace('_count', '_sum'))).toBe(count);
        for (const le of ['1', '86400', '+Inf']) {
          const series = BACKUPS.replace('_count', '_bucket').replace('}', `,le="${le}"}`);
          expect(sample(text, series)).toBe(count);
        }
        scrapes++;
      }
    });
    const following = (async () => {
      while (!over) {
        const count = sample(await served.scrape(), BACKUPS) ?? Number.NaN;
        expect(count).toBeGreaterThanOrEqual(last);
        last = count;
      }
    })();
    await Promise.all(
      agents.map(async ({ name, agent }) => {
        for (let job = 0; job < FINISHES; ) {
          const end = Math.min(job + 100, FINISHES);
          for (; job < end; job++) {
            agent.send('job.finished', { ...finish(job), job_id: `${name}-${job}` }, `${job}`);
          }
          for (let n = 0; n < 100; n++) await agent.receive('ack');
        }
      }),
    );
    over = true;
    await Promise.all([...scraping, following]);
    expect(scrapes).toBeGreaterThan(10);
    expect(sample(await served.scrape(), BACKUPS)).toBe(4 * FINISHES);
  });
});

unless(whyNoSmallDisk()).describe('a full disk', () => {
  test('acknowledges nothing, keeps serving, and works again when there is room', async () => {
    const disk = new SmallDisk();
    const dataDir = join(disk.path, 'data');
    const served = await Served.start({}, dataDir);
    const { token, host_id: id } = await served.addHost('cramped');
    const agent = await TestAgent.online(served.agentUrl, token);
    await agent.report('job.finished', finish(0), '0');

    disk.fill();
    for (let job = 1; job <= 3; job++) agent.send('job.finished', finish(job), `${job}`);
    await expect(agent.receive('ack')).rejects.toThrow('closed with 1013');
    expect(await agent.closed).toEqual({ code: 1013, reason: 'the store is not available' });
    const second = await TestAgent.connect(served.agentUrl, token);
    second.hello();
    await expect(second.receive('welcome')).rejects.toThrow('closed with 1013');
    expect(sample(await served.scrape(), BACKUPS), 'nothing half done').toBe(1);
    expect((await ask(`${new URL(served.url).origin}/healthz`)).status).toBe(200);
    const variables = { RM_DATA_DIR: dataDir };
    const listed = await cli(['hosts', 'list'], variables);
    expect(listed.stdout, 'reading needs no room').toContain(id);
    const added = await cli(['hosts', 'add', 'one more'], variables);
    expect(added).toMatchObject({ code: 1, stdout: '' });
    expect(added.stderr).toMatch(/^restic-manager: .*disk is full\n$/);

    disk.free();
    const back = await TestAgent.online(served.agentUrl, token);
    for (let job = 0; job <= 3; job++) await back.report('job.finished', finish(job), `${job}`);
    const body = await served.scrape();
    expect(sample(body, BACKUPS)).toBe(4);
    const labels = `host_id="${id}",host="cramped"`;
    expect(sample(body, `rm_host_agent_online{${labels}}`)).toBe(1);
    back.close();
    await eventually(async () =>
      expect(sample(await served.scrape(), `rm_host_agent_online{${labels}}`)).toBe(0),
    );
    expect(await served.stop()).toBe(0);
  });
});
