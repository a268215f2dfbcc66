/** How a body goes over the wire: content codings of HTTP. */
export type Encoding = 'identity' | 'gzip';
