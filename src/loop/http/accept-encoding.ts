/**
 * Returns whether `Accept-Encoding` allows gzip: `gzip`, or else `*`, is listed with a quality
 * above 0 (RFC 9110, section 12.5.3).
 */
export function acceptsGzip(header: string): boolean {
  const qualities = new Map<string, number>();
  for (const item of header.toLowerCase().split(',')) {
    const [coding = '', ...parameters] = item.split(';').map((part) => part.trim());
    const quality = parameters.find((parameter) => parameter.startsWith('q='));
    qualities.set(coding, quality === undefined ? 1 : Number(quality.slice(2)));
  }
  return (qualities.get('gzip') ?? qualities.get('*') ?? 0) > 0;
}
