import { type GoPeer, goInput } from '../peers/go.ts';
import { benchFleet } from '../support/fleet.ts';
import { jobTable } from '../support/jobs.ts';
import { type Encoding, Scraper } from '../support/scraper.ts';
import { ServerProcess } from '../support/server-process.ts';
import type { ListedTask } from './protocol.ts';

/** The handler of a Go library, with a writer that discards its input. */
export class GoRenderProcess {
  readonly tasks: readonly ListedTask[];
  readonly #process: ServerProcess;

  private constructor(name: string, process: ServerProcess) {
    this.#process = process;
    this.tasks = [
      { name, role: 'peer', encoding: 'identity' },
      { name, role: 'peer', encoding: 'gzip' },
    ];
  }

  static async start({ name, file }: GoPeer, hosts: number): Promise<GoRenderProcess> {
    const input = goInput(benchFleet(hosts), jobTable());
    return new GoRenderProcess(name, await ServerProcess.startProgram(file, input));
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
