export interface Progress {
  readonly agents: number;
  readonly connected: number;
  readonly jobsFinished: number;
  readonly jobsFailed: number;
  readonly lastScrape: { readonly agoMs: number; readonly bytes: number } | undefined;
}

/** One line of less than `columns`: a line as wide as the terminal could wrap, and then stays behind. */
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
 * Keeps one line of a terminal up to date; what is not a terminal, such as a log, gets a line now and
 * then. @returns what ends it
 */
export function showProgress(out: NodeJS.WriteStream, progress: () => Progress): () => void {
  if (!out.isTTY) {
    const print = () => void out.write(`${progressLine(progress(), Number.POSITIVE_INFINITY)}\n`);
    const timer = setInterval(print, PLAIN_LINE_MS);
    return () => clearInterval(timer);
  }
  // Written over in one go, and only then is the rest of the old line erased: nothing to flicker. A terminal
  // that was not told its size says 0.
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
