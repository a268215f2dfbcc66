export interface Progress {
  readonly agents: number;
  readonly connected: number;
  readonly jobsFinished: number;
  readonly jobsFailed: number;
  readonly lastScrape: { readonly agoMs: number; readonly bytes: number } | undefined;
}

/**
 * Formats the progress as one line that is shorter than `columns`. A line as wide as the terminal
 * might wrap, and its first part would stay on the screen.
 */
export function progressLine(progress: Progress, columns: number): string {
  const { agents, connected, jobsFinished, jobsFailed, lastScrape } = progress;
  const presence = `${connected}/${agents} agents`;
  const failed = `${jobsFailed} failed`;
  const scrape = lastScrape
    ? `last scrape ${ago(lastScrape.agoMs)}, ${size(lastScrape.bytes)}`
    : 'last scrape: none yet';
  const widestFirst = [
    `${presence} | ${jobsFinished} jobs finished, ${failed} | ${scrape}`,
    `${presence} | ${jobsFinished} jobs, ${failed} | ${scrape}`,
    `${presence} | ${jobsFinished} jobs, ${failed}`,
  ];
  const fitting = widestFirst.find((line) => line.length < columns);
  return fitting ?? presence.slice(0, Math.max(0, columns - 1));
}

function ago(ms: number): string {
  const seconds = Math.floor(ms / 1_000);
  if (seconds < 60) return `${seconds} s ago`;
  const minutes = Math.floor(seconds / 60);
  return minutes < 60 ? `${minutes} min ago` : `${Math.floor(minutes / 60)} h ago`;
}

function size(bytes: number): string {
  return bytes < 1e6 ? `${Math.ceil(bytes / 1e3)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}

const REDRAW_MS = 1_000;
const PLAIN_LINE_MS = 10_000;
const USUAL_COLUMNS = 80;
const ERASE_TO_END = '\x1b[K';

/**
 * Shows the progress. On a terminal it updates one line; other outputs, such as a log, get a new
 * line at intervals.
 * @returns a function that stops it
 */
export function showProgress(out: NodeJS.WriteStream, progress: () => Progress): () => void {
  if (!out.isTTY) {
    const print = () => void out.write(`${progressLine(progress(), Number.POSITIVE_INFINITY)}\n`);
    const timer = setInterval(print, PLAIN_LINE_MS);
    return () => clearInterval(timer);
  }
  // One write overwrites the old line and erases the rest of it, so the terminal does not flicker.
  // A terminal that does not know its size reports 0 columns.
  const columns = () => out.columns || USUAL_COLUMNS;
  const draw = () => void out.write(`\r${progressLine(progress(), columns())}${ERASE_TO_END}`);
  draw();
  out.on('resize', draw);
  const timer = setInterval(draw, REDRAW_MS);
  return () => {
    clearInterval(timer);
    out.off('resize', draw);
    out.write('\n');
  };
}
