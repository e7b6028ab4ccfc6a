import { correctReport, frozenReports } from '../../platform/analytics/frozen.sql.ts';
import { reportFile } from '../../platform/analytics/reports.ts';
import { inTransaction } from '../../platform/db.ts';
import { makeReader } from '../../platform/query/reader.ts';
import { JSON_OPTION, UsageError, type Command } from '../command.ts';
import { commandContext, withApp } from '../open-app.ts';
import { printJson, printTable } from '../print.ts';

export const REPORT_COMMANDS: readonly Command[] = [
  {
    name: 'report published',
    summary: 'What was published of a report: its periods with their corrections, newest first.',
    usage: 'REPORT',
    example: 'npx credenza report published weekly-visits',
    positionals: [1, 1],
    options: { json: JSON_OPTION },
    run: (call) =>
      withApp(call, async (app) => {
        const { name } = reportFile(await commandContext(app, 'report published'), call.positionals[0] ?? '');
        const found = await frozenReports(app.db, name);
        if (call.isSet('json')) printJson(call.io, found);
        else
          printTable(
            call.io,
            ['period', 'version', 'published', 'by', 'reason', 'sha256'],
            found.map((entry) => [entry.period, entry.version, entry.frozenAt, entry.correctedBy ?? '', entry.reason ?? '', entry.sha256.slice(0, 12)]),
          );
      }),
  },
  {
    name: 'report correct',
    summary: 'Publishes a period of a report anew as its next version; what was published stays. With --dry-run it only says what would change.',
    usage: 'REPORT PERIOD',
    example: 'npx credenza report correct weekly-visits 2026-11-16/2026-11-22 --reason "A visit was recorded late"',
    positionals: [2, 2],
    options: {
      reason: { value: 'TEXT', help: 'Why it is corrected.' },
      'dry-run': { help: 'Only say what would change.' },
      json: JSON_OPTION,
    },
    run: (call) =>
      withApp(call, async (app) => {
        const [name = '', period = ''] = call.positionals;
        const reason = call.option('reason');
        const isDry = call.isSet('dry-run');
        if (!isDry && (reason === null || reason.trim() === '')) throw new UsageError('Say why: --reason "A visit was recorded late".');
        const context = await commandContext(app, 'report correct');
        const made = await inTransaction(app.db, (tx) => correctReport(makeReader(), tx, context, name, period, isDry ? null : reason));
        if (call.isSet('json')) printJson(call.io, made);
        else
          printTable(
            call.io,
            ['stage', 'before', 'after', 'added', 'removed', 'changed'],
            made.difference.map((stage) => [stage.label, stage.before, stage.after, stage.added, stage.removed, stage.changed]),
          );
      }),
  },
];
