import { setTimeout as sleep } from 'node:timers/promises';
import { MessageChannel } from 'node:worker_threads';
import { expect, it } from 'vitest';
import { RemoteRender, serveRemoteRenders } from '../../../src/loop/scrape/remote-render.ts';
import type { RenderSource } from '../../../src/loop/scrape/render-source.ts';
import { SharedRender } from '../../../src/loop/scrape/shared-render.ts';
import { BodyBytes } from '../../../src/shared/body-layout.ts';
import { eventually } from '../../support/serve.ts';
import { CountedRenders } from './counted-renders.ts';
import { type Connected, describeRenderSource } from './render-source.cases.ts';

/** As an agent loop in another thread is: by a port. */
function byPort(shared: SharedRender): Connected {
  const { port1, port2 } = new MessageChannel();
  serveRemoteRenders(port1, shared);
  const source = new RemoteRender(port2);
  return { source, close: () => source.close() };
}

describeRenderSource('from another loop', byPort);

it('the bodies of a loop that ends are given back, though nobody did that', async () => {
  const renders = await CountedRenders.start();
  const { source, close } = byPort(new SharedRender((encodings) => renders.render(encodings)));
  for (let n = 0; n < 3; n++) await source.render('identity', 30_000);
  expect(renders.returned).toBe(0);
  close();
  await eventually(() => expect(renders.returned).toBe(3), 5_000);
  await renders.close();
});

it('a body that is ready only after its loop has ended is given back', async () => {
  const renders = await CountedRenders.start();
  const { source, close } = byPort(new SharedRender((encodings) => renders.render(encodings)));
  const goOn = renders.hold();
  void source.render('identity', 30_000);
  await eventually(() => expect(renders.isHeld).toBe(true), 5_000);
  close();
  // The other end of the port learns of it a moment later.
  await sleep(100);
  goOn();
  await eventually(() => expect([renders.handedOut, renders.returned]).toEqual([1, 1]), 5_000);
  await renders.close();
});

it('a body that its loop gave back is not given back again when the loop ends', async () => {
  const returned = new Map<number, number>();
  let bodies = 0;
  const shared: RenderSource = {
    async render() {
      const number = ++bodies;
      const layout = { segments: [], places: new Uint32Array(0), byteLength: 0 };
      return {
        bytes: new BodyBytes(layout),
        release: () => void returned.set(number, (returned.get(number) ?? 0) + 1),
        onRevoked: () => {},
      };
    },
  };
  const { port1, port2 } = new MessageChannel();
  serveRemoteRenders(port1, shared);
  const source = new RemoteRender(port2);
  (await source.render('gzip', 1_000)).release();
  await source.render('gzip', 1_000);
  source.close();
  await eventually(() => expect(returned.get(2)).toBe(1), 5_000);
  expect(returned.get(1)).toBe(1);
});
