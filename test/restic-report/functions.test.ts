import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { needs } from '../support/programs.ts';
import { temporaryDirectory } from '../support/serve.ts';
import { SCRIPT, SHELLS } from './rig.ts';

/** The script without its last line, which runs it. */
const FUNCTIONS = readFileSync(SCRIPT, 'utf8').replace(/\nmain "\$@"\s*$/, '\n');

for (const { program, command } of SHELLS) {
  needs(program).describe(`under ${command.join(' ')}`, () => functionsUnder(command));
}

const VERSION = /^VERSION=(.*)$/m.exec(FUNCTIONS)?.[1];

function functionsUnder(shell: readonly string[]): void {
  /** Runs lines behind the functions of the script. @returns what they print */
  function call(lines: string, directory = temporaryDirectory()): string {
    const file = join(directory, 'script');
    const state = "work='' has_spool='' interval='' spool='' took=0 notes='' unspooled=''";
    writeFileSync(file, `${FUNCTIONS}\n${state}\n${lines}\n`);
    const [sh = '', ...args] = shell;
    const env = { PATH: process.env.PATH, TZ: 'America/New_York' };
    // A function that never ends fails its test.
    const options = { encoding: 'utf8', env, timeout: 30_000 } as const;
    const { stdout, stderr, signal } = spawnSync(sh, [...args, file], options);
    expect([stderr, signal]).toEqual(['', null]);
    return stdout;
  }

  it('an interval is a whole number of seconds, minutes, hours, days or weeks, up to a year', () => {
    const texts = {
      '3600': '3600',
      '90s': '90',
      '90m': '5400',
      '24h': '86400',
      '7d': '604800',
      '2w': '1209600',
      '366d': '31622400',
      '31622400': '31622400',
      '31622401': 'note',
      '367d': 'note',
      '0': 'note',
      '010': 'note',
      '1.5h': 'note',
      h: 'note',
      '24H': 'note',
      '-5': 'note',
      daily: 'note',
      '999999999': 'note',
    };
    const lines = Object.keys(texts).map(
      (text) =>
        `notes='' RESTIC_REPORT_INTERVAL='${text}'; read_interval; printf '%s\\n' "\${notes:+note}\${interval}"`,
    );
    expect(call(lines.join('\n')).trim().split('\n')).toEqual(Object.values(texts));
  });

  it('each setting may be in the file; the environment and the first line of a name count', () => {
    const names = ['URL', 'TOKEN', 'TOKEN_FILE', 'CA_FILE', 'SPOOL', 'INTERVAL', 'SKIP', 'RESTIC'];
    const directory = temporaryDirectory();
    const file = join(directory, 'conf');
    const lines = names.map(
      (name) => `RESTIC_REPORT_${name}=file ${name}\nRESTIC_REPORT_${name}=later\n`,
    );
    writeFileSync(file, `RESTIC_REPORT_URL=\n${lines.join('')}`);
    const shown = names.map((name) => `printf '%s\\n' "\${RESTIC_REPORT_${name}:-}"`);
    const variables = `RESTIC_REPORT_CONFIG='${file}' RESTIC_REPORT_TOKEN=environment RESTIC_REPORT_SKIP=''`;
    const found = call(`${variables}\nload_settings; printf %s "$notes"\n${shown.join('\n')}`);
    const expected = names.map((name) => (name === 'TOKEN' ? 'environment' : `file ${name}`));
    expect(found.trim().split('\n')).toEqual(expected);
  });

  it('the last line of the settings file counts also if no line feed ends it', () => {
    const file = join(temporaryDirectory(), 'conf');
    writeFileSync(file, 'RESTIC_REPORT_URL=http://x\nRESTIC_REPORT_TOKEN=t');
    const found = call(
      `RESTIC_REPORT_CONFIG='${file}'; load_settings; echo "$RESTIC_REPORT_TOKEN"`,
    );
    expect(found).toBe('t\n');
  });

  it('the statistics have only the time that the delivery of the job has left', () => {
    const stubs = `report_stats_later() { has_stats=1; }; deliver() { echo "$1"; }`;
    expect(call(`${stubs}; took=7; report_stats; took=0; report_stats`)).toBe('3\n10\n');
  });

  it.each([
    ['does not exist', '/nonexistent'],
    ['is a directory', '/'],
  ])('a settings file that %s is only a problem if a setting is missing', (problem, conf) => {
    const settings = `RESTIC_REPORT_CONFIG=${conf} RESTIC_REPORT_TOKEN=t HOME=/x`;
    const found = call(`${settings}; load_settings; check_settings; echo "$problem"
      RESTIC_REPORT_URL=http://x; check_settings; echo "$problem"`);
    expect(found).toBe(`RESTIC_REPORT_URL is not set, and ${conf} ${problem}\n\n`);
  });

  it('the spool has its place, of its own for each user and each settings file', () => {
    const at = (settings: string) =>
      call(`conf=$DEFAULT_CONFIG; id() { echo 1000; }; ${settings}; choose_spool; echo "$spool"`);
    expect(at('id() { echo 0; }')).toBe('/var/spool/restic-report\n');
    expect(at('HOME=/home/joe')).toBe('/home/joe/.local/state/restic-report\n');
    expect(at('HOME=/home/joe XDG_STATE_HOME=/state')).toBe('/state/restic-report\n');
    expect(at('unset HOME')).toBe('\n');
    expect(at('HOME=/x conf="/etc/second file.conf"')).toBe(
      '/x/.local/state/restic-report/_etc_second_file.conf\n',
    );
    expect(at('RESTIC_REPORT_SPOOL="/my spool" conf=/x')).toBe('/my spool\n');
  });

  it.each(['backup', 'snapshots'])('without restic %s ends with 127, as of a shell', (command) => {
    const directory = temporaryDirectory();
    const lines = `exec 2>&1; find_restic() { return 1; }; missing='restic is not found on the PATH'
      ignored_signals=''; RESTIC_REPORT_CONFIG=/nonexistent RESTIC_REPORT_URL=http://127.0.0.1:1
      RESTIC_REPORT_TOKEN=t RESTIC_REPORT_SPOOL='${directory}'
      (run_command restic ${command}); echo $?; cat '${directory}'/*.job 2>/dev/null`;
    const [said, ...found] = call(lines).trim().split('\n');
    expect(said).toBe('restic-report: restic is not found on the PATH');
    if (command === 'snapshots') return expect(found).toEqual(['127']);
    expect(found.at(-2)).toBe('127');
    expect(JSON.parse(found.at(-1) ?? '').payload).toMatchObject({
      ...{ kind: 'backup', status: 'failed', exit_code: 127 },
      error: 'restic is not found on the PATH',
    });
  });

  it('the first restic on the PATH counts that is a program and not this script', () => {
    const directory = temporaryDirectory();
    const place = (name: string) => {
      mkdirSync(join(directory, name));
      return join(directory, name, 'restic');
    };
    mkdirSync(place('directory'));
    writeFileSync(place('text'), 'no program\n');
    copyFileSync(SCRIPT, place('copy'));
    symlinkSync(SCRIPT, place('link'));
    for (const name of ['real', 'later']) {
      writeFileSync(place(name), '#!/bin/sh\n');
      chmodSync(join(directory, name, 'restic'), 0o755);
    }
    const path = (...names: string[]) => names.map((name) => join(directory, name)).join(':');
    const all = path('missing', 'directory', 'text', 'copy', 'link', 'real', 'later');
    // An empty part of the PATH is the current directory.
    const lines = `PATH='${all}':$PATH; find_restic
      cd '${join(directory, 'later')}'; PATH=":$PATH"; find_restic`;
    expect(call(lines)).toBe(`${join(directory, 'real', 'restic')}\n./restic\n`);
  });

  const GLOBALS_WITH_VALUE = [
    'cacert',
    'cache-dir',
    'http-user-agent',
    'key-hint',
    'limit-download',
    'limit-upload',
    'option',
    'password-command',
    'password-file',
    'repo',
    'repository-file',
    'retry-lock',
    'stuck-request-timeout',
    'tls-client-cert',
  ];
  /** What the script finds in these arguments: the kind of job, and the flags for its queries. */
  const inspected = (...args: string[]) => {
    const words = args.map((arg) => `'${arg.replaceAll("'", "'\\''")}'`).join(' ');
    const lines = `inspect ${words}; eval "set -- $globals"
      printf '%s %s|%s' "$kind" "$unknown" "$at_host"; printf '|%s' "$@"`;
    const [found = '', host, ...globals] = call(lines).split('|');
    return { found, host, globals: globals.filter(Boolean) };
  };

  it('the flags that choose the repository and how to reach it are used for the queries, too', () => {
    const value = "it's $HOME";
    const apart = GLOBALS_WITH_VALUE.flatMap((name) => [`--${name}`, value]);
    const joined = GLOBALS_WITH_VALUE.map((name) => `--${name}=${value}`);
    const without = ['--insecure-no-password', '--insecure-tls', '--no-cache'];
    const short = ['-r', value, `-p${value}`, `-o=${value}`];
    const globals = [...joined, ...without, '-r', value, '-p', value, '-o', value];
    const rest = [
      '--json',
      '-qv',
      '--no-lock',
      '--verbose=2',
      '--compression',
      'max',
      '--pack-size=9',
    ];
    for (const first of [apart, joined]) {
      const args = [...first, ...without, ...short, ...rest, 'backup', '/x'];
      expect(inspected(...args)).toEqual({ found: 'backup ', host: '', globals });
    }
  });

  it('the host of a snapshot is known from any form of the flag', () => {
    for (const flag of [['--host', 'web'], ['--host=web'], ['-H', 'web'], ['-Hweb'], ['-H=web']]) {
      const expected = { found: 'backup ', host: 'web', globals: [] };
      expect(inspected('backup', ...flag, '/x'), flag.join(' ')).toEqual(expected);
    }
  });

  needs('restic').test('which flags of the installed restic have a value is known', () => {
    const kinds = ['backup', 'check', 'diff', 'forget', 'init', 'prune', 'restore', 'unlock'];
    /** The flags in a help text, without dashes, and whether each has a value. */
    const flagsOf = (...args: string[]) => {
      const { stdout } = spawnSync('restic', [...args, '--help'], { encoding: 'utf8' });
      const [help = ''] = stdout.split('Global Flags:');
      return [...help.matchAll(/^ +(?:-(\w), )?--([\w-]+)(?: (\w\S*))? {2}/gm)].flatMap(
        ([, short, long = '', value]) => {
          // The value of --verbose is optional, so it cannot be the next argument.
          const hasValue = value !== undefined && long !== 'verbose';
          if (long === 'help' || long === 'version' || long === 'dry-run') return [];
          return [
            { flag: `--${long}`, hasValue },
            ...(short ? [{ flag: `-${short}`, hasValue }] : []),
          ];
        },
      );
    };
    const globals = flagsOf();
    expect(globals.length).toBeGreaterThan(20);
    const cases = [
      // In front of the command, a flag without a value must not hide the command.
      ...globals.map(({ flag, hasValue }) => [
        `${flag} ${hasValue ? 'backup' : ''} check`,
        'check',
      ]),
      // Behind it, -n means a dry run, unless it is the value of the flag.
      ...kinds.flatMap((kind) =>
        flagsOf(kind).map(({ flag, hasValue }) => [`${kind} ${flag} -n`, hasValue ? kind : '']),
      ),
    ];
    const lines = cases.map(([args]) => `inspect ${args}; echo "${args}: $kind$unknown"`);
    const expected = cases.map(([args, kind]) => `${args}: ${kind}\n`);
    expect(call(lines.join('\n'))).toBe(expected.join(''));
  });

  it('a query takes no lock, runs at low priority, and reads nothing of the standard input', () => {
    const directory = temporaryDirectory();
    const restic = join(directory, 'restic');
    writeFileSync(restic, '#!/bin/sh\necho "$*"; nice; cat; echo failed >&2\n');
    chmodSync(restic, 0o755);
    const found = call(
      `restic='${restic}' globals=" --repo='/a b'"; nice; echo secret | ask_restic 5 stats --mode raw-data`,
    );
    const [before, args, nice, ...more] = found.split('\n');
    expect(args).toBe('stats --mode raw-data --json --no-lock --repo=/a b');
    expect(Number(nice)).toBe(Math.min(19, Number(before) + 10));
    expect(more).toEqual(['']);
  });

  it('a time is in UTC, with milliseconds where date knows them', () => {
    const found = call(`now
      date() { case $* in *%3N*) echo 'date: invalid format' >&2; return 1 ;; esac; command date "$@"; }
      now`);
    const [time = '', other = ''] = found.split('\n');
    expect(time).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?Z$/);
    expect(other).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
    for (const text of [time, other]) {
      expect(Math.abs(Date.parse(text) - Date.now())).toBeLessThan(600_000);
    }
  });

  it('queries to skip are named in any order, with commas or spaces', () => {
    const cases = {
      summary: '10',
      'stats,summary': '11',
      'summary stats': '11',
      stat: '00',
      nostats: '00',
      '': '00',
    };
    const lines = Object.keys(cases).map(
      (text) =>
        `RESTIC_REPORT_SKIP='${text}'; for q in summary stats; do if skips $q; then printf 1; else printf 0; fi; done; echo`,
    );
    expect(call(lines.join('\n')).trim().split('\n')).toEqual(Object.values(cases));
  });

  it('a value loses the white space around it, and the line end of another system', () => {
    const lines = `printf '<%s>\\n' "$(trim "  a b$TAB $CARRIAGE_RETURN")" "$(trim '')" "$(trim "$TAB x")"`;
    expect(call(lines)).toBe('<a b>\n<>\n<x>\n');
  });

  it('a text becomes the inside of a JSON string, without control characters and passwords', () => {
    const text = String.raw`one\ttab "quoted" back\\slash\r\n\033[31mred\001\177 sftp://user:hidden@host/x ü`;
    const inside = call(`printf '${text}' | json_text`);
    expect(JSON.parse(`"${inside}"`)).toBe(
      'one\ttab "quoted" back\\slash\n\n[31mred sftp://user:***@host/x ü',
    );
  });

  it('each password, quote, backslash and tab of a line is replaced, not only the first', () => {
    const text = String.raw`sftp://user:hidden@host/x rest:https://other:secret@host:8000/y "a" C:\\b\\c\td\te`;
    const inside = call(`printf '${text}' | json_text`);
    expect(JSON.parse(`"${inside}"`)).toBe(
      'sftp://user:***@host/x rest:https://other:***@host:8000/y "a" C:\\b\\c\td\te',
    );
  });

  it('a finish has an exit code, an error and a summary only if there are some', () => {
    const finish = (...rest: string[]) =>
      JSON.parse(
        call(
          `finish_message id backup failed START END ${rest.map((text) => `'${text}'`).join(' ')}`,
        ),
      );
    const payload = {
      job_id: 'id',
      kind: 'backup',
      status: 'failed',
      started_at: 'START',
      finished_at: 'END',
    };
    expect(finish('', '', '')).toEqual({ id: 'id', type: 'job.finished', payload });
    expect(finish('1', 'no', '"bytes_added":7').payload).toEqual({
      ...payload,
      exit_code: 1,
      error: 'no',
      summary: { bytes_added: 7 },
    });
  });

  it('a hello has what restic says of itself, or else what the system says', () => {
    const hello = (version: string) => {
      const directory = temporaryDirectory();
      const restic = `restic='${join(directory, 'restic')}'; printf '#!/bin/sh\\necho "${version}"\\n' >"$restic"; chmod +x "$restic"`;
      return JSON.parse(call(`${restic}; interval=90; hello_message`, directory)).payload;
    };
    expect(hello('restic 0.18.0 compiled with go1.24.1 on freebsd/arm64')).toMatchObject({
      protocol_version: 1,
      agent_version: `restic-report ${VERSION}`,
      restic_version: '0.18.0',
      os: 'freebsd',
      arch: 'arm64',
      backup_interval_seconds: 90,
    });
    const other = hello('borg 1.4 on freebsd/arm64');
    expect(other).not.toHaveProperty('restic_version');
    expect(other.os).toBe('linux');
  });

  /** What `ask_snapshots` finds in the answer of restic, about a run that began at 10:00 UTC. */
  function summaryOf(
    snapshots: object[] | null,
    settings = '',
    started = '2026-03-01T10:00:00.500Z',
  ) {
    const directory = temporaryDirectory();
    writeFileSync(join(directory, 'answer'), `${JSON.stringify(snapshots)}\n`);
    const fake = `ask_restic() { cat '${join(directory, 'answer')}'; }`;
    const lines = `${fake}; started=${started} at_host='' snapshots='' summary=''\n${settings}\nask_snapshots; printf '%s|%s' "$snapshots" "$summary"`;
    return call(lines, directory);
  }

  it.each([
    ['2026-03-01T10:00:01Z', true],
    ['2026-03-01T12:00:01.123456789+02:00', true],
    ['2026-03-01T05:00:01-05:00', true],
    ['2026-02-28T23:30:01-10:30', true],
    ['2026-03-01T10:00:00Z', false],
    ['2026-03-01T11:59:59+02:00', false],
    ['2026-03-01T04:59:59-05:00', false],
    ['2026-02-28T23:59:59Z', false],
  ])('a snapshot of %s is of a run that began at 10:00:00.5 UTC: %s', (time, isOfThisRun) => {
    const id = 'a'.repeat(64);
    const found = summaryOf([{ time, hostname: 'web', id, short_id: 'aaaaaaaa' }], 'at_host=web');
    expect(found).toBe(isOfThisRun ? `1|"snapshot_id":"${id}"` : '1|');
  });

  it('the last snapshot of this host is meant, with what it added after compression', () => {
    const at = (second: number, hostname: string, id: string) => ({
      time: `2026-03-01T10:00:${second}Z`,
      hostname,
      summary: {
        backup_start: `2026-03-01T10:00:${second}Z`,
        data_added: 9,
        data_added_packed: second,
      },
      id,
      short_id: id,
    });
    const all = [at(20, 'web', 'aa'), at(30, 'web', 'bb'), at(40, 'mail', 'cc')];
    expect(summaryOf(all, 'RESTIC_HOST=web')).toBe('3|"snapshot_id":"bb","bytes_added":30');
    expect(summaryOf(all, 'RESTIC_HOST=web at_host=mail')).toBe(
      '3|"snapshot_id":"cc","bytes_added":40',
    );
    expect(summaryOf(all, 'at_host=other')).toBe('3|');
    expect(summaryOf(null)).toBe('0|');
    expect(summaryOf([])).toBe('0|');
  });

  it('the size of the repository is asked for once a day, and when it may have changed much', () => {
    const spool = temporaryDirectory();
    const due = (kind: string) =>
      `kind=${kind}; if stats_are_due; then echo ${kind}; else echo -; fi`;
    const at = (age: number) => `echo $(($(seconds) - ${age})) >"$spool/stats-at"`;
    const lines = [
      `spool='${spool}' has_spool=1`,
      due('init'),
      due('backup'), // after an init the repository was empty
      due('backup'),
      due('check'),
      'rm "$spool/stats-at"',
      due('forget'),
      due('backup'),
      due('prune'),
      at(86_300),
      due('backup'),
      at(86_400),
      due('backup'),
      due('backup'),
    ];
    expect(call(lines.join('\n')).trim().split('\n')).toEqual([
      'init',
      'backup',
      '-',
      '-',
      'forget',
      '-',
      'prune',
      '-',
      'backup',
      '-',
    ]);
  });

  it('a process is known by its start, because its number may be used again', () => {
    const lines = `
      alive() { if is_alive "$@"; then echo yes; else echo no; fi; }
      alive $$ "$(start_of $$)"; alive $$ ''; alive $$ 1; alive 4194305 ''; alive x ''; alive '' ''`;
    expect(call(lines).trim().split('\n')).toEqual(['yes', 'yes', 'no', 'no', 'no', 'no']);
  });

  it('messages are spooled in their order, also beyond the ninth', () => {
    const spool = join(temporaryDirectory(), 'spool');
    mkdirSync(spool);
    writeFileSync(join(spool, '000000000008.job'), 'x\n');
    const lines = `spool='${spool}' has_spool=1; for n in 1 2 3; do spool_add job "message $n"; done; spool_add stats four`;
    call(lines);
    expect(readdirSync(spool).sort()).toEqual([
      '000000000008.job',
      '000000000009.job',
      '000000000010.job',
      '000000000011.job',
      '000000000012.stats',
    ]);
    expect(readFileSync(join(spool, '000000000010.job'), 'utf8')).toBe('message 2\n');
  });

  it('other files in the directory of the spool are not sent', () => {
    const spool = temporaryDirectory();
    for (const name of [
      '1.job',
      'my.job',
      '0000000000001.job',
      '000000000001.job.bak',
      'stats-at',
    ]) {
      writeFileSync(join(spool, name), 'x\n');
    }
    writeFileSync(join(spool, '000000000001.stats'), 'x\n');
    expect(call(`spool='${spool}'; spooled`)).toBe('000000000001.stats\n');
  });

  it('where the file system has no hard links, messages are spooled all the same', () => {
    const spool = join(temporaryDirectory(), 'spool');
    mkdirSync(spool);
    const lines = `spool='${spool}' has_spool=1; ln() { return 1; }
      spool_add job one; spool_add job two
      mv() { return 1; }; keep job three; printf %s "$unspooled"`;
    expect(call(lines)).toBe('three\n');
    expect(readdirSync(spool).sort()).toEqual(['000000000001.job', '000000000002.job']);
  });

  it('a spool with too many bytes loses its oldest reports, statistics first', () => {
    const spool = join(temporaryDirectory(), 'spool');
    mkdirSync(spool);
    for (const name of ['1.job', '2.stats', '3.job', '4.stats']) {
      writeFileSync(join(spool, `00000000000${name}`), 'x'.repeat(100));
    }
    const lines = `exec 2>&1; spool='${spool}' has_spool=1 MAX_BYTES=$1; spool_add job new`;
    expect(call(lines.replace('$1', '400'))).toBe('');
    expect(call(lines.replace('$1', '150'))).toBe(
      `restic-report: the spool ${spool} is full: its 3 oldest reports were dropped\n`,
    );
    expect(readdirSync(spool).sort()).toEqual([
      '000000000003.job',
      '000000000005.job',
      '000000000006.job',
    ]);
  });

  it('a delivery that still runs keeps its lock, and another one waits only until its deadline', () => {
    const spool = temporaryDirectory();
    const lines = `spool='${spool}' deadline=0; ln -s "$$:$(start_of $$)" "$spool/lock"
      lock_spool; echo $?; drop_dead_lock; echo $?
      rm "$spool/lock"; lock_spool; echo $?; unlock_spool; ls "$spool"`;
    expect(call(lines)).toBe('1\n1\n0\n');
  });

  it('of a run that goes on, or was killed before it had noted its job, nothing is reported', () => {
    const spool = temporaryDirectory();
    writeFileSync(join(spool, 'running.a'), '');
    writeFileSync(join(spool, 'running.b'), '4194305 1\nbackup');
    writeFileSync(join(spool, 'running.c'), '4194305 1\nbackup 2026-01-01T00:00:00Z\n');
    call(`spool='${spool}' has_spool=1
      printf '%s\\nbackup 2026-01-01T00:00:00Z\\n' "$$ $(start_of $$)" >"$spool/running.d"
      report_killed`);
    expect(readdirSync(spool).sort()).toEqual(['000000000001.job', 'running.d']);
    expect(readFileSync(join(spool, '000000000001.job'), 'utf8')).toContain('"job_id":"c"');
  });

  it('the snapshots are counted after each command that changes their number', () => {
    const kinds = [
      'backup',
      'check',
      'diff',
      'forget',
      'init',
      'prune',
      'restore',
      'unlock',
      'update',
    ];
    const lines = `ask_snapshots() { echo $kind; }; keep() { spool_file=''; }; code=0 error='' started=START finished=END job=id
      for kind in ${kinds.join(' ')}; do report_run; done
      code=1; for kind in ${kinds.join(' ')}; do report_run; done`;
    expect(call(lines)).toBe('backup\nforget\ninit\n');
  });

  it('the check of the settings says what is not installed, and whether there is an interval', () => {
    const lines = `RESTIC_REPORT_CONFIG=/nonexistent RESTIC_REPORT_URL=http://x RESTIC_REPORT_TOKEN=t
      RESTIC_REPORT_SPOOL='${temporaryDirectory()}'; find_restic() { return 1; }; command() { return 1; }
      self_test; echo "$?"`;
    const found = call(lines);
    expect(found).toMatch(/^ {2}FAIL {2}curl: not installed$/m);
    expect(found).toMatch(/^ {2}FAIL {2}restic: not found on the PATH; /m);
    expect(found).toMatch(
      /^ {2}ok {4}interval: not set, so the host counts as offline after 26 hours/m,
    );
    expect(found).toMatch(/\n1\n$/);
    expect(call(`RESTIC_REPORT_INTERVAL=2h; ${lines}`)).toMatch(/^ {2}ok {4}interval: .* 7200 s$/m);
  });

  it('a request has at most so many messages and bytes, but one message in any case', () => {
    const spool = join(temporaryDirectory(), 'spool');
    mkdirSync(spool);
    for (let n = 1; n <= 5; n++) {
      writeFileSync(join(spool, `00000000000${n}.job`), `{"id":"${n}","payload":{}}\n`);
    }
    const lines = `spool='${spool}' _locked=1 _hello=hello
      build_batch 3; echo $batch
      BATCH_BYTES=60; build_batch 200; echo $batch
      BATCH_BYTES=1; build_batch 200; echo $batch`;
    const files = call(lines).trim().split('\n');
    expect(files.map((line) => line.split(' ').length)).toEqual([3, 2, 1]);
    expect(files[0]).toBe('000000000001.job 000000000002.job 000000000003.job');
  });

  it('each answer of a server and each error of curl is explained', () => {
    const statuses: [status: number, text: string][] = [
      [301, 'redirects to another URL'],
      [302, 'redirects to another URL'],
      [308, 'redirects to another URL'],
      [401, 'does not know the token'],
      [403, 'a proxy in front of the server refused'],
      [404, 'has no /agent/messages'],
      [407, 'a proxy in front of the server refused'],
      [429, 'cannot accept reports now (429)'],
      [500, 'HTTP status 500'],
      [502, 'the proxy in front of the server cannot reach it'],
      [503, 'cannot accept reports now (503)'],
      [504, 'the proxy in front of the server cannot reach it'],
    ];
    const errors: [code: number, text: string, words?: string][] = [
      [3, 'is not a URL'],
      [5, 'cannot resolve the name of the proxy'],
      [6, 'cannot resolve the host name'],
      [7, 'cannot connect to'],
      [28, 'did not answer in time'],
      [1, 'is not a URL'],
      [35, 'use https:// if the server has TLS'],
      [52, 'use https:// if the server has TLS'],
      [56, 'use https:// if the server has TLS'],
      [56, 'refused the connection', 'CONNECT tunnel failed, response 403'],
      [60, 'is not trusted: set RESTIC_REPORT_CA_FILE'],
      [60, 'has expired: renew it', 'SSL certificate problem: certificate has expired'],
      [
        60,
        'is for another name',
        'SSL: certificate subject name a does not match target host name b',
      ],
      [
        60,
        'is for another name',
        'SSL: no alternative certificate subject name matches target host name',
      ],
      [77, 'does not contain PEM certificates'],
      [92, 'curl failed: curl: (92)'],
    ];
    const lines = [
      ...statuses.map(([status]) => `status=${status} answer=''; explain; echo`),
      ...errors.map(
        ([code, , words = 'why']) => `status=000 answer='curl: (${code}) ${words}'; explain; echo`,
      ),
    ];
    const explained = call(`shown_url=http://x\n${lines.join('\n')}`)
      .trim()
      .split('\n');
    expect(explained).toEqual(
      [...statuses, ...errors].map(([, text]) => expect.stringContaining(text)),
    );
  });

  it.each(['https_proxy', 'HTTPS_PROXY', 'http_proxy', 'ALL_PROXY', 'all_proxy'])(
    'if the variable %s is set, an error of the connection mentions it',
    (name) => {
      const lines = `shown_url=http://x status=000 answer='curl: (7) why'; explain; ${name}=http://y explain`;
      const [without = '', mentioned = ''] = call(
        lines.replace('explain; ', 'explain; echo; '),
      ).split('\n');
      expect(without).not.toContain('proxy variable');
      expect(mentioned).toContain('a proxy variable is set in the environment');
    },
  );

  // https://curl.se/docs/manpage.html#-K: in double quotes, a backslash precedes a quote and a backslash.
  it('the file of CA certificates may have any name', () => {
    const lines = `token=t RESTIC_REPORT_CA_FILE='/a "b" \\c'; curl_options`;
    expect(call(lines)).toContain('cacert = "/a \\"b\\" \\\\c"\n');
  });

  it('a request ignores the settings of curl, and its body is in a file, or in none if there is no place to write', () => {
    const directory = temporaryDirectory();
    const body = '{"error":"a \\\\ b"}\nsecond\n';
    const lines = `curl() { printf '%s\\n' "$*"; cat; printf '\\n200'; }; url=http://x token=t
      inline_body='${body}'; work=''; post 9; printf '%s\\n' "$answer"; work='${directory}'; post 9; printf '%s\\n' "$answer"`;
    const options = [
      'header = "Authorization: Bearer t"',
      'header = "Content-Type: application/x-ndjson"',
      'header = "Expect:"',
    ];
    // https://curl.se/docs/manpage.html#-q: it must come first.
    expect(call(lines).split('\n').filter(Boolean)).toEqual([
      '-q -sS -K - -m 9 -w \\n%{http_code} http://x/agent/messages',
      ...options,
      String.raw`data-binary = "{\"error\":\"a \\\\ b\"}\nsecond\n"`,
      `-q -sS -K - -m 9 -w \\n%{http_code} --data-binary @${directory}/body http://x/agent/messages`,
      ...options,
    ]);
  });

  it('a server that does not answer is waited for as long as there is time, and not longer', async () => {
    // Nothing accepts the connections, because `call` blocks this process.
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    onTestFinished(() => void server.close());
    const directory = temporaryDirectory();
    writeFileSync(join(directory, 'body'), 'x');
    const { port } = server.address() as AddressInfo;
    const lines = `url=http://127.0.0.1:${port} token=t inline_body=x
      for work in '' '${directory}'; do (post 1; echo "$status $answer") & done; wait`;
    expect(call(lines).match(/^000 curl: \(28\) .*timed out/gm)).toHaveLength(2);
  });

  it('a command that takes too long is ended, also where there is no timeout', () => {
    const lines = `
      exec 2>/dev/null # a shell may say that it has ended the program
      limited 5 sh -c 'exit 7'; echo $?
      timeout() { return 127; }
      limited 5 sh -c 'exit 7'; echo $?
      limited 0 sleep 60; echo $(($? > 128))`;
    expect(call(lines)).toBe('7\n7\n1\n');
  });

  it.each([
    ['', 1, 'RESTIC_REPORT_URL is not set'],
    ['ftp://x', 1, 'must begin with http:// or https://, not ftp://x'],
    ['ftp://me:hidden@x', 1, 'not ftp://me:***@x'],
    ['http://', 1, 'must begin with'],
    ['https://x/ws/agent', 0, 'https://x'],
    ['https://x/agent/messages//', 0, 'https://x'],
  ])('the address %j', (url, code, shown) => {
    const lines = `conf=x file_problem=''; RESTIC_REPORT_URL='${url}' RESTIC_REPORT_TOKEN=t HOME=/x
      check_settings; echo "$? $problem$url"`;
    const found = call(lines);
    expect(found.startsWith(`${code} `)).toBe(true);
    expect(found).toContain(shown);
    if (code === 1) expect(found.split(`$`)[0]?.replace(url, '')).not.toContain('hidden');
  });

  it.each([
    ['rmh_abc-_.~+/=', ''],
    [' rmh_abc\t', ''],
    ['', 'neither RESTIC_REPORT_TOKEN nor RESTIC_REPORT_TOKEN_FILE is set'],
    ['rmh_...', 'is the example from the documentation'],
    ['"rmh_abc"', 'invalid characters'],
    ['two words', 'invalid characters'],
  ])('the token %j', (token, problem) => {
    const lines = `conf=x file_problem=''; RESTIC_REPORT_URL=http://x RESTIC_REPORT_TOKEN='${token}' HOME=/x
      check_settings; printf '%s' "$problem"`;
    expect(call(lines)).toEqual(problem === '' ? '' : expect.stringContaining(problem));
  });
}
