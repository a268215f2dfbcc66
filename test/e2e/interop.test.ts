import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect } from 'vitest';
import { ask } from '../support/http.ts';
import { needs } from '../support/programs.ts';
import { hostId, hostName, ScrapeRig } from '../support/scrape-rig.ts';
import { TOKEN, temporaryDirectory } from '../support/serve.ts';

/*
 * The gzip body is one member put together from pieces that were compressed at different times. That is by the
 * book, but readers differ in what of the book they have read.
 */
const PYTHON = `
import gzip, sys, urllib.request
request = urllib.request.Request(sys.argv[1], headers={'Authorization': sys.argv[2], 'Accept-Encoding': 'gzip'})
response = urllib.request.urlopen(request)
assert response.headers['Content-Encoding'] == 'gzip'
sys.stdout.buffer.write(gzip.decompress(response.read()))
`;

/** Go's client asks for gzip and unpacks it on its own, as Prometheus does. */
const GO = `package main

import (
	"io"
	"log"
	"net/http"
	"os"
)

func main() {
	request, err := http.NewRequest("GET", os.Args[1], nil)
	if err != nil {
		log.Fatal(err)
	}
	request.Header.Set("Authorization", os.Args[2])
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		log.Fatal(err)
	}
	if !response.Uncompressed {
		log.Fatal("the body did not come by gzip")
	}
	if _, err := io.Copy(os.Stdout, response.Body); err != nil {
		log.Fatal(err)
	}
}
`;

const AUTHORIZATION = `Bearer ${TOKEN}`;

type Client = (url: string) => readonly [command: string, args: readonly string[]];

const CLIENTS: Readonly<
  Record<string, { readonly programs: readonly string[]; readonly client: Client }>
> = {
  curl: {
    programs: ['curl'],
    client: (url) => [
      'curl',
      ['-sSf', '--compressed', '-H', `Authorization: ${AUTHORIZATION}`, url],
    ],
  },
  'curl and gzip': {
    programs: ['curl', 'gzip'],
    client: (url) => [
      'sh',
      [
        '-c',
        'curl -sSf -H "Accept-Encoding: gzip" -H "Authorization: $1" "$0" | gzip -dc',
        url,
        AUTHORIZATION,
      ],
    ],
  },
  Python: {
    programs: ['python3'],
    client: (url) => ['python3', ['-c', PYTHON, url, AUTHORIZATION]],
  },
  Go: {
    programs: ['go'],
    client(url) {
      const file = join(temporaryDirectory(), 'main.go');
      writeFileSync(file, GO);
      return ['go', ['run', file, url, AUTHORIZATION]];
    },
  },
  "Node's fetch": {
    programs: [],
    client: (url) => [
      process.execPath,
      [
        '-e',
        `fetch(process.argv[1], { headers: { Authorization: process.argv[2] } })
          .then((response) => response.text()).then((text) => process.stdout.write(text))`,
        url,
        AUTHORIZATION,
      ],
    ],
  },
};

describe('the gzip body, of which some pieces are older than others, is read by', () => {
  for (const [name, { programs, client }] of Object.entries(CLIENTS)) {
    needs(...programs).test(name, async () => {
      const rig = await ScrapeRig.start(3_000);
      for (let host = 0; host < 3_000; host += 500) {
        rig.fleet.upsert({ hostId: hostId(host), host: hostName(host), online: host % 1000 === 0 });
      }
      const [command, args] = client(rig.url);
      const { stdout } = await promisify(execFile)(command, args, { maxBuffer: 64 * 1024 * 1024 });
      const { body } = await ask(rig.url, { headers: { Authorization: AUTHORIZATION } });
      expect(stdout === body.toString()).toBe(true);
    });
  }
});
