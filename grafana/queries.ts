import { DataqueryBuilder, PromQueryFormat } from '@grafana/grafana-foundation-sdk/prometheus';
import { DATASOURCE } from './variables.ts';

/** The value now; empty as soon as nothing is scraped any more. */
export function instantQuery(refId: string, expr: string, legend: string): DataqueryBuilder {
  return query(refId, expr).instant().legendFormat(legend);
}

/** The values of the time shown. */
export function rangeQuery(refId: string, expr: string, legend: string): DataqueryBuilder {
  return query(refId, expr).range().legendFormat(legend);
}

/** The values now, a row each with a column a label. */
export function tableQuery(refId: string, expr: string): DataqueryBuilder {
  return query(refId, expr).instant().format(PromQueryFormat.Table);
}

function query(refId: string, expr: string): DataqueryBuilder {
  return new DataqueryBuilder().refId(refId).expr(expr).datasource(DATASOURCE);
}
