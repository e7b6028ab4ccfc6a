import { databaseTrouble } from '../platform/db.ts';
import { AppError, isAppError } from '../platform/errors.ts';
import { describeFailure } from '../platform/failure.ts';
import { ACCOUNT_COMMANDS } from './commands/accounts.ts';
import { AUTOMATION_COMMANDS } from './commands/automation.ts';
import { CONTRACT_COMMANDS } from './commands/contract.ts';
import { DERIVED_COMMANDS } from './commands/derived.ts';
import { DEMO_COMMANDS } from './commands/demo.ts';
import { METADATA_COMMANDS } from './commands/metadata.ts';
import { MODEL_COMMANDS } from './commands/model.ts';
import { POLICY_COMMANDS } from './commands/policies.ts';
import { RECORD_COMMANDS } from './commands/records.ts';
import { REPORT_COMMANDS } from './commands/reports.ts';
import { SANDBOX_COMMANDS } from './commands/sandbox.ts';
import { SERVE_COMMANDS } from './commands/serve.ts';
import { TRANSFER_COMMANDS } from './commands/transfer.ts';
import { WEBHOOK_COMMANDS } from './commands/webhooks.ts';
import { findCommand, helpOf, helpOfAll, JSON_OPTION, readCall, UsageError, type Command, type Io } from './command.ts';
import { boundHeap } from './heap.ts';
import { readConfig } from './open-app.ts';
import { printJson, printTable } from './print.ts';

const CONFIG: Command = {
  name: 'config',
  summary: 'Every setting with its value and where it comes from.',
  usage: '',
  example: 'npx credenza config',
  positionals: [0, 0],
  options: { json: JSON_OPTION },
  run: (call) => {
    if (call.isSet('json')) printJson(call.io, call.config.listing);
    else
      printTable(
        call.io,
        ['setting', 'value', 'source', 'meaning'],
        call.config.listing.map((entry) => [entry.name, entry.value, entry.source, entry.help]),
      );
    return Promise.resolve();
  },
};

/** Every command there is. */
export const COMMANDS: readonly Command[] = [
  ...SERVE_COMMANDS,
  ...METADATA_COMMANDS,
  ...MODEL_COMMANDS,
  ...CONTRACT_COMMANDS,
  ...ACCOUNT_COMMANDS,
  ...TRANSFER_COMMANDS,
  ...RECORD_COMMANDS,
  ...AUTOMATION_COMMANDS,
  ...REPORT_COMMANDS,
  ...POLICY_COMMANDS,
  ...WEBHOOK_COMMANDS,
  ...DERIVED_COMMANDS,
  ...SANDBOX_COMMANDS,
  ...DEMO_COMMANDS,
  CONFIG,
];

/** Runs one command line and answers its exit code: 0 done, 1 failed, 2 wrong use. */
export async function runCommand(words: readonly string[], io: Io, environment: NodeJS.ProcessEnv): Promise<number> {
  try {
    if (words.length === 0 || ((words[0] === '--help' || words[0] === 'help' || words[0] === '-h') && words.length === 1)) {
      io.out(helpOfAll(COMMANDS));
      return words.length === 0 ? 2 : 0;
    }
    const { command, rest } = findCommand(COMMANDS, words[0] === 'help' ? words.slice(1) : words);
    if (words[0] === 'help' || rest.includes('--help') || rest.includes('-h')) {
      io.out(helpOf(command));
      return 0;
    }
    return (await command.run(readCall(command, rest, io, readConfig(environment)))) ?? 0;
  } catch (error) {
    return report(error, io);
  }
}

function report(error: unknown, io: Io): number {
  if (error instanceof UsageError) {
    io.say(error.message);
    if (error.command !== null) io.say(`Example: ${error.command.example}`);
    return 2;
  }
  const trouble = databaseTrouble(error);
  if (trouble !== null) {
    io.say(`The database cannot be used: ${trouble.reason}. ${trouble.isRefusal ? 'Check' : 'Start PostgreSQL, or check'} DATABASE_URL.`);
    return 1;
  }
  if (!isAppError(error)) {
    const { code, message } = describeFailure(error);
    const frames = error instanceof Error ? (error.stack ?? '').split('\n').filter((line) => line.startsWith('    at ')) : [];
    io.say([message.includes(code) ? message : `${code}: ${message}`, ...frames].join('\n'));
    return 1;
  }
  io.say(error.message);
  for (const entry of detailsOf(error)) io.say(`  ${entry}`);
  return 1;
}

/** Findings that the message does not already say. */
function detailsOf(error: AppError): readonly string[] {
  if (error.errors.length === 1 && error.errors[0]?.detail === error.message && error.errors[0].fix === undefined) return [];
  return error.errors.map((entry) => `${entry.pointer === '' ? '' : `${entry.pointer}: `}${entry.detail}${entry.fix === undefined ? '' : ` ${entry.fix}`}`);
}

/** The `credenza` command of this process. */
export async function main(words: readonly string[]): Promise<void> {
  boundHeap();
  const io: Io = {
    out: (text) => void process.stdout.write(text),
    say: (text) => void process.stderr.write(`${text}\n`),
    stdin: process.stdin,
    isTerminal: process.stderr.isTTY,
    directory: process.cwd(),
  };
  // A reader that has seen enough (`credenza list ... | head`) ends the command quietly.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1));
  process.exitCode = await runCommand(words, io, process.env);
}
