/** Content codings of HTTP in which a body can be sent. */
export type Encoding = 'identity' | 'gzip';
