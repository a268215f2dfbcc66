export interface Introduction {
  /** How many hosts are enrolled. */
  readonly hosts: number;
  /** `http://HOST:PORT` */
  readonly url: string;
  readonly token: string;
  /** The default port, if the demo wanted it and it is taken. */
  readonly takenPort: number | undefined;
  /** Whether there are hosts with real repositories, too. */
  readonly restic: boolean;
}

/**
 * The text that the demo prints first: what it is, and what to copy and paste. Formatted for 80
 * columns.
 */
export function introduction({ hosts, url, token, takenPort, restic }: Introduction): string {
  const metrics = `${url}/metrics`;
  // Some shells expand the brackets of an IPv6 address as a pattern.
  const quoted = metrics.includes('[') ? `'${metrics}'` : metrics;
  return `restic-manager demo: a control plane on a temporary database and the simulated
agents of ${hosts} host${hosts === 1 ? '' : 's'}, which tell of hours of backups in seconds; some fail or
stay away.${restic ? REAL_HOSTS : ''} Ctrl-C ends the demo and leaves nothing behind.

  ${metrics}${takenPort === undefined ? '' : `  (port ${takenPort} is taken)`}

Look at the metrics; with --compressed they come as Prometheus gets them:

curl -H 'Authorization: Bearer ${token}' ${quoted}

Or have Prometheus collect them. Save this as prometheus-demo.yml:

${scrapeConfig(new URL(url).host, token)}
Then run it, and open http://127.0.0.1:9090:

prometheus --config.file=prometheus-demo.yml --storage.tsdb.path=$(mktemp -d)

`;
}

const REAL_HOSTS = `

Three more hosts, restic-1 to restic-3, run the real restic every few seconds,
and bin/restic-report reports that.`;

function scrapeConfig(target: string, token: string): string {
  return `global:
  scrape_interval: 5s
scrape_configs:
  - job_name: restic-manager
    authorization:
      credentials: '${token}'
    static_configs:
      - targets: ['${target}']
`;
}
