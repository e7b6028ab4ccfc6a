import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { packageRoot } from '../../src/platform/root.ts';

/** What the linter found, the severity in front. */
export type LintFinding = string;

/**
 * Lints an OpenAPI document with Redocly's linter and its recommended rules, offline.
 * @returns every error and warning
 */
export async function lintOpenApi(document: unknown): Promise<readonly LintFinding[]> {
  const directory = await mkdtemp(join(tmpdir(), 'credenza-openapi-'));
  try {
    const file = join(directory, 'openapi.json');
    await writeFile(file, JSON.stringify(document));
    await writeFile(join(directory, 'redocly.yaml'), 'extends: [recommended]\ntelemetry: "off"\n');
    return findings(await runLinter(directory));
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

function runLinter(directory: string): Promise<string> {
  const cli = join(packageRoot(), 'node_modules', '@redocly', 'cli', 'bin', 'cli.js');
  const output = join(directory, 'report.json');
  const env = { ...process.env, REDOCLY_TELEMETRY: 'off', REDOCLY_SUPPRESS_UPDATE_NOTICE: 'true', CI: 'true' };
  return new Promise((resolve, reject) => {
    execFile(
      process.execPath,
      [cli, 'lint', 'openapi.json', '--format=json', '--max-problems=1000'],
      { cwd: directory, env, maxBuffer: 50_000_000 },
      (error, stdout, stderr) => {
        // Exit code 1 says that there are errors, which the report holds; without a report the linter itself failed.
        if (stdout.trimStart().startsWith('{')) resolve(stdout);
        else readFile(output, 'utf8').then(resolve, () => reject(new Error(`The linter failed: ${stderr} ${stdout} ${error?.message ?? ''}`)));
      },
    );
  });
}

interface Report {
  readonly totals: { readonly errors: number; readonly warnings: number };
  readonly problems: readonly {
    readonly severity: string;
    readonly ruleId: string;
    readonly message: string;
    readonly location: readonly { readonly pointer?: string }[];
  }[];
}

/** The boundary to the linter's report. */
function findings(text: string): readonly LintFinding[] {
  const report = JSON.parse(text) as Report;
  const found = report.problems.map(({ severity, ruleId, message, location }) => `${severity} ${ruleId} ${location[0]?.pointer ?? ''}: ${message}`);
  if (found.length !== report.totals.errors + report.totals.warnings) throw new Error('The report of the linter is not whole.');
  return found;
}
