import { WebSocket } from 'ws';

/*
 * The agents of a storm. They run in their own process, because both ends of all sockets would be
 * too many open files for one.
 *
 * The process receives the address and the tokens. All agents connect at once. It reports when all
 * were welcomed, and when all were closed, with the close codes.
 */
export interface CrowdOrder {
  readonly url: string;
  readonly tokens: readonly string[];
}

export type CrowdReport =
  | { readonly welcomedMs: number }
  | { readonly closeCodes: Readonly<Record<string, number>> };

const HELLO = JSON.stringify({
  type: 'hello',
  payload: { protocol_version: 1, agent_version: '1.0.0', hostname: 'storm', os: 'linux' },
});
const RETRY_MS = 500;

process.once('message', ({ url, tokens }: CrowdOrder) => {
  const startedAt = performance.now();
  const closeCodes: Record<string, number> = {};
  let welcomed = 0;
  let closed = 0;
  const connect = (token: string) => {
    const headers = { Authorization: `Bearer ${token}` };
    const socket = new WebSocket(url, { headers, perMessageDeflate: false });
    let isWelcome = false;
    socket.on('error', () => {});
    socket.on('open', () => socket.send(HELLO));
    socket.on('message', () => {
      isWelcome = true;
      welcomed++;
      if (welcomed === tokens.length) tell({ welcomedMs: performance.now() - startedAt });
    });
    socket.on('close', (code) => {
      // Like real agents, one that could not connect tries again.
      if (!isWelcome) return void setTimeout(() => connect(token), RETRY_MS);
      closeCodes[code] = (closeCodes[code] ?? 0) + 1;
      closed++;
      if (closed === tokens.length) tell({ closeCodes });
    });
  };
  for (const token of tokens) connect(token);
});
process.on('disconnect', () => process.exit());

function tell(report: CrowdReport): void {
  process.send?.(report);
}
