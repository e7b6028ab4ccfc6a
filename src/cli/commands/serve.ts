import type { Config } from '../../config.ts';
import { AppError } from '../../platform/errors.ts';
import { isSandbox } from '../../platform/mail/mail.sql.ts';
import { schemasNamed } from '../../platform/schema/copy.sql.ts';
import type { App } from '../../main.ts';
import { UsageError, type Call, type Command, type Option } from '../command.ts';
import { openApp, sandboxConfig } from '../open-app.ts';

const PORT: Option = { value: 'PORT', help: 'Port of the web server; 0 takes any free one (default: PORT).' };
const HOST: Option = { value: 'HOST', help: 'Address to listen on (default: HOST).' };
const SANDBOX: Option = { value: 'NAME', help: 'Run this sandbox instead, also beside the running original.' };

interface Parts {
  readonly web: boolean;
  readonly work: boolean;
}

export const SERVE_COMMANDS: readonly Command[] = [
  {
    name: 'start',
    summary: 'Web server, worker and scheduler in one process; makes or updates the database first.',
    usage: '',
    example: 'npx credenza start --port 3000',
    positionals: [0, 0],
    options: { port: PORT, host: HOST, sandbox: SANDBOX },
    run: (call) => serve(call, { web: true, work: call.config.worker }),
  },
  {
    name: 'serve',
    summary: 'The web server alone.',
    usage: '',
    example: 'npx credenza serve --port 3000',
    positionals: [0, 0],
    options: { port: PORT, host: HOST, sandbox: SANDBOX },
    run: (call) => serve(call, { web: true, work: false }),
  },
  {
    name: 'work',
    summary: 'The worker and scheduler alone.',
    usage: '',
    example: 'npx credenza work',
    positionals: [0, 0],
    options: {},
    run: (call) => serve(call, { web: false, work: true }),
  },
];

async function serve(call: Call, parts: Parts): Promise<void> {
  const { io } = call;
  const sandbox = call.option('sandbox');
  const config = sandbox === null ? withAddress(call) : sandboxConfig(withAddress(call), sandbox);
  const stopped = untilSignal();
  io.say(config.databaseUrl === null ? `Starting the embedded PostgreSQL (data in ${config.dataDirectory}) ...` : 'Connecting to the database ...');
  const { app, close } = await openApp(config, io, parts.web && sandbox === null ? 'server' : 'command');
  try {
    if (sandbox !== null) await requireSandbox(app, sandbox);
    const { migrations, metadata } = await app.prepare();
    if (migrations.length > 0) io.say(`Made the platform's tables (${migrations.join(', ')}).`);
    if (metadata.steps.length > 0) io.say(`Applied the metadata: ${String(metadata.steps.length)} steps, now version ${String(metadata.version)}.`);
    const { url, smtpPort } = await app.start(parts);
    if (smtpPort !== null) io.say(`Mail is received at ${config.host}:${String(smtpPort)}.`);
    if (url === null) io.say('The worker runs. Ctrl-C stops it.');
    else
      await welcome(call, app.publicUrl() === config.publicUrl && !config.publicUrl.endsWith(':0') ? url : app.publicUrl(), await app.firstAdministratorLink());
    await stopped;
    io.say('Stopping ...');
  } finally {
    await close();
  }
}

async function requireSandbox(app: App, name: string): Promise<void> {
  const found = (await schemasNamed(app.db, app.config.schema)).includes(app.config.schema) && (await isSandbox(app.db));
  if (!found) throw new AppError('not_found', `There is no sandbox ${name}. credenza sandbox list shows them.`);
}

function welcome({ io, config }: Call, url: string, link: string | null): Promise<void> {
  if (config.smtpUrl === null) io.say('SMTP_URL is not set: mail is kept as captured and nobody receives it.');
  if (link !== null) io.say(`\nThe first administrator sets a password here, once:\n  ${link}\n`);
  io.say(`Credenza runs at ${url} (Ctrl-C stops it).`);
  return Promise.resolve();
}

function withAddress(call: Call): Config {
  const port = call.option('port');
  if (port !== null && (!/^\d{1,5}$/.test(port) || Number(port) > 65_535)) throw new UsageError('--port is a number from 0 to 65535.');
  const host = call.option('host') ?? call.config.host;
  const chosen = port === null ? call.config.port : Number(port);
  const isGiven = call.config.listing.some((entry) => entry.name === 'PUBLIC_URL' && entry.source !== 'default');
  return { ...call.config, port: chosen, host, publicUrl: isGiven ? call.config.publicUrl : `http://${host}:${String(chosen)}` };
}

/** Resolves at the first SIGINT or SIGTERM. npm and the terminal both pass Ctrl-C on, so a second within two seconds is the same one. */
function untilSignal(): Promise<void> {
  return new Promise((resolve) => {
    let first: number | null = null;
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      process.on(signal, () => {
        if (first === null) {
          first = performance.now();
          resolve();
        } else if (performance.now() - first > 2_000) process.exit(1);
      });
    }
  });
}
