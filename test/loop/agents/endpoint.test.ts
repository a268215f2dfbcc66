import { setImmediate } from 'node:timers/promises';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { RmError } from '../../../src/errors.ts';
import {
  MAX_FRAMES_PER_TURN,
  MAX_LOOKUPS,
  MAX_UNANSWERED,
} from '../../../src/loop/agents/limits.ts';
import { MAX_MESSAGE_BYTES } from '../../../src/loop/agents/protocol.ts';
import { TestAgent } from '../../support/agent.ts';
import { ask, RawConnection } from '../../support/http.ts';
import { postBody } from '../../support/reports.ts';
import { eventually } from '../../support/serve.ts';
import { EndpointRig } from './endpoint-rig.ts';

const START = { kind: 'backup', started_at: '2026-01-02T03:04:05Z' };

const FINISH = { status: 'failed', finished_at: '2026-01-02T03:04:06Z' };

/** The headers of an upgrade. */
const upgrade = (token: string, ...more: string[]) => [
  `Authorization: Bearer ${token}`,
  'Connection: Upgrade',
  'Upgrade: websocket',
  'Sec-WebSocket-Version: 13',
  'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==',
  ...more,
];

describe('a token that the loop does not know', () => {
  const HEADERS = { Authorization: 'Bearer rmh_nobody-has-this-one' };

  test('is refused with 401 once the store has said that it does not know it either', async () => {
    const rig = await EndpointRig.start();
    await expect(TestAgent.connect(rig.agentUrl, 'rmh_nobody-has-this-one')).rejects.toThrow('401');
    const answer = await ask(rig.url, { headers: HEADERS });
    expect([answer.status, answer.headers['www-authenticate']]).toEqual([401, 'Bearer']);
    expect(rig.refused('unauthorized')).toBe(2);
  });

  test('is looked up however many were looked up before', async () => {
    const rig = await EndpointRig.start();
    for (let n = 0; n < MAX_LOOKUPS + 100; n += 100) {
      const answers = Array.from({ length: 100 }, () => ask(rig.url, { headers: HEADERS }));
      for (const { status } of await Promise.all(answers)) expect(status).toBe(401);
    }
  });

  test('is not looked up while 1,000 others are', async () => {
    const rig = await EndpointRig.start();
    vi.spyOn(rig.client, 'submit').mockImplementation(() => new Promise(() => {}));
    const held: RawConnection[] = [];
    for (let n = 0; n < MAX_LOOKUPS; n++) {
      const raw = await RawConnection.open(rig.url);
      raw.send('GET', '/ws/agent', ['Authorization: Bearer rmh_nobody-has-this-one']);
      held.push(raw);
    }
    await eventually(async () => {
      const answer = await ask(rig.url, { headers: HEADERS });
      expect([answer.status, answer.headers['retry-after']]).toEqual([503, '1']);
    });
    expect(rig.refused('too_many_connections')).toBeGreaterThan(0);
    for (const raw of held) raw.vanish();
    vi.restoreAllMocks();
  });

  // 401 tells an agent that its token is dead.
  test('is put off with 503 while the store cannot be asked', async () => {
    const rig = await EndpointRig.start();
    await rig.store.close();
    await expect(TestAgent.connect(rig.agentUrl, 'rmh_nobody-has-this-one')).rejects.toThrow('503');
    const answer = await ask(rig.url, { headers: HEADERS });
    expect([answer.status, answer.headers['retry-after']]).toEqual([503, '1']);
    expect(answer.headers).not.toHaveProperty('www-authenticate');
    expect(rig.refused('store_unavailable')).toBe(2);
    expect(rig.refused('unauthorized')).toBe(0);
  });

  test('is looked up however many could not be looked up before', async () => {
    const rig = await EndpointRig.start();
    const submit = vi.spyOn(rig.client, 'submit');
    onTestFinished(() => submit.mockRestore());
    submit.mockRejectedValue(new RmError('database_failed', 'the disk is full'));
    for (let n = 0; n < MAX_LOOKUPS; n += 100) {
      const answers = Array.from({ length: 100 }, () => ask(rig.url, { headers: HEADERS }));
      for (const { status } of await Promise.all(answers)) expect(status).toBe(503);
    }
    expect(rig.refused('store_unavailable')).toBe(MAX_LOOKUPS);
    submit.mockRestore();
    expect((await ask(rig.url, { headers: HEADERS })).status).toBe(401);
  });
});

