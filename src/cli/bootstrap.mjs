// Plain JavaScript without dependencies: this runs before `npm ci` and before any build.
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, linkSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join, relative, resolve, sep } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), '../..');
const DIST = join(ROOT, 'dist');
const OLDEST_NODE = [20, 19];

class Stop extends Error {}

const say = (line) => process.stderr.write(`${line}\n`);

/** Makes the product ready to run: packages, server build, console build; each only when something changed. */
export async function prepare({ tests = false } = {}) {
  checkNode();
  const builds = [serverBuild(tests), consoleBuild()].filter((what) => what !== null);
  if (isInstalled() && builds.every(isBuilt)) return;
  const release = await lockPreparation();
  try {
    if (!isInstalled()) await install();
    for (const what of builds) await build(what);
  } finally {
    release();
  }
}

function checkNode() {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major > OLDEST_NODE[0] || (major === OLDEST_NODE[0] && minor >= OLDEST_NODE[1])) return;
  throw new Stop(`Credenza needs Node.js ${OLDEST_NODE.join('.')} or newer, this is ${process.versions.node}. Get it from https://nodejs.org.`);
}

// ------------------------------------------------------------------ packages

/** npm writes node_modules/.package-lock.json last: it says what is really there. */
function isInstalled() {
  const path = join(ROOT, 'node_modules', '.package-lock.json');
  if (!existsSync(path)) return false;
  const there = JSON.parse(readFileSync(path, 'utf8')).packages;
  const wanted = JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8')).packages;
  return Object.entries(wanted).every(
    ([name, entry]) =>
      name === '' || (there[name] === undefined ? entry.optional === true || entry.devOptional === true : there[name].version === entry.version),
  );
}

async function install() {
  say('Installing packages (npm ci); this takes a minute or two the first time ...');
  const npm = process.env.npm_execpath;
  const args = ['ci', '--include=dev', '--no-audit', '--no-fund', '--loglevel=error'];
  const viaNode = npm !== undefined && /npm-cli\.[cm]?js$/.test(npm);
  await tool('npm ci', viaNode ? process.execPath : process.platform === 'win32' ? 'npm.cmd' : 'npm', viaNode ? [npm, ...args] : args, {
    fix: 'Look at the lines above (no network? a package registry that does not answer?) and run the command again.',
  });
}

// ------------------------------------------------------------------ builds

function serverBuild(tests) {
  const folders = tests ? ['src', 'test', 'migrations'] : ['src', 'migrations'];
  return {
    name: tests ? 'tests' : 'server',
    sources: [...folders, 'tsconfig.json', 'tsconfig.build.json', 'package-lock.json'],
    accepts: (path) => /\.(ts|json)$/.test(path) && !path.startsWith(join('src', 'console') + sep),
    done: () => existsSync(join(DIST, 'src', 'cli', 'main.js')),
    async run() {
      say(tests ? 'Building the server and its tests ...' : 'Building the server ...');
      const project = tests ? 'tsconfig.json' : 'tsconfig.build.json';
      await tool('The TypeScript compiler', process.execPath, [join('node_modules', 'typescript', 'bin', 'tsc'), '-p', project, '--noEmitOnError'], {
        fix: 'Correct the errors above.',
      });
      removeOrphans();
    },
  };
}

function consoleBuild() {
  if (!existsSync(join(ROOT, 'src', 'console', 'index.html'))) return null;
  return {
    name: 'console',
    sources: ['src/console', 'src/platform', 'package-lock.json'],
    accepts: (path) => !path.endsWith('.md'),
    done: () => existsSync(join(DIST, 'console', 'index.html')),
    async run() {
      say('Building the console ...');
      const args = ['build', 'src/console', '--outDir', join(DIST, 'console'), '--emptyOutDir', '--logLevel', 'warn'];
      await tool('Vite', process.execPath, [join('node_modules', 'vite', 'bin', 'vite.js'), ...args], { fix: 'Correct the errors above.' });
    },
  };
}

async function build(what) {
  if (isBuilt(what)) return;
  const hash = hashOf(what);
  await what.run();
  writeFileSync(stampOf(what), hash);
}

function isBuilt(what) {
  const stamp = stampOf(what);
  return what.done() && existsSync(stamp) && readFileSync(stamp, 'utf8') === hashOf(what);
}

const stampOf = (what) => join(DIST, `.${what.name}-built`);

function hashOf(what) {
  const hash = createHash('sha256');
  for (const path of what.sources.flatMap((source) => filesBelow(join(ROOT, source)))) {
    const name = relative(ROOT, path);
    if (what.accepts(name)) hash.update(`${name}\0`).update(readFileSync(path)).update('\0');
  }
  return hash.digest('hex');
}

function filesBelow(path) {
  if (!existsSync(path)) return [];
  if (!statSync(path).isDirectory()) return [path];
  const entries = readdirSync(path, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1));
  return entries
    .filter((entry) => entry.name !== 'node_modules')
    .flatMap((entry) => (entry.isDirectory() ? filesBelow(join(path, entry.name)) : [join(path, entry.name)]));
}

