export interface ParsedSample {
  readonly name: string;
  /** In the order of the text. */
  readonly labels: Record<string, string>;
  readonly value: number;
}

export interface ParsedFamily {
  readonly help: string;
  readonly type: string;
  readonly samples: ParsedSample[];
}

const NAME = '[a-zA-Z_:][a-zA-Z0-9_:]*';
const HELP = new RegExp(`^# HELP (${NAME}) ((?:[^\\\\]|\\\\[\\\\n])*)$`);
const TYPE = new RegExp(`^# TYPE (${NAME}) (counter|gauge|histogram|summary|untyped)$`);
const SAMPLE = new RegExp(`^(${NAME})(?:\\{(.+)\\})? ([^ "]+)$`, 's');
const LABEL = /^([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\["\\n])*)"(,(?=.)|$)/s;
const NUMBER = /^(?:[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?|[+-]?Inf|NaN)$/;

/**
 * Parses the text format 0.0.4. It rejects what Prometheus rejects. It also rejects what Prometheus
 * accepts but our exposition must not contain: timestamps, blank lines, comments, families without
 * HELP and TYPE in this order, families in two places, and superfluous spaces and commas.
 *
 * https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format
 * @throws Error naming the line
 */
export function parseExposition(text: string): { families: Map<string, ParsedFamily> } {
  const families = new Map<string, ParsedFamily>();
  const series = new Set<string>();
  if (text !== '' && !text.endsWith('\n')) throw new Error('no line feed at the end');
  const lines = text.split('\n').slice(0, -1);
  let family: ParsedFamily | undefined;
  let familyName = '';
  let at = 0;
  const refuse = (why: string): never => {
    throw new Error(`line ${at + 1}: ${why}: ${lines[at]}`);
  };
  for (; at < lines.length; at++) {
    const line = lines[at] ?? '';
    if (line.startsWith('#')) {
      const [, name, escapedHelp] = HELP.exec(line) ?? refuse('not a HELP line where one must be');
      at++;
      const [, typeName, type] = TYPE.exec(lines[at] ?? '') ?? refuse('no TYPE line after HELP');
      if (name === undefined || escapedHelp === undefined || type === undefined) break;
      if (typeName !== name) refuse(`TYPE of another family than ${name}`);
      if (families.has(name)) refuse('a family in two places');
      family = { help: unescaped(escapedHelp), type, samples: [] };
      familyName = name;
      families.set(name, family);
    } else {
      const sample = parseSample(line, refuse);
      if (family === undefined || !belongsTo(sample, familyName, family.type)) {
        return refuse('a sample outside its family');
      }
      const labels = Object.entries(sample.labels).sort(([a], [b]) => (a < b ? -1 : 1));
      const identity = JSON.stringify([sample.name, labels]);
      if (series.has(identity)) refuse('a series twice');
      series.add(identity);
      family.samples.push(sample);
    }
  }
  return { families };
}

function parseSample(line: string, refuse: (why: string) => never): ParsedSample {
  const [, name = '', labelText = '', value = ''] = SAMPLE.exec(line) ?? refuse('not a sample');
  const labels: Record<string, string> = {};
  for (let rest = labelText; rest !== ''; ) {
    const match = LABEL.exec(rest) ?? refuse('bad labels');
    const [whole, label = '', escaped = ''] = match;
    if (label.startsWith('__')) refuse('a reserved label');
    if (Object.hasOwn(labels, label)) refuse('a label twice');
    labels[label] = unescaped(escaped);
    rest = rest.slice(whole.length);
  }
  if (!NUMBER.test(value)) refuse('not a number');
  return { name, labels, value: Number(value.replace('Inf', 'Infinity')) };
}

function belongsTo({ name, labels }: ParsedSample, family: string, type: string): boolean {
  const suffix = name.startsWith(family) ? name.slice(family.length) : undefined;
  switch (type) {
    case 'histogram':
      return suffix === '_bucket' ? 'le' in labels : suffix === '_sum' || suffix === '_count';
    case 'summary':
      return suffix === '' ? 'quantile' in labels : suffix === '_sum' || suffix === '_count';
    default:
      return suffix === '';
  }
}

function unescaped(escaped: string): string {
  return escaped.replace(/\\(.)/g, (_, c) => (c === 'n' ? '\n' : c));
}
