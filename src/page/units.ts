/** Numbers and times in words. Times are in the time zone of the browser. */

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

const NUMBER = new Intl.NumberFormat('en');
const ONE_DECIMAL = new Intl.NumberFormat('en', { maximumFractionDigits: 1 });
const TIME = new Intl.DateTimeFormat('en-GB', { timeStyle: 'medium' });
const MOMENT = new Intl.DateTimeFormat('en-GB', {
  day: 'numeric',
  month: 'short',
  hour: '2-digit',
  minute: '2-digit',
});
const WITH_YEAR = new Intl.DateTimeFormat('en-GB', { dateStyle: 'medium', timeStyle: 'short' });
/** A time that is further away is shown with its year. */
const WITHOUT_YEAR = 180 * DAY;

/** `1,234` */
export function number(value: number): string {
  return NUMBER.format(value);
}

/** `1 host`, `2 hosts` */
export function count(value: number, noun: string): string {
  return `${number(value)} ${noun}${value === 1 ? '' : 's'}`;
}

/** `12:03:04` */
export function time(ms: number): string {
  return TIME.format(ms);
}

/** `26 Nov, 12:03`, and `26 Nov 2024, 12:03` if that is long ago */
export function moment(ms: number, nowMs: number): string {
  return (Math.abs(nowMs - ms) < WITHOUT_YEAR ? MOMENT : WITH_YEAR).format(ms);
}

/** The length of time until now, roughly: `5 min`, `3 h`, `2 days`. Less than a minute is `a minute`. */
export function span(ms: number): string {
  if (ms < 1.5 * MINUTE) return 'a minute';
  if (ms < 90 * MINUTE) return `${Math.round(ms / MINUTE)} min`;
  if (ms < 1.5 * DAY) return `${Math.round(ms / HOUR)} h`;
  return count(Math.round(ms / DAY), 'day');
}

/** `just now`, `5 min ago`. A time ahead of `nowMs` is now: the clocks differ a little. */
export function ago(ms: number, nowMs: number): string {
  const elapsed = nowMs - ms;
  return elapsed < MINUTE ? 'just now' : `${span(elapsed)} ago`;
}

/** The duration of a job: `0.4 s`, `1 min 33 s`, `2 h 5 min`, `3 days 4 h` */
export function duration(ms: number): string {
  if (ms < 10 * SECOND) return `${ONE_DECIMAL.format(ms / SECOND)} s`;
  if (ms < MINUTE) return `${Math.floor(ms / SECOND)} s`;
  if (ms < HOUR) return two(ms, MINUTE, 'min', SECOND, 's');
  if (ms < DAY) return two(ms, HOUR, 'h', MINUTE, 'min');
  return two(ms, DAY, ms < 2 * DAY ? 'day' : 'days', HOUR, 'h');
}

function two(ms: number, large: number, largeName: string, small: number, smallName: string) {
  const rest = Math.floor((ms % large) / small);
  const first = `${Math.floor(ms / large)} ${largeName}`;
  return rest === 0 ? first : `${first} ${rest} ${smallName}`;
}

const BYTE_UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];

/** `68.1 GiB`, in the units of restic */
export function bytes(value: number): string {
  let unit = 0;
  let scaled = value;
  // 1023.95 would be rounded to 1,024.
  while (scaled >= 1023.95 && unit < BYTE_UNITS.length - 1) {
    scaled /= 1024;
    unit++;
  }
  return `${ONE_DECIMAL.format(scaled)} ${BYTE_UNITS[unit]}`;
}
