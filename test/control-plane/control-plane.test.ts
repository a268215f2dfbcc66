import { createServer } from 'node:net';
import type { Worker } from 'node:worker_threads';
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { loadSettings } from '../../src/config/load.ts';
import { type ControlPlane, startControlPlane } from '../../src/control-plane/control-plane.ts';
import { createLog } from '../../src/platform/log.ts';
import { askApi } from '../support/api.ts';
import { ask } from '../support/http.ts';
import { eventually, TOKEN, temporaryDirectory } from '../support/serve.ts';

/** How the threads ended: 0 by themselves, 1 because they were terminated or died. */
let ended: number[];
let started: number;

function watch(worker: Worker): void {
  started++;
  worker.on('exit', (code) => ended.push(code));
}

beforeEach(() => {
  started = 0;
  ended = [];
  process.on('worker', watch);
});

afterEach(() => void process.off('worker', watch));

function start(agentThreads: string, listen = '127.0.0.1:0'): Promise<ControlPlane> {
  const { settings } = loadSettings({
    RM_DATA_DIR: temporaryDirectory(),
    RM_LISTEN: listen,
    RM_METRICS_TOKEN: TOKEN,
    RM_AGENT_THREADS: agentThreads,
  });
  return startControlPlane({
    settings,
    log: createLog('silent'),
    onDeath: (error) => expect.fail(error.message),
  });
}

describe.each([
  ['1', 3],
  ['2', 5],
])('a control plane with agent_threads=%s', (agentThreads, threads) => {
  test('ends all its threads when it is closed', async () => {
    const controlPlane = await start(agentThreads);
    onTestFinished(() => controlPlane.close());
    for (let n = 0; n < 2; n++) {
      expect((await askApi(controlPlane.url, '/api/fleet')).status).toBe(200);
      const headers = { Authorization: `Bearer ${TOKEN}` };
      expect((await ask(`${controlPlane.url}/metrics`, { headers })).status).toBe(200);
    }
    await controlPlane.close();
    console.log(ended, started);
    expect(started).toBe(threads);
    await eventually(() => expect(ended).toHaveLength(threads));
    // piscina terminates the render thread.
    expect(ended.filter((code) => code !== 0)).toEqual([1]);
    await controlPlane.close();
  });

  test('that cannot listen ends all threads that it had started', async () => {
    const taken = createServer();
    onTestFinished(() => void taken.close());
    await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
    const address = taken.address();
    if (address === null || typeof address === 'string') throw new Error('no port');
    await expect(start(agentThreads, `127.0.0.1:${address.port}`)).rejects.toMatchObject({
      code: 'listen_failed',
    });
    console.log(ended, started);
    // No request has started the query thread.
    expect(started).toBe(threads - 1);
    await eventually(() => expect(ended).toHaveLength(started));
  });
});
