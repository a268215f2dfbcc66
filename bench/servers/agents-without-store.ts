import { Networks } from '../../src/access/networks.ts';
import type { Answer, OperationName, Request } from '../../src/contract/operations.ts';
import { createMetrics } from '../../src/index.ts';
import type { AgentStore } from '../../src/loop/agents/agent-store.ts';
import { AgentEndpoint } from '../../src/loop/agents/endpoint.ts';
import { RequestBudget } from '../../src/loop/http/request-budget.ts';
import { SocketLimit } from '../../src/loop/http/socket-limit.ts';
import { EventLog } from '../../src/platform/event-log.ts';
import { createLog } from '../../src/platform/log.ts';
import { uws } from '../../src/platform/uws.ts';
import { ServerStats } from '../../src/shared/server-stats.ts';
import { listen } from './listen.ts';
import type { Served, Start } from './protocol.ts';

const HOST_ID_LENGTH = 26;

/**
 * Our agents' endpoint and histogram, with a store that accepts everything at once and keeps
 * nothing.
 */
export async function serve({ hosts }: Start): Promise<Served> {
  const { registry } = createMetrics({ gates: {} });
  const app = uws().App();
  new AgentEndpoint({
    store: new ForgetfulStore(),
    stats: ServerStats.create().writer(),
    events: new EventLog(createLog('silent'), EventLog.allocate()),
    requests: new RequestBudget(),
    sockets: new SocketLimit(SocketLimit.allocate(), () => {}),
    proxies: new Networks([], ''),
    observeJob: (kind, status, durationMs) => registry.observeJob(kind, status, durationMs),
  }).mount(app);
  const tokens = Array.from({ length: hosts }, (_, index) => `token-${index}`);
  return { port: await listen(app), tokens };
}

class ForgetfulStore implements AgentStore {
  onDisconnect = () => {};
  onTokensRevoked = () => {};
  onFinished = () => {};
  #connections = 0;

  /** Each token belongs to its own host, so each agent has its own budget of pending operations. */
  hostOfToken(tokenDigest: Buffer): string {
    return tokenDigest.toString('hex').slice(0, HOST_ID_LENGTH);
  }

  numberConnection(): number {
    return ++this.#connections;
  }

  async submit<N extends OperationName>(name: N, request: Request<N>): Promise<Answer<N>> {
    return answer(name, request) as Answer<N>;
  }
}

function answer(name: OperationName, request: Request<OperationName>): unknown {
  if (name === 'hello') return { host: 'db-fra1-0042.backup.example.net' };
  if (name !== 'finishJob') return 'recorded';
  const { kind, startedAtMs, finishedAtMs } = request as Request<'finishJob'>;
  return { first: true, kind, durationMs: finishedAtMs - (startedAtMs ?? 0) };
}
