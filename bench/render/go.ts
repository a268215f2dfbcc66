import { goInput } from '../peers/go.ts';
import { benchFleet } from '../support/fleet.ts';
import { jobTable } from '../support/jobs.ts';
import { type Encoding, Scraper } from '../support/scraper.ts';
import { ServerProcess } from '../support/server-process.ts';
import type { ListedTask } from './protocol.ts';

/** client_golang's handler, with a writer that discards its input. */
export class GoRenderProcess {
  readonly tasks: readonly ListedTask[] = [
    { name: 'Go client_golang', role: 'peer', encoding: 'identity' },
    { name: 'Go client_golang', role: 'peer', encoding: 'gzip' },
  ];
  readonly #process: ServerProcess;

  private constructor(process: ServerProcess) {
    this.#process = process;
  }

  static async start(file: string, hosts: number): Promise<GoRenderProcess> {
    const input = goInput(benchFleet(hosts), jobTable());
    return new GoRenderProcess(await ServerProcess.startProgram(file, input));
  }

  async time({ encoding }: ListedTask) {
    const startedAt = performance.now();
    const ns = Number(await this.#process.ask(encoding));
    return {
      overriddenDuration: ns / 1e6,
      overriddenIterationCost: performance.now() - startedAt,
    };
  }

  async body(encoding: Encoding): Promise<Buffer> {
    const scraper = await Scraper.open(this.#process.port, encoding);
    const body = await scraper.body();
    scraper.close();
    return body;
  }

  close(): Promise<void> {
    return this.#process.stop();
  }
}
