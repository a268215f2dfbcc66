import { connect } from 'node:net';
import { WebSocket } from 'ws';

/*
 * A process with clients that come and go without pause: agents that connect again as soon as they are sent away,
 * health checks, and sockets that say nothing. It gets the port, the tokens and the number of each as JSON, prints
 * `ready` when all agents were welcomed, and ends when its standard input does. Then it prints the close codes that
 * agents saw.
 */
interface Crowd {
  readonly port: number;
  readonly tokens: readonly string[];
  readonly healthChecks: number;
  readonly silent: number;
}

const PAUSE_MS = 5;
const { port, tokens, healthChecks, silent }: Crowd = JSON.parse(process.argv[2] ?? '{}');
const closeCodes: Record<number, number> = {};
let welcomed = 0;

for (const token of tokens) keepAgent(token);
for (let n = 0; n < healthChecks; n++) keepConnecting('GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n');
for (let n = 0; n < silent; n++) keepConnecting('');
process.stdin.on('end', () => {
  process.stdout.write(JSON.stringify(closeCodes), () => process.exit(0));
});
process.stdin.resume();

function keepAgent(token: string): void {
  const headers = { Authorization: `Bearer ${token}` };
  const socket = new WebSocket(`ws://127.0.0.1:${port}/ws/agent`, { headers });
  socket.on('error', () => {});
  socket.on('open', () => {
    const payload = { protocol_version: 1, agent_version: '1', hostname: 'crowd' };
    socket.send(JSON.stringify({ type: 'hello', payload }));
  });
  socket.on('message', () => {
    welcomed++;
    if (welcomed === tokens.length) process.stdout.write('ready\n');
  });
  socket.on('close', (code) => {
    closeCodes[code] = (closeCodes[code] ?? 0) + 1;
    setTimeout(() => keepAgent(token), PAUSE_MS);
  });
}

function keepConnecting(request: string): void {
  const socket = connect({ host: '127.0.0.1', port });
  socket.on('error', () => {});
  socket.on('connect', () => {
    if (request !== '') socket.write(request);
  });
  socket.on('data', () => socket.destroy());
  const timer = setTimeout(() => socket.destroy(), 50);
  socket.on('close', () => {
    clearTimeout(timer);
    setTimeout(() => keepConnecting(request), PAUSE_MS);
  });
}
