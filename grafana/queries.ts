import { DataqueryBuilder, PromQueryFormat } from '@grafana/grafana-foundation-sdk/prometheus';
import { DATASOURCE } from './variables.ts';

/** The current value. Empty as soon as nothing is scraped any more. */
export function instantQuery(refId: string, expr: string, legend: string): DataqueryBuilder {
  return query(refId, expr).instant().legendFormat(legend);
}

/** The values over the time range. */
export function rangeQuery(refId: string, expr: string, legend: string): DataqueryBuilder {
  return query(refId, expr).range().legendFormat(legend);
}

/** The current values as a table: one row per series, one column per label. */
export function tableQuery(refId: string, expr: string): DataqueryBuilder {
  return query(refId, expr).instant().format(PromQueryFormat.Table);
}

function query(refId: string, expr: string): DataqueryBuilder {
  return new DataqueryBuilder().refId(refId).expr(expr).datasource(DATASOURCE);
}
