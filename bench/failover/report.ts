import { PATRONI_TIMES } from './cluster.ts';
import type { FailoverOptions, Latency, Measured, Outcome } from './run.ts';

export function heading({ agents, instances, rate, isStrict }: FailoverOptions): string {
  const { ttl, loop_wait, retry_timeout } = PATRONI_TIMES;
  return `failover: ${instances} control planes, ${agents} agents, ${rate} finishes/s
  three PostgreSQL servers with fsync under Patroni, one etcd
  synchronous_mode true, synchronous_mode_strict ${isStrict}, ttl ${ttl}, loop_wait ${loop_wait}, retry_timeout ${retry_timeout}`;
}

export function summary({ measured, reconnections }: Outcome): string {
  return [...measured.map(block), `  reconnections of agents, in all  ${reconnections}`].join(
    '\n\n',
  );
}

function block(one: Measured): string {
  const { scenario, former, promoted, before, around, checked, afterReturn } = one;
  const change = scenario.isFailover ? `${former} → ${promoted}` : `${former} stays the primary`;
  const rows = [
    ...(scenario.isFailover
      ? [
          ['failure to promotion', seconds(one.killToPromotionMs)],
          ['promotion to first acknowledgement', seconds(one.toFirstAckMs)],
        ]
      : [['failure to first acknowledgement', seconds(one.toFirstAckMs)]]),
    ['acknowledgements before', latency(before)],
    ['acknowledgements from the failure on', latency(around)],
    ['finishes in flight at the failure', count(one.inFlight)],
    ['finishes acknowledged', count(checked.acknowledged)],
    ['stored by the primary', count(checked.stored)],
    ['counted by the histograms', count(checked.counted)],
    ['acknowledged and lost', count(checked.lost)],
    [`lost after ${former} has returned`, count(afterReturn.lost)],
  ] as const;
  const width = Math.max(...rows.map(([name = '']) => name.length));
  const lines = rows.map(([name = '', value]) => `    ${name.padEnd(width)}  ${value}`);
  return [`  ${scenario.name}: ${scenario.what}: ${change}`, ...lines].join('\n');
}

function latency({ p50, p99, longest, count: number }: Latency): string {
  return `p50 ${seconds(p50)}, p99 ${seconds(p99)}, longest ${seconds(longest)}, of ${count(number)}`;
}

function seconds(ms: number): string {
  return ms < 1_000 ? `${Math.round(ms)} ms` : `${(ms / 1_000).toFixed(2)} s`;
}

function count(value: number): string {
  return value.toLocaleString('en');
}