describe('a token that another process has just created', () => {
  // 401 would tell the agent that its token is dead.
  test('is put off with 503 until this loop knows it, and is not called wrong', async () => {
    const rig = await EndpointRig.start();
    const token = rig.enrolUnnoticed('web');
    await expect(TestAgent.connect(rig.agentUrl, token)).rejects.toThrow('503');
    const { status, headers } = await postBody(new URL(rig.url).origin, token, '[]');
    expect([status, headers['retry-after']]).toEqual([503, '1']);
    expect(rig.answered(503)).toBe(1);
    expect(rig.refused('unauthorized')).toBe(0);
    expect(rig.logged).toEqual([]);
  });
});

test.each([
  [
    'the one that the trusted proxy tells, not the client',
    ['192.0.2.1', '198.51.100.7'],
    '198.51.100.7',
  ],
  ['unknown if the proxy does not tell it', '_hidden', 'unknown'],
])('the address of a refused agent is %s', async (_, forwardedFor, address) => {
  const rig = await EndpointRig.start({ trustedProxies: ['127.0.0.1'] });
  await ask(rig.url, { headers: { 'X-Forwarded-For': forwardedFor } });
  expect(rig.events('agent_unauthorized')).toMatchObject([{ address }]);
});

describe('a request of an agent that is no WebSocket', () => {
  test('is told to upgrade', async () => {
    const rig = await EndpointRig.start();
    const headers = { Authorization: `Bearer ${await rig.enrol('web')}` };
    const answer = await ask(rig.url, { headers });
    expect([answer.status, answer.headers.upgrade]).toEqual([426, 'websocket']);
  });

  test('with a body is refused, though it asks for the upgrade', async () => {
    const rig = await EndpointRig.start();
    const raw = await RawConnection.open(rig.url);
    const headers = upgrade(await rig.enrol('web'), 'Content-Length: 2');
    raw.send('GET', '/ws/agent', headers, '{}');
    await raw.until(({ text }) => text.includes('\r\n\r\n'));
    expect(raw.text).toMatch(/^HTTP\/1\.1 400 /);
    expect(rig.endpoint.connectionCount).toBe(0);
  });
});

describe('an upgrade', () => {
  // Many libraries fail if the server accepts none of the subprotocols that they have offered.
  test('accepts the subprotocol that the agent offers, and offers none itself', async () => {
    const rig = await EndpointRig.start();
    const token = await rig.enrol('web');
    const answers: string[] = [];
    for (const more of [['Sec-WebSocket-Protocol: backup'], []]) {
      const raw = await RawConnection.open(rig.url);
      raw.send('GET', '/ws/agent', upgrade(token, ...more));
      await raw.until(({ text }) => text.includes('\r\n\r\n'));
      answers.push(raw.text.toLowerCase());
    }
    expect(answers[0]).toMatch(/^http\/1.1 101 .*\r\nsec-websocket-protocol: backup\r\n/s);
    expect(answers[1]).toMatch(/^http\/1.1 101 /);
    expect(answers[1]).not.toContain('sec-websocket-protocol');
  });

  test('beyond the eighth without a hello is refused and counted; those with one do not count', async () => {
    const rig = await EndpointRig.start();
    const token = await rig.enrol('web');
    for (let n = 0; n < 9; n++) await TestAgent.online(rig.agentUrl, token);
    for (let n = 0; n < 8; n++) await TestAgent.connect(rig.agentUrl, token);
    expect(rig.refused('too_many_connections')).toBe(0);
    await expect(TestAgent.connect(rig.agentUrl, token)).rejects.toThrow('429');
    expect(rig.refused('too_many_connections')).toBe(1);
    await TestAgent.connect(rig.agentUrl, await rig.enrol('mail'));
  });

  test('whose connection ends without a close frame has sent no bad frame', async () => {
    const rig = await EndpointRig.start();
    const token = await rig.enrol('web');
    const leave = {
      'is reset': (raw: RawConnection) => raw.vanish(),
      'is closed': (raw: RawConnection) => raw.end(),
    };
    for (const [how, end] of Object.entries(leave)) {
      const raw = await RawConnection.open(rig.url);
      raw.send('GET', '/ws/agent', upgrade(token));
      await eventually(() => expect(rig.endpoint.connectionCount).toBe(1));
      end(raw);
      await eventually(() => expect(rig.endpoint.connectionCount).toBe(0));
      expect(rig.refused('bad_frame'), how).toBe(0);
    }
    expect(rig.logged).toEqual([]);
  });
});

