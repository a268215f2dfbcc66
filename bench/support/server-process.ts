import { type ChildProcess, fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { Listening, Order, ServerCommand, ServerReply, Start } from '../servers/protocol.ts';

const SERVE = fileURLToPath(new URL('../servers/serve.ts', import.meta.url));

/** A server in another process. It ends with this process. */
export class ServerProcess {
  readonly port: number;
  readonly tokens: readonly string[];
  readonly #process: ChildProcess;

  private constructor(process: ChildProcess, { port, tokens = [] }: Listening) {
    this.#process = process;
    this.port = port;
    this.tokens = tokens;
  }

  /** @param serve the file to run; default: the source */
  static async start(start: Start, serve: string = SERVE): Promise<ServerProcess> {
    const child = fork(serve, {
      // The peers need this heap at 100,000 hosts. It is set in the environment because not every
      // thread accepts it as a flag.
      env: { ...process.env, NODE_OPTIONS: nodeOptions(start.kind) },
      // A `LoopReport` contains a typed array, which JSON would not preserve.
      serialization: 'advanced',
    });
    child.send(start);
    return new ServerProcess(child, await listening(child, start.kind));
  }

  /** A program in another language. It reads `input` and writes its port to standard output. */
  static async startProgram(file: string, input: string): Promise<ServerProcess> {
    const child = spawn(file, { stdio: ['pipe', 'pipe', 'inherit'] });
    // Standard input stays open. If it closes, this process is gone, and the server ends.
    child.stdin.write(`${input}\n`);
    const [line] = await once(child.stdout, 'data');
    return new ServerProcess(child, { port: Number(String(line)) });
  }

  get pid(): number {
    return this.#process.pid ?? 0;
  }

  /** @returns the answer, if the command has one */
  tell(command: ServerCommand, value = 0): Promise<unknown> {
    return new Promise((resolve) => {
      const listen = (reply: ServerReply) => {
        if (!('done' in reply) || reply.done !== command) return;
        this.#process.off('message', listen);
        resolve(reply.answer);
      };
      this.#process.on('message', listen);
      const order: Order = { command, value };
      this.#process.send(order);
    });
  }

  /**
   * For a program in another language: writes a line to it.
   * @returns the line that it answers
   */
  async ask(line: string): Promise<string> {
    const { stdin, stdout } = this.#process;
    if (stdin === null || stdout === null) throw new Error('this server takes commands, not lines');
    const answered = once(stdout, 'data');
    stdin.write(`${line}\n`);
    const [answer] = await answered;
    return String(answer).trim();
  }

  async stop(): Promise<void> {
    const exited = once(this.#process, 'exit');
    this.#process.kill('SIGKILL');
    await exited;
  }
}

/** The control plane also gets the flag with which `restic-manager` runs: `--max-semi-space-size`. */
function nodeOptions(kind: Start['kind']): string {
  const ofPeers = '--max-old-space-size=8192';
  return kind === 'control plane' ? `${ofPeers} --max-semi-space-size=4` : ofPeers;
}

function listening(child: ChildProcess, name: string): Promise<Listening> {
  return new Promise((resolve, reject) => {
    child.once('exit', (code) => reject(new Error(`${name} ended with ${code}`)));
    child.once('message', (reply: ServerReply) => {
      if ('port' in reply) resolve(reply);
    });
  });
}
