import { fileURLToPath } from 'node:url';
import { Piscina } from 'piscina';
import { type Encoding, RENDER_LIMIT_MS } from '../../contract/encoding.ts';
import { messageOf, RmError } from '../../errors.ts';
import { workerFile } from '../../platform/worker-file.ts';
import type { LogSize } from '../../render-thread/piece-store.ts';
import type {
  RenderResult,
  RenderTask,
  RenderThreadData,
} from '../../render-thread/render.worker.ts';
import { BodyBytes } from '../../shared/body-layout.ts';

/**
 * Limit for memory that is kept only because slow readers hold older bodies: a multiple of the size
 * of the newest body, and never less than MIN_PINNED_LIMIT_BYTES. Beyond it, the readers of the
 * oldest body are disconnected. A single slow reader cannot reach the limit, whatever changes in
 * the fleet.
 */
const MAX_PINNED_PER_LIVE = 2;
const MIN_PINNED_LIMIT_BYTES = 8 * 1024 * 1024;

/** The thread produces little garbage. By default V8 would reserve three times 16 MiB for it. */
const YOUNG_GENERATION_MB = 4;

/** A rendered body in shared memory. Its pieces do not change until it is released. */
export interface RenderedBody {
  /** @throws RmError `render_failed` if this encoding was not requested from the render */
  bytes(encoding: Encoding): BodyBytes;
  release(): void;
  /**
   * Set by the caller of `render`. Called when newer scrapes need the memory: the readers of this
   * body must release it.
   */
  onRevoked: () => void;
}

/** The render thread. piscina replaces it when it dies. */
export class RenderThread {
  readonly #pool: Piscina<RenderTask, RenderResult>;
  #renders = 0;
  /** Bodies that are not released yet, by render number, oldest first. */
  readonly #heldBodies = new Map<number, RenderedBody>();

  constructor(data: RenderThreadData) {
    this.#pool = new Piscina({
      filename: fileURLToPath(workerFile('../../render-thread/render', import.meta.url)),
      workerData: data,
      minThreads: 1,
      maxThreads: 1,
      idleTimeout: Number.POSITIVE_INFINITY,
      // piscina's `Atomics.wait` is for streams of tasks. Scrapes come one at a time, and a single
      // task is answered twice as fast without it.
      atomics: 'disabled',
      resourceLimits: { maxYoungGenerationSizeMb: YOUNG_GENERATION_MB },
    });
    // piscina reports a thread that died between two tasks, and has already replaced it.
    this.#pool.on('error', () => {});
  }

  /**
   * The threads of the pool, for tests that kill one.
   * @internal
   */
  get threads() {
    return this.#pool.threads;
  }

  /**
   * Starts the render thread and renders the encoding that Prometheus requests, so that the first
   * scrape is as fast as later ones.
   */
  async warmUp(): Promise<void> {
    (await this.render(['gzip'])).release();
  }

  /**
   * Renders the current state in each of `encodings`. The caller must release the body.
   * @throws RmError `render_failed`
   */
  async render(encodings: readonly Encoding[]): Promise<RenderedBody> {
    const renderNumber = ++this.#renders;
    try {
      const heldRenders = [...this.#heldBodies.keys()];
      const { bodies, logSize } = await this.#runTask({ renderNumber, heldRenders, encodings });
      this.#revokeOldestIfTooLarge(logSize);
      return this.#hold(renderNumber, bodies);
    } catch (error) {
      const message = `the render thread failed: ${messageOf(error)}`;
      throw new RmError('render_failed', message, { cause: error });
    }
  }

  async close(): Promise<void> {
    await this.#pool.destroy();
  }

  /**
   * Runs a task and aborts it when its thread dies or takes too long. piscina does not replace a
   * thread that dies during its start before it gets another task. Without the abort, this task would
   * wait until it times out.
   */
  async #runTask(task: RenderTask): Promise<RenderResult> {
    const controller = new AbortController();
    const running = this.#pool.run(task, { signal: controller.signal });
    const timer = setTimeout(
      () => controller.abort(new Error(`no body after ${RENDER_LIMIT_MS} ms`)),
      RENDER_LIMIT_MS,
    );
    const { threads } = this.#pool;
    const onExit = () => controller.abort(new Error('the render thread died'));
    for (const thread of threads) thread.once('exit', onExit);
    try {
      return await running;
    } catch (error) {
      // The error of piscina does not say why the task was aborted.
      throw controller.signal.aborted ? controller.signal.reason : error;
    } finally {
      clearTimeout(timer);
      for (const thread of threads) thread.off('exit', onExit);
    }
  }

  #hold(renderNumber: number, layouts: RenderResult['bodies']): RenderedBody {
    const { identity, gzip } = layouts;
    const bytes = {
      identity: identity && new BodyBytes(identity),
      gzip: gzip && new BodyBytes(gzip),
    };
    const body: RenderedBody = {
      bytes(encoding) {
        const found = bytes[encoding];
        if (found === undefined) throw new RmError('render_failed', `no body in ${encoding}`);
        return found;
      },
      release: () => this.#heldBodies.delete(renderNumber),
      onRevoked: () => {},
    };
    this.#heldBodies.set(renderNumber, body);
    return body;
  }

  #revokeOldestIfTooLarge({ live, pinned }: LogSize): void {
    if (pinned <= Math.max(MAX_PINNED_PER_LIVE * live, MIN_PINNED_LIMIT_BYTES)) return;
    const [oldest] = this.#heldBodies.values();
    oldest?.onRevoked();
  }
}
