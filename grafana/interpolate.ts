/** The selected value of each variable: several values, the text of `allValue`, or a plain value. */
export interface Choices {
  readonly instance: readonly string[];
  /** `all`: the variable's `allValue`. */
  readonly host: readonly string[] | 'all';
  readonly window: string;
  readonly rangeSeconds: number;
}

/**
 * Replaces variables in an expression as Grafana's Prometheus data source does.
 * @throws Error for an unknown variable
 */
export function interpolate(expr: string, choices: Choices): string {
  const values: Record<string, string> = {
    instance: oneOf(choices.instance),
    host: choices.host === 'all' ? '.*' : oneOf(choices.host),
    window: choices.window,
    __range: `${choices.rangeSeconds}s`,
  };
  return expr.replace(/\$(\w+)/g, (_, name: string) => {
    const value = values[name];
    if (value === undefined) throw new Error(`no variable $${name}: ${expr}`);
    return value;
  });
}

function oneOf(values: readonly string[]): string {
  const escaped = values.map(inQuotedExpression);
  return escaped.length === 1 ? String(escaped[0]) : `(${escaped.join('|')})`;
}

/** Escapes a value for a regular expression within the quotes of PromQL. */
function inQuotedExpression(value: string): string {
  return value
    .replaceAll('\\', '\\\\\\\\')
    .replace(/[$^*{}[\]'+?.()|]/g, '\\\\$&')
    .replaceAll('"', '\\"');
}
