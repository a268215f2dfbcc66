import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { HOST_STATES } from '../../src/contract/host-state.ts';
import { JOB_KINDS } from '../../src/contract/jobs.ts';
import { TestAgent } from '../support/agent.ts';
import { allNames, askApi } from '../support/api.ts';
import { NO_POSTGRES, PostgresServer } from '../support/postgres.ts';
import { unless } from '../support/programs.ts';
import { finished, report } from '../support/reports.ts';
import {
  type AddedHost,
  cli,
  eventually,
  Served,
  sample,
  temporaryDirectory,
} from '../support/serve.ts';

const HOUR = 3_600_000;
const HTML = '<img src=x onerror=alert(1)> "& \\';
const NAMES = [
  'failed and offline',
  'failed, also overdue',
  'never, offline',
  'never, online',
  'overdue and offline',
  'overdue by a day',
  'overdue by its interval',
  'offline, with an alert',
  'offline',
  'alerts',
  'ok',
  'ok too',
  'pending',
  HTML,
  'Büro-東京-🗄',
  'العربية',
] as const;

/** In this order they are listed. */
const STATES: Readonly<Record<string, (typeof HOST_STATES)[number]>> = {
  'failed and offline': 'failed',
  'failed, also overdue': 'failed',
  'never, offline': 'never',
  'never, online': 'never',
  'overdue and offline': 'overdue',
  'overdue by a day': 'overdue',
  'overdue by its interval': 'overdue',
  offline: 'offline',
  'offline, with an alert': 'offline',
  alerts: 'alerts',
  ok: 'ok',
  'ok too': 'ok',
  [HTML]: 'pending',
  'Büro-東京-🗄': 'pending',
  pending: 'pending',
  العربية: 'pending',
};

interface Fleet {
  readonly served: Served;
  readonly variables: Readonly<Record<string, string>>;
  readonly hosts: ReadonlyMap<string, AddedHost>;
}

/** The message for a success or another finish, some hours ago. */
function backup(hoursAgo: number, fields: object = {}): object {
  const at = new Date(Date.now() - hoursAgo * HOUR).toISOString();
  return finished('backup', { started_at: at, finished_at: at, ...fields });
}

const hello = (fields: object) => ({
  type: 'hello',
  payload: { protocol_version: 1, agent_version: '1.4.0', hostname: 'h', ...fields },
});

async function fill({ served, hosts }: Fleet): Promise<void> {
  const tell = (name: string, ...messages: object[]) =>
    report(served.url, hosts.get(name)?.token ?? '', messages);
  const leave = async (name: string, intervalSeconds?: number) => {
    const agent = await TestAgent.connect(served.agentUrl, hosts.get(name)?.token ?? '');
    agent.hello({ backup_interval_seconds: intervalSeconds });
    await agent.receive('welcome');
    return agent;
  };
  const failed = { status: 'failed', exit_code: 12, error: 'wrong password' };
  const agents = await Promise.all([
    leave('failed and offline'),
    leave('never, offline'),
    leave('overdue and offline'),
    leave('offline, with an alert'),
    leave('offline'),
  ]);
  await Promise.all([
    tell('failed and offline', backup(0, failed)),
    tell(
      'failed, also overdue',
      backup(60),
      finished('second', { ...failed, started_at: at(50), finished_at: at(50) }),
    ),
    tell('never, online', hello({ restic_version: '0.18.1', os: 'linux', arch: 'arm64' })),
    tell('overdue and offline', backup(27)),
    tell('overdue by a day', backup(27)),
    tell('overdue by its interval', hello({ backup_interval_seconds: 3_600 }), backup(2)),
    tell(
      'offline, with an alert',
      backup(0),
      finished('check', { kind: 'check', status: 'failed' }),
    ),
    tell('offline', backup(0)),
    tell(
      'alerts',
      backup(0),
      finished('prune', { kind: 'prune', status: 'failed' }),
      finished('forget', { kind: 'forget', status: 'failed' }),
    ),
    tell('ok', hello({ backup_interval_seconds: 86_400 }), backup(25), {
      type: 'repo.stats',
      payload: { total_size_bytes: 2 ** 40, snapshot_count: 7 },
    }),
    tell('ok too', backup(0), {
      type: 'job.started',
      payload: { job_id: 'running', kind: 'check', started_at: at(1) },
    }),
  ]);
  for (const agent of agents) agent.close();
}

function at(hoursAgo: number): string {
  return new Date(Date.now() - hoursAgo * HOUR).toISOString();
}

