import type { Encoding } from '../../../src/contract/encoding.ts';
import { type RenderedBody, RenderThread } from '../../../src/loop/doors/render-thread.ts';
import { FleetTable } from '../../../src/shared/fleet-table.ts';
import { JobHistogram } from '../../../src/shared/job-histogram.ts';
import { NOT_EMBEDDED } from '../../../src/shared/server-families.ts';
import { hostId, hostName } from '../../support/scrape-rig.ts';

/** A real render thread that a test can hold up, and whose bodies are counted as they come and go. */
export class CountedRenders {
  handedOut = 0;
  returned = 0;
  readonly #fleet = new FleetTable();
  readonly #thread: RenderThread;
  readonly #out = new Set<RenderedBody>();
  #held: Promise<void> | undefined;
  #waiting = 0;
  #fails = false;

  private constructor() {
    this.#thread = new RenderThread({
      fleet: this.#fleet.buffer,
      jobs: JobHistogram.create().buffer,
      stats: undefined,
      exclude: NOT_EMBEDDED,
      build: { version: '0', commit: '0', nodeVersion: '0' },
    });
  }

  static async start(): Promise<CountedRenders> {
    const renders = new CountedRenders();
    await renders.#thread.warmUp();
    return renders;
  }

  async close(): Promise<void> {
    await this.#thread.close();
  }

  async render(encodings: readonly Encoding[]): Promise<RenderedBody> {
    const body = await this.#thread.render(encodings);
    this.#waiting++;
    await this.#held;
    this.#waiting--;
    if (this.#fails) {
      this.#fails = false;
      body.release();
      throw new Error('as if the thread had died');
    }
    const release = body.release;
    this.handedOut++;
    this.#out.add(body);
    body.release = () => {
      this.returned++;
      this.#out.delete(body);
      release();
    };
    return body;
  }

  /** Lets no render end, though it has read the fleet, until the returned function is called. */
  hold(): () => void {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#held = promise;
    return () => {
      this.#held = undefined;
      resolve();
    };
  }

  /** Whether a render has read the fleet and is held up. */
  get isHeld(): boolean {
    return this.#held !== undefined && this.#waiting > 0;
  }

  failNext(): void {
    this.#fails = true;
  }

  /** A thousand hosts are a megabyte of exposition. */
  addHosts(count: number): void {
    for (let n = 0; n < count; n++) this.addHost(hostName(n));
  }

  addHost(host: string): void {
    this.#fleet.upsert({ hostId: hostId(this.#fleet.size), host, online: true });
  }

  /** As the render thread does when slow readers keep too much memory. */
  revokeOldest(): void {
    const [oldest] = this.#out;
    oldest?.onRevoked();
  }
}