test('an agent that does not read its answers is disconnected for that alone', async () => {
  const rig = await EndpointRig.start();
  const agent = await TestAgent.online(rig.agentUrl, await rig.enrol('web'));
  agent.pause();
  // In the answer each of these characters takes six bytes.
  const id = '\u0001'.repeat(64);
  let unread = 0;
  while (rig.endpoint.connectionCount > 0) {
    for (let n = 0; n < 500; n++) agent.send('nonsense', {}, id);
    await setImmediate();
    if (rig.refused('unread_answers') > 0) unread++;
    expect(unread, 'it can send on and on').toBeLessThan(50);
  }
  expect(rig.refused('unread_answers'), 'however many were dropped').toBe(1);
  expect(rig.refused('bad_frame')).toBe(0);
  expect(rig.events('agent_unread_answers')).toMatchObject([
    { host: 'web', msg: 'agent connection closed: the agent does not read its answers' },
  ]);
  expect(rig.events('agent_bad_frame')).toEqual([]);
});

describe('more than 4,000 frames in one turn of the loop', () => {
  /** A frame of a client, masked with zeros (RFC 6455, section 5.2). */
  const frame = (opcode: number, payload: string) =>
    Buffer.concat([
      Buffer.from([0x80 | opcode, 0x80 | payload.length, 0, 0, 0, 0]),
      Buffer.from(payload),
    ]);

  test('close the connection with 1008, be they messages, pings or pongs', async () => {
    const rig = await EndpointRig.start();
    const raw = await RawConnection.open(rig.url);
    raw.send('GET', '/ws/agent', upgrade(await rig.enrol('web')));
    await raw.until(({ text }) => text.includes('\r\n\r\n'));
    const half = MAX_FRAMES_PER_TURN / 2;
    // So few bytes are sent, and read, at once.
    const frames = [
      ...Array<Buffer>(half).fill(frame(9, '')),
      ...Array<Buffer>(half).fill(frame(10, '')),
      frame(1, '{"type":"x"}'),
    ];
    raw.sendRaw(Buffer.concat(frames));
    await eventually(() => expect(rig.refused('too_many_messages')).toBe(1));
    expect(rig.received('other'), 'the last one').toBe(0);
    // 1008, and the reason.
    await raw.until(({ text }) => text.includes('\x03\xf0too many messages at once'));
    expect(rig.events('agent_too_many_messages')).toMatchObject([{ code: 1008 }]);
  });
});

describe('a host with 4,000 unanswered messages', () => {
  test('is disconnected by the next one, also after it has connected again', async () => {
    const rig = await EndpointRig.start();
    const token = await rig.enrol('web');
    const agent = await TestAgent.online(rig.agentUrl, token);
    const unlock = rig.lockDatabase();
    for (let n = 0; n < MAX_UNANSWERED; n++) {
      agent.send('job.started', { job_id: `${n}`, ...START });
      if (n % 1_000 === 999) await agent.heard();
    }
    agent.send('heartbeat', { sent_at: '2026-01-02T03:04:05Z' });
    await agent.heard();
    expect(agent.isClosed, 'a heartbeat needs no answer').toBe(false);
    agent.send('job.started', { job_id: 'one more', ...START });
    const closed = { code: 1013, reason: 'too many unanswered messages' };
    expect(await agent.closed).toEqual(closed);
    const again = await TestAgent.connect(rig.agentUrl, token);
    again.hello();
    expect(await again.closed).toEqual(closed);
    expect(rig.refused('too_many_unanswered')).toBe(2);
    unlock();
    await eventually(() => expect(rig.jobs).toHaveLength(MAX_UNANSWERED));
  });
});

