import { readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';

/*
 * A process that sends the same bytes again and again, as fast as they are taken, for a limited time and to a port
 * of this machine only. It connects again whenever it is cut off. At the end it prints what it saw as JSON.
 */
export interface Attack {
  readonly port: number;
  readonly seconds: number;
  /** Sent once on each connection, and answered, before the flood begins; none: at once. */
  readonly upgradeWith?: string;
  /** Sent once after that: a text frame. */
  readonly greeting?: string;
  /** Sent once before the flood, as latin1. */
  readonly prefix?: string;
  /** What is repeated, as latin1. `{n}` stands for a number that rises. */
  readonly repeat: string;
  /** Whether `repeat` is a WebSocket frame to be masked: its opcode. */
  readonly opcode?: number;
  /** Whether the answers are read. */
  readonly reads: boolean;
}

export interface AttackReport {
  readonly connections: number;
  readonly bytesSent: number;
  /** Close codes of WebSockets by how often they came. */
  readonly closeCodes: Readonly<Record<string, number>>;
}

const CHUNK = 256 * 1024;
const MAX_CONNECTIONS = 2_000;

if (process.argv[2] !== undefined) {
  await run(JSON.parse(readFileSync(process.argv[2], 'utf8')) as Attack);
}

async function run(attack: Attack): Promise<void> {
  const until = Date.now() + attack.seconds * 1000;
  const report = { connections: 0, bytesSent: 0, closeCodes: {} as Record<string, number> };
  let n = 0;
  const next = (): Buffer => {
    const parts: Buffer[] = [];
    let length = 0;
    while (length < CHUNK) {
      const text = attack.repeat.replaceAll('{n}', () => `${process.pid}-${n}`);
      n++;
      const payload = Buffer.from(text, 'latin1');
      const part = attack.opcode === undefined ? payload : frame(attack.opcode, payload);
      parts.push(part);
      length += part.length;
    }
    return Buffer.concat(parts);
  };
  // Without a number in it each chunk is the same.
  const fixed = attack.repeat.includes('{n}') ? undefined : next();
  while (Date.now() < until && report.connections < MAX_CONNECTIONS) {
    report.connections++;
    await flood(attack, until, () => fixed ?? next(), report);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  process.stdout.write(JSON.stringify(report));
  process.exit(0);
}

function flood(
  { port, upgradeWith, greeting, prefix, reads }: Attack,
  until: number,
  next: () => Buffer,
  report: { bytesSent: number; closeCodes: Record<string, number> },
): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port });
    const timer = setTimeout(() => socket.destroy(), Math.max(0, until - Date.now()));
    socket.on('error', () => {});
    socket.on('close', () => {
      clearTimeout(timer);
      resolve();
    });
    const begin = () => {
      if (greeting !== undefined) socket.write(frame(1, Buffer.from(greeting)));
      if (prefix !== undefined) socket.write(prefix, 'latin1');
      if (!reads) socket.pause();
      pump(socket, until, next, report);
    };
    socket.on('connect', () => {
      if (upgradeWith === undefined) begin();
      else socket.write(upgradeWith);
    });
    let upgraded = upgradeWith === undefined;
    let tail = Buffer.alloc(0);
    socket.on('data', (data) => {
      if (!upgraded) {
        upgraded = true;
        begin();
      }
      if (upgradeWith === undefined) return;
      // A close frame of the server is its last: 88, the length, and the code.
      tail = Buffer.concat([tail, data]).subarray(-130);
      const at = tail.lastIndexOf(0x88);
      if (at < 0 || at + 2 + (tail[at + 1] ?? 0) !== tail.length || tail.length < at + 4) return;
      const code = tail.readUInt16BE(at + 2);
      report.closeCodes[code] = (report.closeCodes[code] ?? 0) + 1;
    });
  });
}

function pump(
  socket: Socket,
  until: number,
  next: () => Buffer,
  report: { bytesSent: number },
): void {
  const write = () => {
    while (!socket.destroyed && Date.now() < until) {
      const chunk = next();
      report.bytesSent += chunk.length;
      if (!socket.write(chunk)) return void socket.once('drain', write);
    }
  };
  write();
}

/** A frame of a client: final, and masked with zeros, which costs nothing (RFC 6455, section 5.2). */
function frame(opcode: number, payload: Buffer): Buffer {
  const { length } = payload;
  const head =
    length < 126
      ? [0x80 | length]
      : length < 65_536
        ? [0x80 | 126, length >> 8, length & 0xff]
        : [0x80 | 127, 0, 0, 0, 0, ...uint32(length)];
  return Buffer.concat([Buffer.from([0x80 | opcode, ...head, 0, 0, 0, 0]), payload]);
}

function uint32(value: number): number[] {
  return [value >>> 24, (value >> 16) & 0xff, (value >> 8) & 0xff, value & 0xff];
}