function contract(
  engine: string,
  variablesOf: () => Promise<Readonly<Record<string, string>>>,
): void {
  const ends: (() => void)[] = [];
  let fleet: Fleet | undefined;
  const given = (): Fleet => {
    if (fleet === undefined) throw new Error('not started');
    return fleet;
  };
  const get = (path: string) => askApi(given().served.url, path);
  const idOf = (name: string) => given().hosts.get(name)?.host_id ?? '';

  beforeAll(async () => {
    const atEnd = (end: () => void) => ends.push(end);
    const dataDir = temporaryDirectory(atEnd);
    const variables = { RM_DATA_DIR: dataDir, ...(await variablesOf()) };
    const served = await Served.start(variables, dataDir, atEnd);
    const { stdout } = await cli(['hosts', 'add', ...NAMES], variables);
    const added: AddedHost[] = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    fleet = { served, variables, hosts: new Map(added.map((host) => [host.host, host])) };
  });
  afterAll(() => {
    for (const end of ends.reverse()) end();
  });

  // The first test, because `TestAgent` needs one.
  it('lists the worst hosts first, each with one state, as /metrics shows them', async () => {
    await fill(given());
    await eventually(async () => {
      const { json } = await get('/api/hosts');
      const states = json.hosts.map(({ host, state }: { host: string; state: string }) => [
        host,
        state,
      ]);
      expect(states).toEqual(Object.entries(STATES));
    });
    const { json } = await get('/api/hosts');
    expect(json.next).toBeNull();
    const body = await given().served.scrape();
    for (const {
      host,
      host_id,
      status,
      last_backup_success,
      last_backup_at,
      alerts,
    } of json.hosts) {
      const escaped = host.replace(/["\\]/g, '\\$&');
      const value = (family: string) =>
        sample(body, `${family}{host_id="${host_id}",host="${escaped}"}`);
      const isOnline = status === 'pending' ? undefined : Number(status === 'online');
      expect(value('rm_host_agent_online'), host).toBe(isOnline);
      expect(value('rm_host_open_alerts')).toBe(status === 'pending' ? undefined : alerts.length);
      const success = last_backup_success === null ? undefined : Number(last_backup_success);
      expect(value('rm_host_last_backup_success')).toBe(success);
      const ms = last_backup_at === null ? undefined : Date.parse(last_backup_at) / 1_000;
      expect(value('rm_host_last_backup_timestamp_seconds')).toBe(ms);
    }
  });

  it('shows of a host what the contract says, and null for what is unknown', async () => {
    const { json } = await get('/api/hosts');
    const one = (name: string) => json.hosts.find(({ host }: { host: string }) => host === name);
    expect(one('ok')).toEqual({
      host_id: idOf('ok'),
      host: 'ok',
      state: 'ok',
      status: 'online',
      last_backup_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
      last_backup_success: true,
      last_success_at: one('ok').last_backup_at,
      backup_interval_seconds: 86_400,
      repo_size_bytes: 2 ** 40,
      snapshot_count: 7,
      alerts: [],
      agent_version: '1.4.0',
      restic_version: null,
    });
    expect(one('pending')).toEqual({
      host_id: idOf('pending'),
      host: 'pending',
      state: 'pending',
      status: 'pending',
      last_backup_at: null,
      last_backup_success: null,
      last_success_at: null,
      backup_interval_seconds: null,
      repo_size_bytes: null,
      snapshot_count: null,
      alerts: [],
      agent_version: null,
      restic_version: null,
    });
    expect(one('alerts').alerts).toEqual(['forget_failed', 'prune_failed']);
    expect(one('failed, also overdue').last_success_at).not.toBeNull();
  });

  it('counts the fleet', async () => {
    const { status, headers, json } = await get('/api/fleet');
    expect(status).toBe(200);
    expect(headers['cache-control']).toBe('no-store');
    const none = {
      backup: 0,
      diff: 0,
      forget: 0,
      init: 0,
      prune: 0,
      restore: 0,
      unlock: 0,
      update: 0,
    };
    expect(json).toEqual({
      hosts: 12,
      online: 7,
      pending: 4,
      states: Object.fromEntries(
        HOST_STATES.map((state) => [
          state,
          Object.values(STATES).filter((other) => other === state).length,
        ]),
      ),
      alerts: {
        by_severity: { critical: 2, info: 0, warning: 3 },
        by_kind: {
          agent_offline: 0,
          backup_failed: 2,
          backup_incomplete: 0,
          check_failed: 1,
          forget_failed: 1,
          init_failed: 0,
          prune_failed: 1,
        },
      },
      running: { ...none, check: 1 },
      finished_jobs: {
        cancelled: expect.any(Number),
        failed: expect.any(Number),
        succeeded: expect.any(Number),
      },
      version: expect.stringMatching(/^\d+\.\d+\.\d+/),
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT/),
    });
    const body = await given().served.scrape();
    for (const [status, jobs] of Object.entries(json.finished_jobs)) {
      const series = (kind: string) =>
        `rm_job_duration_seconds_count{kind="${kind}",status="${status}"}`;
      const counts = JOB_KINDS.map((kind) => sample(body, series(kind)) ?? Number.NaN);
      expect(jobs, status).toBe(counts.reduce((sum, count) => sum + count));
    }
    expect(sample(body, 'rm_hosts_total')).toBe(json.hosts);
    expect(sample(body, 'rm_hosts_online')).toBe(json.online);
    expect(sample(body, 'rm_hosts_pending')).toBe(json.pending);
    expect(sample(body, 'rm_active_alerts{severity="critical"}')).toBe(2);
  });

  it('filters by states and by a part of the name', async () => {
    const { url } = given().served;
    for (const state of HOST_STATES) {
      const expected = Object.keys(STATES).filter((name) => STATES[name] === state);
      expect(await allNames(url, `state=${state}`), state).toEqual(expected);
    }
    expect(await allNames(url, 'state=ok&state=alerts&state=ok')).toEqual([
      'alerts',
      'ok',
      'ok too',
    ]);
    const found = (text: string) => allNames(url, `search=${encodeURIComponent(text)}`);
    expect(await found('OVERDUE BY')).toEqual(['overdue by a day', 'overdue by its interval']);
    expect(await found('<img src=x onerror=')).toEqual([HTML]);
    expect(await found('büro'.normalize('NFD'))).toEqual(['Büro-東京-🗄']);
    expect(await found('🗄')).toEqual(['Büro-東京-🗄']);
    expect(await found('العر')).toEqual(['العربية']);
    expect(await allNames(url, 'search=by+a')).toEqual(['overdue by a day']);
    expect(await allNames(url, 'search=by%2Ba'), 'a plus sign').toEqual([]);
    expect(await allNames(url, 'search=by&state=ok')).toEqual([]);
    expect(await found('\n')).toEqual([]);
    expect(await found('x'.repeat(255))).toEqual([]);
    expect(await found('')).toEqual(Object.keys(STATES));
  });

  it.each([
    [
      'state=bad',
      /^state: must be one of failed, never, overdue, offline, alerts, ok, pending, not "bad"/,
    ],
    ['state=', /^state: /],
    ['limit=0', /^limit: must be a whole number from 1 to 500, not "0"/],
    ['limit=501', /^limit: /],
    ['limit=1e2', /^limit: /],
    ['limit=-1', /^limit: /],
    ['limit=', /^limit: /],
    ['limit=1&limit=1', /^limit: must be given only once/],
    ['search=a&search=b', /^search: must be given only once/],
    [`search=${'x'.repeat(256)}`, /^search: must have at most 255 characters, not 256/],
    ['search=%FF', /^search: must be UTF-8/],
    ['search=%', /^search: must be UTF-8/],
    ['after=x', /^after: must be the value of next/],
    ['after=', /^after: /],
    [`after=${Buffer.from('[1]').toString('base64url')}`, /^after: /],
    [`after=${Buffer.from('["1","2","3"]').toString('base64url')}`, /^after: /],
    ['sort=name', /^unknown parameter "sort"; known are state, search, limit, after/],
    ['limit', /^"limit": must have a value/],
    ['%FF=1', /^the name of a parameter: must be UTF-8/],
  ])('GET /api/hosts?%s is a bad parameter', async (parameters, message) => {
    const { status, headers, json } = await get(`/api/hosts?${parameters}`);
    expect({ status, json }).toEqual({
      status: 400,
      json: { error: { code: 'bad_parameter', message: expect.stringMatching(message) } },
    });
    expect(headers['cache-control']).toBe('no-store');
  });

  it('takes no parameters elsewhere', async () => {
    for (const path of ['/api/fleet', `/api/hosts/${idOf('ok')}`]) {
      expect((await get(`${path}?limit=1`)).json.error.message).toContain('"limit"');
      expect((await get(`${path}?`)).status).toBe(200);
    }
  });

  it('pages without repeats or gaps while hosts change', async () => {
    const { served, hosts } = given();
    let flips = 0;
    // "ok too" jumps from the end of the list to the start and back.
    const flip = async () => {
      const status = flips++ % 2 === 0 ? 'failed' : 'succeeded';
      await report(served.url, hosts.get('ok too')?.token ?? '', [
        finished(`flip-${flips}`, { status }),
      ]);
    };
    for (const limit of [1, 2, 5, 15, 16, 17]) {
      const names = await allNames(served.url, `limit=${limit}`, flip);
      const unchanged = names.filter((name) => name !== 'ok too');
      expect(unchanged).toEqual(Object.keys(STATES).filter((name) => name !== 'ok too'));
    }
    expect(flips).toBeGreaterThan(20);
    await report(served.url, hosts.get('ok too')?.token ?? '', [finished('last')]);
  });

  it('shows a host with its alerts and its last 20 jobs, newest first', async () => {
    const { served, hosts, variables } = given();
    const { host_id: hostId, token } = hosts.get('ok') ?? { host_id: '', token: '' };
    const error = 'Fatal: \u001b[2Jwrong\u0000 password\n<b>\ud800 end';
    const summary = { bytes_added: 5, files_unreadable: 2 };
    await report(
      served.url,
      token,
      Array.from({ length: 25 }, (_, n) =>
        finished(`job-${n}`, {
          kind: 'check',
          status: 'failed',
          exit_code: n,
          error,
          started_at: new Date(Date.now() + n * 1_000 - 61_500).toISOString(),
          finished_at: new Date(Date.now() + n * 1_000 - 60_000).toISOString(),
        }),
      ),
    );
    const backup = { exit_code: 3, summary };
    await report(served.url, token, [
      finished('backup-2', backup),
      finished('of a wrong clock', {
        kind: 'diff',
        started_at: '2099-01-01T00:00:00Z',
        finished_at: '2099-01-01T00:01:00Z',
      }),
    ]);
    const { status, json } = await get(`/api/hosts/${hostId}`);
    expect(status).toBe(200);
    expect(Object.keys(json)).toEqual([
      'host_id',
      'host',
      'state',
      'status',
      'last_backup_at',
      'last_backup_success',
      'last_success_at',
      'backup_interval_seconds',
      'repo_size_bytes',
      'snapshot_count',
      'alerts',
      'agent_version',
      'restic_version',
      'os',
      'arch',
      'jobs',
    ]);
    expect(json).toMatchObject({ host_id: hostId, host: 'ok', state: 'alerts' });
    expect(
      json.alerts.map(({ kind, severity }: Record<string, string>) => `${kind} ${severity}`),
    ).toEqual(['backup_incomplete info', 'check_failed critical']);
    for (const { opened_at } of json.alerts) {
      expect(Math.abs(Date.now() - Date.parse(opened_at))).toBeLessThan(120_000);
    }
    expect(json.jobs).toHaveLength(20);
    const [wrongClock, incomplete, newest] = json.jobs;
    expect(wrongClock).toMatchObject({
      job_id: 'of a wrong clock',
      kind: 'diff',
      exit_code: null,
      error: null,
    });
    expect(Date.parse(wrongClock.finished_at)).toBeLessThan(Date.now() + 1);
    expect(Date.parse(wrongClock.finished_at) - Date.parse(wrongClock.started_at)).toBe(60_000);
    expect(incomplete).toMatchObject({
      job_id: 'backup-2',
      status: 'succeeded',
      exit_code: 3,
      ...summary,
    });
    expect(newest).toEqual({
      job_id: 'job-24',
      kind: 'check',
      status: 'failed',
      started_at: expect.any(String),
      finished_at: expect.any(String),
      exit_code: 24,
      error: expect.stringContaining('Fatal: \u001b[2Jwrong'),
      bytes_added: null,
      files_unreadable: null,
    });
    expect(json.jobs.slice(2).map(({ exit_code }: { exit_code: number }) => exit_code)).toEqual(
      Array.from({ length: 18 }, (_, n) => 24 - n),
    );

    const shown = await cli(['hosts', 'show', hostId, '--json'], variables);
    expect(JSON.parse(shown.stdout)).toEqual(json);
    const readable = (await cli(['hosts', 'show', hostId], variables)).stdout;
    expect(readable).toMatch(/^Host +ok\n/);
    expect(readable).toMatch(/check_failed \(critical\) since 20/);
    expect(readable).toMatch(/ 1\.5s +check +failed +24 +job-24\n {4}Fatal: \\u001b\[2Jwrong/);
    expect(readable).toContain('files that could not be read: 2');
    // biome-ignore lint/suspicious/noControlCharactersInRegex: this is what must not be there
    expect(readable + shown.stdout).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/);
  });

  it('shows a running job, and the platform of the agent', async () => {
    const { served, hosts } = given();
    await report(served.url, hosts.get('ok too')?.token ?? '', [
      { type: 'job.started', payload: { job_id: 'runs', kind: 'prune', started_at: at(0) } },
    ]);
    const running = await get(`/api/hosts/${idOf('ok too')}`);
    const job = running.json.jobs.find(({ job_id }: { job_id: string }) => job_id === 'runs');
    expect(job).toMatchObject({ status: 'running', finished_at: null, exit_code: null });
    const { json } = await get(`/api/hosts/${idOf('never, online')}`);
    expect(json).toMatchObject({ restic_version: '0.18.1', os: 'linux', arch: 'arm64', jobs: [] });
    const { stdout } = await cli(['hosts', 'show', json.host_id], given().variables);
    expect(stdout).toContain('version 1.4.0, restic 0.18.1, linux arm64');
    expect(stdout).toContain('No jobs.');
  });

  it('answers 404 for a host that is not there, also after it was removed or while it is pending', async () => {
    for (const id of [
      '01JD8Z5N3V9Q4R7T2W6X8Y0A1B',
      'x',
      idOf('ok').toLowerCase(),
      '%',
      `${idOf('ok')}x`,
    ]) {
      const { status, json } = await get(`/api/hosts/${id}`);
      expect({ status, json }).toEqual({
        status: 404,
        json: { error: { code: 'no_such_host', message: expect.stringContaining('HOST_ID') } },
      });
    }
    const unknown = await cli(['hosts', 'show', '01JD8Z5N3V9Q4R7T2W6X8Y0A1B'], given().variables);
    expect(unknown).toMatchObject({ code: 1, stdout: '' });
    expect(unknown.stderr).toContain('no host has the id "01JD8Z5N3V9Q4R7T2W6X8Y0A1B"');
    const id = idOf('العربية');
    expect((await get(`/api/hosts/${id}`)).json).toMatchObject({ state: 'pending', jobs: [] });
    await cli(['hosts', 'rename', id, 'renamed'], given().variables);
    await eventually(async () => {
      expect(await allNames(given().served.url, 'search=renamed')).toEqual(['renamed']);
    });
    await cli(['hosts', 'remove', id], given().variables);
    await eventually(async () => expect((await get(`/api/hosts/${id}`)).status).toBe(404));
    expect(await allNames(given().served.url, 'search=renamed')).toEqual([]);
  });

  it('HEAD has the same headers, and other methods are refused', async () => {
    const { url } = given().served;
    for (const path of ['/api/fleet', '/api/hosts', `/api/hosts/${idOf('ok')}`]) {
      const head = await askApi(url, path, { method: 'HEAD' });
      expect(head).toMatchObject({ status: 200, body: Buffer.alloc(0) });
      expect(head.headers['content-type']).toBe('application/json; charset=utf-8');
      const post = await askApi(url, path, { method: 'POST' });
      expect(post).toMatchObject({ status: 405, headers: { allow: 'GET, HEAD' } });
    }
    expect((await askApi(url, '/api/hosts?limit=0', { method: 'HEAD' })).status).toBe(400);
    expect((await askApi(url, '/api/hosts/x', { method: 'HEAD' })).status).toBe(404);
    const withBody = await askApi(url, '/api/fleet', { headers: { 'Content-Length': '0x1' } });
    expect(withBody.status).toBeGreaterThanOrEqual(400);
    expect((await askApi(url, '/api/nothing')).status).toBe(404);
  });

  it('counts every answer and every refusal', async () => {
    const before = await given().served.scrape();
    await get('/api/fleet');
    await get('/api/hosts?limit=0');
    await get('/api/hosts/x');
    await askApi(given().served.url, '/api/fleet', { headers: { Authorization: 'Bearer no' } });
    await askApi(given().served.url, '/api/fleet', { method: 'PUT' });
    const after = await given().served.scrape();
    const more = (series: string) => (sample(after, series) ?? 0) - (sample(before, series) ?? 0);
    for (const code of [200, 400, 401, 404, 405]) {
      expect(more(`rm_api_requests_total{code="${code}"}`), `${code}`).toBe(1);
    }
    for (const reason of ['bad_parameter', 'no_such_host', 'unauthorized', 'bad_method']) {
      expect(more(`rm_api_refusals_total{reason="${reason}"}`), reason).toBe(1);
    }
    expect(more('rm_api_request_duration_seconds_count')).toBe(1);
    expect(engine).toBeDefined();
  });
}

describe('the API on SQLite', () => contract('SQLite', async () => ({})));

unless(NO_POSTGRES).describe('the API on PostgreSQL', () => {
  let server: PostgresServer | undefined;
  afterAll(() => server?.remove());
  contract('PostgreSQL', async () => {
    server = await PostgresServer.start();
    return { RM_DATABASE_URL: server.createDatabase() };
  });
});
