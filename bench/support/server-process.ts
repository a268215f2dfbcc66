import { type ChildProcess, fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { ServerCommand, ServerReply, Start } from '../servers/protocol.ts';

const SERVE = fileURLToPath(new URL('../servers/serve.ts', import.meta.url));

/** A server in another process, which ends with this one. */
export class ServerProcess {
  readonly port: number;
  readonly #process: ChildProcess;

  private constructor(process: ChildProcess, port: number) {
    this.#process = process;
    this.port = port;
  }

  static async start(start: Start): Promise<ServerProcess> {
    const child = fork(SERVE, { execArgv: ['--max-old-space-size=8192'] });
    child.send(start);
    return new ServerProcess(child, await firstPort(child, start.kind));
  }

  /** A program of another language: it reads `input` and writes its port to standard output. */
  static async startProgram(file: string, input: string): Promise<ServerProcess> {
    const child = spawn(file, { stdio: ['pipe', 'pipe', 'inherit'] });
    // Its standard input stays open: a server that sees it end has lost us, and ends too.
    child.stdin.write(`${input}\n`);
    const [line] = await once(child.stdout, 'data');
    return new ServerProcess(child, Number(String(line)));
  }

  get pid(): number {
    return this.#process.pid ?? 0;
  }

  async tell(command: ServerCommand): Promise<void> {
    const answered = once(this.#process, 'message');
    this.#process.send(command);
    await answered;
  }

  async stop(): Promise<void> {
    const exited = once(this.#process, 'exit');
    this.#process.kill('SIGKILL');
    await exited;
  }
}

function firstPort(child: ChildProcess, name: string): Promise<number> {
  return new Promise((resolve, reject) => {
    child.once('exit', (code) => reject(new Error(`${name} ended with ${code}`)));
    child.once('message', (reply: ServerReply) => {
      if ('port' in reply) resolve(reply.port);
    });
  });
}