test('a job whose agent already has its answer is observed', async () => {
  const rig = await EndpointRig.start();
  rig.client.onFinished([{ kind: 'backup', status: 'succeeded', durationMs: 1_500 }]);
  expect(rig.observed).toEqual([1_500]);
});

describe('a message that is refused', () => {
  test('is counted by its type, or as another one if it cannot be read', async () => {
    const rig = await EndpointRig.start();
    const agent = await TestAgent.online(rig.agentUrl, await rig.enrol('web'));
    agent.sendRaw(Buffer.from('{"type":"heartbeat"}'));
    agent.sendRaw(' '.repeat(MAX_MESSAGE_BYTES + 1));
    agent.sendRaw('no JSON');
    agent.send('nonsense', {});
    agent.send('job.finished', { job_id: 'unknown', ...FINISH }, 'finish');
    for (let n = 0; n < 5; n++) await agent.receive('error');
    expect(rig.received('other')).toBe(4);
    expect(rig.received('hello')).toBe(1);
    expect(rig.received('heartbeat')).toBe(0);
    expect(rig.received('job.finished')).toBe(1);
    expect(rig.refused('bad_message')).toBe(3);
    expect(rig.refused('unknown_type')).toBe(1);
    expect(rig.refused('unknown_job')).toBe(1);
  });

  test('because no hello came before it is told so by its id, and counted once', async () => {
    const rig = await EndpointRig.start();
    const agent = await TestAgent.connect(rig.agentUrl, await rig.enrol('web'));
    agent.send('heartbeat', { sent_at: '2026-01-02T03:04:05Z' }, 'early');
    const { payload } = await agent.receive('error');
    expect(payload).toMatchObject({ code: 'hello_required', id: 'early' });
    expect(rig.received('heartbeat')).toBe(1);
    expect(rig.received('other')).toBe(0);
    expect(rig.refused('hello_required')).toBe(1);
  });
});

describe('a hello', () => {
  test('that is refused closes the connection with the code of its error', async () => {
    const rig = await EndpointRig.start();
    const agent = await TestAgent.connect(rig.agentUrl, await rig.enrol('web'));
    agent.hello({ protocol_version: 2 });
    await agent.receive('error');
    expect(await agent.closed).toEqual({ code: 4001, reason: 'protocol_too_new' });
    expect(rig.refused('protocol_too_new')).toBe(1);
    expect(rig.refused('bad_hello')).toBe(1);
  });

  test('may come again once it was answered, as after an update of restic, but not before', async () => {
    const rig = await EndpointRig.start();
    const agent = await TestAgent.online(rig.agentUrl, await rig.enrol('web'));
    for (let n = 0; n < 3; n++) {
      agent.hello({ restic_version: `0.18.${n}` });
      expect((await agent.receive('welcome')).payload.host).toBe('web');
    }
    const unlock = rig.lockDatabase();
    agent.hello();
    agent.send('hello', { protocol_version: 1, agent_version: '1', hostname: 'x' }, 'second');
    const { payload } = await agent.receive('error');
    expect(payload).toMatchObject({ code: 'bad_message', id: 'second' });
    expect(payload.message).toMatch(/wait for the welcome/);
    unlock();
    await agent.receive('welcome');
  });

  test('is followed by other messages, which need not wait for the welcome', async () => {
    const rig = await EndpointRig.start();
    const agent = await TestAgent.connect(rig.agentUrl, await rig.enrol('web'));
    agent.hello();
    agent.send('job.started', { job_id: 'first', ...START }, 'first');
    await agent.receive('welcome');
    expect((await agent.receive('ack')).payload.id).toBe('first');
  });

  test('with an id is answered by the welcome alone', async () => {
    const rig = await EndpointRig.start();
    const agent = await TestAgent.connect(rig.agentUrl, await rig.enrol('web'));
    const payload = { protocol_version: 1, agent_version: '1.0.0', hostname: 'test' };
    agent.send('hello', payload, 'hello');
    await agent.receive('welcome');
    await agent.report('repo.stats', {}, 'stats');
  });

  test('that never comes does not lock the host out once its connection is gone', async () => {
    const rig = await EndpointRig.start();
    const token = await rig.enrol('web');
    for (let n = 0; n < 20; n++) {
      const agent = await TestAgent.connect(rig.agentUrl, token);
      agent.close();
      await agent.closed;
    }
    await TestAgent.online(rig.agentUrl, token);
    expect(rig.endpoint.connectionCount).toBe(1);
  });
});

