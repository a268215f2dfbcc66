import type { ResultFile, Row } from '../support/result.ts';
import { figure, scenarioText } from '../support/table.ts';

/** One line for each scenario in which the median of a peer is better than ours. */
export function losses(results: readonly ResultFile[]): string[] {
  const found = results.flatMap(({ bench, rows }) => {
    const blocks = Map.groupBy(rows, (row) => `${row.measure}: ${scenarioText(row.scenario)}`);
    return [...blocks].flatMap(([title, block]) => lossesIn(block, `${bench}, ${title}`));
  });
  return found.length === 0 ? ['- none'] : found;
}

/**
 * If we have several variants, only the best is compared: a scenario counts as lost only if even
 * that one loses.
 */
function lossesIn(block: readonly Row[], title: string): string[] {
  const ours = block.filter(({ role }) => role === 'own');
  const best = ours.reduce((a, b) => (isBetter(b, a) ? b : a), ours[0] as Row);
  return block
    .filter(({ role }) => role === 'peer')
    .filter((peer) => isBetter(peer, best))
    .map(
      (peer) =>
        `- ${title}: ${peer.contestant} ${figure(peer.median)} ${peer.unit}, ${best.contestant} ${figure(best.median)} ${best.unit}`,
    );
}

function isBetter(a: Row, b: Row): boolean {
  return a.unit === 'jobs/s' ? a.median > b.median : a.median < b.median;
}
