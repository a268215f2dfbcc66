export interface Introduction {
  /** How many hosts are enrolled. */
  readonly hosts: number;
  /** `http://HOST:PORT` */
  readonly url: string;
  readonly token: string;
  /** The default port, if it was in use and the demo listens on another one. */
  readonly takenPort: number | undefined;
  /** Whether the demo includes hosts with real repositories. */
  readonly restic: boolean;
}

/**
 * The text that the demo prints first: what it is, and what to copy and paste. Formatted for 80
 * columns.
 */
export function introduction({ hosts, url, token, takenPort, restic }: Introduction): string {
  const metrics = `${url}/metrics`;
  // Some shells expand the brackets of an IPv6 address as a glob pattern.
  const quoted = metrics.includes('[') ? `'${metrics}'` : metrics;
  return `restic-manager demo: a control plane with a temporary database, and simulated
agents of ${hosts} host${hosts === 1 ? '' : 's'}. They report hours of backups within seconds. Some jobs
fail, and some hosts stay offline.${restic ? REAL_HOSTS : ' '}Ctrl-C stops the demo and deletes its data.

Open this in a browser to see which hosts need attention:

  ${url}/#token=${token}
${takenPort === undefined ? '' : `  (port ${takenPort} is in use)\n`}
To view the metrics (add --compressed to get them as Prometheus does):

curl -H 'Authorization: Bearer ${token}' ${quoted}

If Prometheus is installed, paste this into another terminal to scrape them.
Ctrl-C ends it and deletes its data:

(dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT INT TERM
cat > "$dir/prometheus.yml" <<'END'
${scrapeConfig(new URL(url).host, token)}END
prometheus --config.file="$dir/prometheus.yml" --storage.tsdb.path="$dir/data" \\
  --web.listen-address=${PROMETHEUS} --log.level=warn)

Then open http://${PROMETHEUS} and try this query, which finds the hosts
whose last backup failed:

rm_host_last_backup_success == 0

`;
}

/** Not the default port 9090: Debian's package starts a Prometheus there. */
const PROMETHEUS = '127.0.0.1:9190';

const REAL_HOSTS = `

Three more hosts, restic-1 to restic-3, run the real restic every few seconds,
and bin/restic-report reports each run.
`;

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