// `hosts remove` is another process: the server may hear of it a moment later.
describe('an agent whose host was just removed', () => {
  const LAST_MESSAGES: readonly (readonly [type: string, payload: object])[] = [
    ['job.started', { job_id: '1', ...START }],
    ['job.finished', { job_id: '1', ...START, ...FINISH }],
    ['repo.stats', { snapshot_count: 1 }],
    ['hello', { protocol_version: 1, agent_version: '1', hostname: 'x' }],
  ];

  test('gets no answer to whatever it sends, and is closed with 4002', async () => {
    const rig = await EndpointRig.start();
    for (const [type, payload] of LAST_MESSAGES) {
      const token = await rig.enrol(type);
      const agent = await (type === 'hello'
        ? TestAgent.connect(rig.agentUrl, token)
        : TestAgent.online(rig.agentUrl, token));
      rig.removeUnnoticed(type);
      agent.send(type, payload, 'last');
      await expect(agent.receiveAny(), type).rejects.toThrow('closed with 4002');
      expect(await agent.closed, type).toEqual({ code: 4002, reason: 'host removed' });
    }
    expect(rig.refused('removed')).toBe(LAST_MESSAGES.length);
    expect(rig.observed).toEqual([]);
  });
});

describe('a connection that has said hello', () => {
  test('is closed after 90 seconds without a message, in spite of its pings', async () => {
    vi.useFakeTimers({ toFake: ['performance', 'setInterval', 'clearInterval'] });
    onTestFinished(() => void vi.useRealTimers());
    const rig = await EndpointRig.start();
    const agent = await TestAgent.online(rig.agentUrl, await rig.enrol('web'));
    vi.advanceTimersByTime(80_000);
    agent.send('heartbeat', { sent_at: '2026-01-02T03:04:05Z' });
    await agent.heard();
    vi.advanceTimersByTime(80_000);
    await agent.heard();
    expect(agent.isClosed, 'the heartbeat came 80 seconds ago').toBe(false);
    vi.advanceTimersByTime(11_000);
    expect(await agent.closed).toEqual({ code: 1001, reason: 'no message in time' });
    expect(rig.refused('silent')).toBe(1);
  });

  test('stays open when a later hello is refused', async () => {
    const rig = await EndpointRig.start();
    const agent = await TestAgent.online(rig.agentUrl, await rig.enrol('web'));
    agent.hello({ protocol_version: 2 });
    expect((await agent.receive('error')).payload.code).toBe('protocol_too_new');
    await agent.report('repo.stats', {}, 'stats');
    expect(rig.refused('bad_hello')).toBe(0);
  });

  test('is told why it is closed: its token was replaced, or its host removed', async () => {
    const rig = await EndpointRig.start();
    const replaced = await TestAgent.online(rig.agentUrl, await rig.enrol('web'));
    const removed = await TestAgent.online(rig.agentUrl, await rig.enrol('mail'));
    await rig.client.submit('replaceToken', { hostId: await rig.hostId('web') });
    await rig.client.submit('removeHost', { hostId: await rig.hostId('mail') });
    expect(await replaced.closed).toEqual({ code: 4002, reason: 'token replaced' });
    expect(await removed.closed).toEqual({ code: 4002, reason: 'host removed' });
  });
});

