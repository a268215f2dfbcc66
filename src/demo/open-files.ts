/** Files, sockets among them, that this process may have open; infinite where nobody says. */
export function openFileLimit(): number {
  // The only place where Node tells; it has raised the limit as far as it may by itself.
  const report: { userLimits?: { open_files?: { soft?: unknown } } } = process.report.getReport();
  const limit = report.userLimits?.open_files?.soft;
  return typeof limit === 'number' ? limit : Number.POSITIVE_INFINITY;
}
