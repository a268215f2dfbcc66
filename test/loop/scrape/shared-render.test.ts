import { describeRenderSource } from './render-source.cases.ts';

describeRenderSource('within the thread of the renders', (shared) => ({
  source: shared,
  close: () => shared.close(),
}));
