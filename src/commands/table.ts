/** Makes lines of rows, with columns as wide as their longest cell. */
export function aligned(rows: readonly (readonly string[])[]): string {
  // Not `Math.max(...rows)`: a call takes some 100,000 arguments, and a fleet may have more hosts.
  const widths = rows[0]?.map((_, column) =>
    rows.reduce((width, row) => Math.max(width, row[column]?.length ?? 0), 0),
  );
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths?.[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}