// What it would say next is a hello, with a token that is good no more.
describe('a connection that has not said hello', () => {
  test('is closed after 10 seconds, also if it has said something else', async () => {
    vi.useFakeTimers({ toFake: ['performance', 'setInterval', 'clearInterval'] });
    onTestFinished(() => void vi.useRealTimers());
    const rig = await EndpointRig.start();
    const agent = await TestAgent.connect(rig.agentUrl, await rig.enrol('web'));
    vi.advanceTimersByTime(9_000);
    agent.send('heartbeat', { sent_at: '2026-01-02T03:04:05Z' });
    await agent.receive('error');
    expect(agent.isClosed).toBe(false);
    vi.advanceTimersByTime(2_000);
    expect(await agent.closed).toEqual({ code: 4001, reason: 'no hello in time' });
  });

  test('is closed when the token that it was opened with is replaced', async () => {
    const rig = await EndpointRig.start();
    const token = await rig.enrol('web');
    const other = await TestAgent.connect(rig.agentUrl, await rig.enrol('mail'));
    const agent = await TestAgent.connect(rig.agentUrl, token);
    await rig.client.submit('replaceToken', { hostId: await rig.hostId('web') });
    expect(await agent.closed).toEqual({ code: 4002, reason: 'token replaced' });
    await expect(TestAgent.connect(rig.agentUrl, token)).rejects.toThrow('401');
    other.hello();
    await other.receive('welcome');
  });

  test('is closed when its host is removed', async () => {
    const rig = await EndpointRig.start();
    const agent = await TestAgent.connect(rig.agentUrl, await rig.enrol('web'));
    await rig.client.submit('removeHost', { hostId: await rig.hostId('web') });
    expect((await agent.closed).code).toBe(4002);
  });
});

describe('the socket of an agent', () => {
  test('counts no more when the agent has left', async () => {
    const rig = await EndpointRig.start();
    const agent = await TestAgent.online(rig.agentUrl, await rig.enrol('web'));
    expect(rig.openSockets).toBe(1);
    agent.terminate();
    await eventually(() => expect(rig.endpoint.connectionCount).toBe(0));
    expect(rig.openSockets).toBe(0);
  });

  // The process has it for some seconds: who is sent away again and again must not get more than its share.
  test('counts on when the server has sent away an agent that does not go', async () => {
    const rig = await EndpointRig.start();
    const agent = await TestAgent.online(rig.agentUrl, await rig.enrol('web'));
    agent.pause();
    await rig.client.submit('removeHost', { hostId: await rig.hostId('web') });
    await eventually(() => expect(rig.endpoint.connectionCount).toBe(0));
    expect(rig.openSockets).toBe(1);
  });
});

