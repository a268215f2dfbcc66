import { Gauge, Histogram, Registry } from 'prom-client';
import { BUCKET_SECONDS, type FleetPeer, type Labels, type Loaded, load } from './peer.ts';

/** prom-client, used as in its documentation: gauges with labels, set when a value changes. */
export function promClientPeer(loaded: Loaded): FleetPeer & { readonly registry: Registry } {
  const registry = new Registry();
  const histogram = promClientHistogram(registry);
  const peer = {
    gauge(name: string, help: string, labelNames: readonly string[]) {
      const gauge = new Gauge({ name, help, labelNames: [...labelNames], registers: [registry] });
      return (labels: Labels, value: number) => gauge.set(labels, value);
    },
    observe: (labels: Labels, seconds: number) => histogram.observe(labels, seconds),
  };
  return { registry, upsert: load(loaded, peer), render: () => registry.metrics() };
}

export function promClientHistogram(registry: Registry): Histogram {
  return new Histogram({
    name: 'rm_job_duration_seconds',
    help: 'Durations of finished jobs.',
    labelNames: ['kind', 'status'],
    buckets: [...BUCKET_SECONDS],
    registers: [registry],
  });
}
