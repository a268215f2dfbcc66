/* Formats numbers as Grafana does. Only the units of this dashboard are supported. */

const BYTE_UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];

/** @throws Error for a unit that the dashboard does not use so far */
export function format(value: number, unit: string, nowMs: number): string {
  switch (unit) {
    case 'locale':
      return value.toLocaleString('en');
    case 'percentunit':
      return `${Math.round(value * 100)}%`;
    case 'bytes':
      return bytes(value);
    case 's':
      return duration(value);
    case 'dateTimeFromNow':
      return `${duration((nowMs - value) / 1000)} ago`;
    default:
      throw new Error(`unit not supported by the preview: ${unit}`);
  }
}

function bytes(value: number): string {
  const power = value < 1 ? 0 : Math.min(Math.floor(Math.log2(value) / 10), BYTE_UNITS.length - 1);
  return `${Number((value / 1024 ** power).toFixed(1))} ${BYTE_UNITS[power]}`;
}

function duration(seconds: number): string {
  const units = [
    ['day', 86_400],
    ['hour', 3_600],
    ['min', 60],
  ] as const;
  for (const [name, size] of units) {
    if (seconds >= size)
      return `${Number((seconds / size).toFixed(1))} ${name}${seconds >= 2 * size && name !== 'min' ? 's' : ''}`;
  }
  return `${Number(seconds.toFixed(1))} s`;
}