/** A source that was deleted or renamed must not live on as a built test or module. */
function removeOrphans() {
  for (const folder of ['src', 'test', 'migrations']) {
    for (const path of filesBelow(join(DIST, folder))) {
      const match = /^(.*)\.js(\.map)?$/.exec(relative(DIST, path));
      if (match !== null && !existsSync(join(ROOT, `${match[1]}.ts`))) rmSync(path);
    }
  }
}

// ------------------------------------------------------------------ one at a time

/** Two commands at once in a fresh clone: the second waits for the first. A killed one lets go. */
async function lockPreparation() {
  mkdirSync(DIST, { recursive: true });
  const lock = join(DIST, '.preparing');
  const draft = `${lock}-${process.pid}`;
  writeFileSync(draft, String(process.pid));
  try {
    for (let told = false; ;) {
      try {
        linkSync(draft, lock);
        return () => rmSync(lock, { force: true });
      } catch (error) {
        if (error.code !== 'EEXIST') throw error;
      }
      const holder = existsSync(lock) ? Number(readFileSync(lock, 'utf8')) : 0;
      if (holder !== 0 && !isRunning(holder)) removeDead(lock, holder);
      else if (holder !== 0 && !told) {
        say(`Process ${holder} is installing or building here already; waiting for it ...`);
        told = true;
      }
      await new Promise((wake) => setTimeout(wake, 200));
    }
  } finally {
    rmSync(draft, { force: true });
  }
}

/** Takes the dead lock aside before removing it, so that nobody's fresh lock is removed by mistake. */
function removeDead(lock, holder) {
  const aside = `${lock}-dead-${process.pid}`;
  try {
    renameSync(lock, aside);
  } catch (error) {
    if (error.code === 'ENOENT') return;
    throw error;
  }
  if (Number(readFileSync(aside, 'utf8')) !== holder) linkSync(aside, lock);
  rmSync(aside);
}

function isRunning(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code !== 'ESRCH';
  }
}

// ------------------------------------------------------------------ commands

function tool(name, command, args, { fix, stdout = 2 } = {}) {
  return new Promise((done, fail) => {
    const child = spawn(command, args, { cwd: ROOT, stdio: ['ignore', stdout, 2] });
    child.once('error', (error) => fail(new Stop(`${name} could not be started: ${error.message}.`)));
    child.once('exit', (code, signal) => {
      if (code === 0) done();
      else fail(new Stop(`${name} failed (${signal ?? `exit code ${code}`}). ${fix ?? ''}`.trim()));
    });
  });
}

/** Runs the built `credenza` command in this process, so that signals reach it directly. */
export async function runCli(args) {
  await prepare();
  const { main } = await import(pathToFileURL(join(DIST, 'src', 'cli', 'main.js')).href);
  await main(args);
}

async function test(args) {
  await prepare({ tests: true });
  say('Running the tests ...');
  const files = args.filter((arg) => /\.test\.[jt]s$/.test(arg)).map((arg) => join('dist', arg.replace(/^dist\//, '').replace(/\.ts$/, '.js')));
  const rest = args.filter((arg) => !/\.test\.[jt]s$/.test(arg));
  const config = files.length === 0 ? [] : ['--config', '.mocharc.files.cjs'];
  const code = await new Promise((done, fail) => {
    const child = spawn(process.execPath, [join('node_modules', 'mocha', 'bin', 'mocha.js'), ...config, ...rest, ...files], { cwd: ROOT, stdio: 'inherit' });
    for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal));
    child.once('error', fail);
    child.once('exit', (exitCode) => done(exitCode ?? 1));
  });
  process.exitCode = code === 0 ? 0 : 1;
}

async function lint() {
  await prepare({ tests: true });
  const steps = [
    ['prettier', ['prettier', 'bin', 'prettier.cjs'], ['--check', '--log-level', 'warn', '.'], 'Run npm run format.'],
    ['eslint', ['eslint', 'bin', 'eslint.js'], ['.'], 'Correct the findings above.'],
    [
      'dependency-cruiser',
      ['dependency-cruiser', 'bin', 'dependency-cruise.mjs'],
      ['--config', '.dependency-cruiser.cjs', 'src', 'migrations'],
      'Correct the imports above.',
    ],
  ];
  for (const [name, path, toolArgs, fix] of steps) {
    say(`Checking with ${name} ...`);
    await tool(name, process.execPath, [join('node_modules', ...path), ...toolArgs], { fix });
  }
}

async function check(args) {
  await lint();
  await test(args);
}

async function bench(args) {
  await prepare({ tests: true });
  const program = join(DIST, 'test', 'bench', 'main.js');
  if (!existsSync(program)) throw new Stop('This version has no benchmark (test/bench/main.ts).');
  await tool('The benchmark', process.execPath, [program, ...args], { stdout: 1 });
}

const COMMANDS = { start: (args) => runCli(['start', ...args]), test, build: () => prepare(), lint, check, bench };

/** Ends the process with one clear line; anything unexpected keeps its stack. */
export function fail(error) {
  say(error instanceof Stop ? error.message : String(error?.stack ?? error));
  process.exit(1);
}

if (process.argv[1] !== undefined && resolve(process.argv[1]) === fileURLToPath(import.meta.url)) {
  const [name = '', ...args] = process.argv.slice(2);
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (command === undefined) fail(new Stop(`Use one of: ${Object.keys(COMMANDS).join(', ')}.`));
  else command(args).catch(fail);
}
