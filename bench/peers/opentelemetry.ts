import { PrometheusExporter, PrometheusSerializer } from '@opentelemetry/exporter-prometheus';
import { MeterProvider } from '@opentelemetry/sdk-metrics';
import { BUCKET_SECONDS, type FleetPeer, type Labels, type Loaded, load } from './peer.ts';

/** Without this limit the SDK merges all series of a metric beyond 2,000 into one. */
const CARDINALITY_LIMIT = 10_000_000;

/**
 * OpenTelemetry's SDK with its Prometheus exporter. It uses synchronous gauges, which keep their
 * values between collections. Observable gauges would have to report all values in each collection.
 */
export function openTelemetryPeer(
  loaded: Loaded,
): FleetPeer & { readonly exporter: PrometheusExporter } {
  const exporter = newExporter();
  const meter = newMeter(exporter);
  const histogram = openTelemetryHistogram(meter);
  const serializer = new PrometheusSerializer('', false, undefined, true, true);
  const upsert = load(loaded, {
    gauge(name: string, help: string) {
      const gauge = meter.createGauge(name, { description: help });
      return (labels: Labels, value: number) => gauge.record(value, labels);
    },
    observe: (labels: Labels, seconds: number) => histogram.record(seconds, labels),
  });
  return {
    exporter,
    upsert,
    async render() {
      const { resourceMetrics } = await exporter.collect();
      return serializer.serialize(resourceMetrics);
    },
  };
}

export function openTelemetryHistogram(meter = newMeter(newExporter())) {
  return meter.createHistogram('rm_job_duration_seconds', {
    description: 'Durations of finished jobs.',
    advice: { explicitBucketBoundaries: [...BUCKET_SECONDS] },
  });
}

/** An exporter without the rows about itself, so that all contestants show the same. */
function newExporter(): PrometheusExporter {
  return new PrometheusExporter({
    preventServerStart: true,
    withoutScopeInfo: true,
    withoutTargetInfo: true,
  });
}

function newMeter(exporter: PrometheusExporter) {
  const views = [{ instrumentName: '*', aggregationCardinalityLimit: CARDINALITY_LIMIT }];
  return new MeterProvider({ readers: [exporter], views }).getMeter('bench');
}