describe('while it drains, the endpoint', () => {
  test('stores and acknowledges what it has taken before, and nothing that comes then', async () => {
    const rig = await EndpointRig.start();
    const agent = await TestAgent.online(rig.agentUrl, await rig.enrol('web'));
    const unlock = rig.lockDatabase();
    agent.send('job.started', { job_id: 'before', ...START }, 'before');
    await agent.heard();
    const drained = rig.endpoint.drain();
    agent.send('job.started', { job_id: 'after', ...START }, 'after');
    agent.send('job.finished', { job_id: 'after', ...START, ...FINISH }, 'after');
    agent.sendRaw('no JSON');
    await agent.heard();
    unlock();
    await drained;
    expect((await agent.receive('ack')).payload.id).toBe('before');
    await expect(agent.receive('ack')).rejects.toThrow('closed with 1012');
    expect(await agent.closed).toEqual({ code: 1012, reason: 'restarting' });
    expect(rig.jobs).toEqual(['before']);
    expect(rig.observed).toEqual([]);
  });

  test('closes no agent for its silence, so that all hear of the restart', async () => {
    vi.useFakeTimers({ toFake: ['performance', 'setInterval', 'clearInterval'] });
    onTestFinished(() => void vi.useRealTimers());
    const rig = await EndpointRig.start();
    const silent = await TestAgent.online(rig.agentUrl, await rig.enrol('web'));
    const ungreeted = await TestAgent.connect(rig.agentUrl, await rig.enrol('mail'));
    const unlock = rig.lockDatabase();
    silent.send('job.started', { job_id: 'a', ...START });
    await silent.heard();
    const drained = rig.endpoint.drain();
    vi.advanceTimersByTime(100_000);
    unlock();
    await drained;
    for (const agent of [silent, ungreeted]) {
      expect(await agent.closed).toEqual({ code: 1012, reason: 'restarting' });
    }
    expect([rig.refused('silent'), rig.refused('bad_hello')]).toEqual([0, 0]);
  });

  test('sends away at once who connects meanwhile', async () => {
    const rig = await EndpointRig.start();
    const token = await rig.enrol('mail');
    const agent = await TestAgent.online(rig.agentUrl, await rig.enrol('web'));
    const unlock = rig.lockDatabase();
    agent.send('job.started', { job_id: 'before', ...START }, 'before');
    await agent.heard();
    const drained = rig.endpoint.drain();
    const late = await TestAgent.connect(rig.agentUrl, token);
    expect(await late.closed).toEqual({ code: 1012, reason: 'restarting' });
    expect(agent.isClosed, 'what it has sent is not stored yet').toBe(false);
    unlock();
    await drained;
  });

  test('shows no host as offline, since it is the server that leaves', async () => {
    const rig = await EndpointRig.start();
    const agent = await TestAgent.online(rig.agentUrl, await rig.enrol('web'));
    await rig.endpoint.drain();
    await agent.closed;
    const [host] = await rig.client.submit('listHosts', null);
    expect(host).toMatchObject({ host: 'web', status: 'online' });
  });

  test('does not wait for messages that have failed', async () => {
    const rig = await EndpointRig.start();
    const agent = await TestAgent.online(rig.agentUrl, await rig.enrol('web'));
    await rig.store.close();
    agent.send('job.started', { job_id: 'failed', ...START }, 'failed');
    expect((await agent.closed).code).toBe(1013);
    const startedAt = performance.now();
    await rig.endpoint.drain(30_000);
    expect(performance.now() - startedAt).toBeLessThan(10_000);
  });

  test('waits no longer than there is something to store', async () => {
    const rig = await EndpointRig.start();
    await TestAgent.online(rig.agentUrl, await rig.enrol('web'));
    const startedAt = performance.now();
    await rig.endpoint.drain(30_000);
    expect(performance.now() - startedAt).toBeLessThan(10_000);
  });

  test('does not wait for reports by HTTP that were answered', async () => {
    const rig = await EndpointRig.start();
    const raw = await RawConnection.open(rig.url);
    const headers = [`Authorization: Bearer ${await rig.enrol('web')}`, 'Content-Length: 2'];
    raw.send('POST', '/agent/messages', headers, '[]');
    await raw.until(({ text }) => text.includes('200 OK'));
    const startedAt = performance.now();
    await rig.endpoint.drain(30_000);
    expect(performance.now() - startedAt).toBeLessThan(10_000);
  });

  test('answers the report by HTTP that it has, and puts off others with 503', async () => {
    const rig = await EndpointRig.start();
    const { origin } = new URL(rig.url);
    const token = await rig.enrol('web');
    const body = (jobId: string) =>
      JSON.stringify([{ type: 'job.started', payload: { job_id: jobId, ...START } }]);
    const unlock = rig.lockDatabase();
    const first = postBody(origin, token, body('before'));
    await eventually(() => expect(rig.received('job.started')).toBe(1));
    const drained = rig.endpoint.drain();
    const late = await postBody(origin, token, body('after'));
    expect([late.status, late.headers['retry-after']]).toEqual([503, '1']);
    expect(rig.answered(503)).toBe(1);
    unlock();
    await drained;
    expect(rig.answered(200), 'when it is drained').toBe(1);
    expect((await first).status).toBe(200);
    expect(rig.jobs).toEqual(['before']);
  });

  test('does not wait for a store that cannot write, and acknowledges nothing', async () => {
    const rig = await EndpointRig.start();
    const agent = await TestAgent.online(rig.agentUrl, await rig.enrol('web'));
    const unlock = rig.lockDatabase();
    agent.send('job.started', { job_id: 'lost', ...START }, 'lost');
    await agent.heard();
    await rig.endpoint.drain(50);
    await expect(agent.receive('ack')).rejects.toThrow('closed with 1012');
    expect(rig.jobs).toEqual([]);
    unlock();
  });
});
