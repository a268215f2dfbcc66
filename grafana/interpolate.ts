/** The selected value of each variable: several values, `all` for its `allValue`, or a plain value. */
export interface Choices {
  readonly instance: readonly string[] | 'all';
  readonly host: readonly string[] | 'all';
  readonly window: string;
  readonly rangeSeconds: number;
}

/**
 * Replaces variables in an expression as Grafana's Prometheus data source does: `$name` and `${name:regex}`. Grafana 11
 * and 13 do the same with the format `regex`.
 * https://grafana.com/docs/grafana/latest/dashboards/variables/variable-syntax/#regex
 * @throws Error for an unknown variable
 */
export function interpolate(expr: string, choices: Choices): string {
  const chosen: Record<string, readonly string[] | 'all'> = {
    instance: choices.instance,
    host: choices.host,
  };
  const plain: Record<string, string> = {
    window: choices.window,
    __range: `${choices.rangeSeconds}s`,
  };
  return expr.replace(/\$\{(\w+):regex\}|\$(\w+)/g, (_, formatted: string, name: string) => {
    const values = chosen[formatted];
    const value = values === undefined ? plain[name] : asRegex(values);
    if (value === undefined) throw new Error(`no variable $${formatted ?? name}: ${expr}`);
    return value;
  });
}

/** The text of `allValue` is never escaped. */
function asRegex(values: readonly string[] | 'all'): string {
  if (values === 'all') return '.*';
  const escaped = values.map((value) => value.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&'));
  return escaped.length === 1 ? String(escaped[0]) : `(${escaped.join('|')})`;
}
