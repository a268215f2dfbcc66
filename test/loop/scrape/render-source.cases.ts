import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import type { Encoding } from '../../../src/contract/encoding.ts';
import type { RenderSource } from '../../../src/loop/scrape/render-source.ts';
import { SharedRender } from '../../../src/loop/scrape/shared-render.ts';
import { BodyReader } from '../../../src/shared/body-layout.ts';
import { eventually } from '../../support/serve.ts';
import { CountedRenders } from './counted-renders.ts';

const PATIENT_MS = 10_000;
const HASTY_MS = 20;
/** For what takes a turn of a loop or two. */
const SOON_MS = 5_000;

/** How an endpoint gets at the renders of the main thread. */
export interface Connected {
  readonly source: RenderSource;
  close(): void;
}

/**
 * What an endpoint may rely on, wherever it runs: its bodies are as new as its request, and each of them is given
 * back, since the memory of one that is not is never written to again.
 */
export function describeRenderSource(
  name: string,
  connect: (shared: SharedRender) => Connected,
): void {
  describe(name, () => {
    let renders: CountedRenders;
    let shared: SharedRender;
    let source: RenderSource;

    beforeAll(async () => {
      renders = await CountedRenders.start();
    });

    afterAll(() => renders.close());

    beforeEach(() => {
      shared = new SharedRender((encodings) => renders.render(encodings));
      const connected = connect(shared);
      source = connected.source;
      onTestFinished(() => connected.close());
    });

    const render = (encoding: Encoding = 'identity', timeoutMs = PATIENT_MS) =>
      source.render(encoding, timeoutMs);
    const allReturned = () =>
      eventually(() => expect(renders.returned).toBe(renders.handedOut), SOON_MS);
    const oneIsOut = () =>
      eventually(() => expect(renders.returned).toBe(renders.handedOut - 1), SOON_MS);
    const started = () => eventually(() => expect(renders.isHeld).toBe(true), SOON_MS);

    describe('a body', () => {
      it('is handed out once a render, and given back when its reader lets go', async () => {
        const before = renders.handedOut;
        for (let n = 1; n <= 3; n++) {
          const body = await render();
          expect(renders.handedOut).toBe(before + n);
          expect(renders.returned, 'the reader still has it').toBe(renders.handedOut - 1);
          body.release();
          await allReturned();
        }
      });

      it('can be read as long as it is held', async () => {
        const body = await render();
        const reader = new BodyReader(body.bytes);
        const first = Buffer.from(reader.read(0));
        for (let n = 0; n < 5; n++) (await render()).release();
        expect(Buffer.from(reader.read(0)).equals(first)).toBe(true);
        expect(first.toString()).toMatch(/^# HELP /);
        body.release();
        await allReturned();
      });

      it('that several share is given back when the last of them lets go', async () => {
        const open = renders.hold();
        const first = render();
        await started();
        const sharing = [render(), render('gzip'), render()];
        // By the way that the others came, so these have arrived as well.
        await expect(render('identity', HASTY_MS)).rejects.toMatchObject({
          code: 'render_too_late',
        });
        open();
        (await first).release();
        const bodies = await Promise.all(sharing);
        const last = bodies.pop();
        for (const body of bodies) body.release();
        await oneIsOut();
        last?.release();
        await allReturned();
      });

      it('that one of them gives back twice stays with the other', async () => {
        const open = renders.hold();
        const first = render();
        await started();
        const sharing = [render(), render()];
        await expect(render('identity', HASTY_MS)).rejects.toThrow();
        open();
        (await first).release();
        const [hasty, patient] = await Promise.all(sharing);
        hasty?.release();
        hasty?.release();
        // Comes after whatever the second release has caused.
        (await render()).release();
        await oneIsOut();
        patient?.release();
        await allReturned();
      });

      it('shows what was there before it was asked for, also while another render runs', async () => {
        const open = renders.hold();
        const running = render();
        await started();
        renders.addHost('late');
        const next = render();
        await expect(render('identity', HASTY_MS)).rejects.toThrow();
        open();
        const bodies = await Promise.all([running, next]);
        expect(Buffer.from(new BodyReader(bodies[1].bytes).read(0)).toString()).toContain('"late"');
        for (const body of bodies) body.release();
        await allReturned();
      });
    });

    describe('a reader that leaves before its body is ready', () => {
      it('leaves nothing behind', async () => {
        const open = renders.hold();
        const before = renders.handedOut;
        await expect(render('gzip', HASTY_MS)).rejects.toMatchObject({ code: 'render_too_late' });
        open();
        await eventually(() => expect(renders.handedOut).toBe(before + 1), SOON_MS);
        await allReturned();
      });

      it('does not take the body from who waits with it', async () => {
        const open = renders.hold();
        const first = render();
        await started();
        const patient = render();
        await expect(render('identity', HASTY_MS)).rejects.toThrow();
        open();
        (await first).release();
        const body = await patient;
        expect(renders.returned).toBe(renders.handedOut - 1);
        body.release();
        await allReturned();
      });
    });

    describe('a body whose memory is needed', () => {
      it('is asked back from each of its readers, and from nobody who gave it back', async () => {
        const open = renders.hold();
        const first = render();
        await started();
        const sharing = [render(), render(), render()];
        await expect(render('identity', HASTY_MS)).rejects.toThrow();
        open();
        (await first).release();
        const asked: number[] = [];
        const bodies = await Promise.all(sharing);
        for (const [reader, body] of bodies.entries()) {
          body.onRevoked = () => {
            asked.push(reader);
            body.release();
          };
        }
        bodies[1]?.release();
        (await render()).release();
        renders.revokeOldest();
        await eventually(() => expect(asked).toEqual([0, 2]), SOON_MS);
        await allReturned();
      });
    });

    describe('a render that fails', () => {
      it('is told to all who wait for it, and the next one works', async () => {
        renders.failNext();
        await expect(render()).rejects.toMatchObject({ code: 'render_failed' });
        (await render()).release();
        await allReturned();
      });
    });

    it('refuses who waits and who comes once it is closed', async () => {
      const open = renders.hold();
      const running = render();
      await started();
      const waiting = expect(render()).rejects.toMatchObject({ code: 'closed' });
      await expect(render('identity', HASTY_MS)).rejects.toMatchObject({ code: 'render_too_late' });
      shared.close();
      await waiting;
      await expect(render()).rejects.toMatchObject({ code: 'closed' });
      open();
      (await running).release();
      await allReturned();
    });
  });
}
