import { JSON_OPTION, type Call, type Command } from '../command.ts';
import { commandContext, withApp } from '../open-app.ts';
import { cellText, printJson, printTable } from '../print.ts';

export const DERIVED_COMMANDS: readonly Command[] = [
  {
    name: 'rollups check',
    summary: 'Compares roll-ups and stored formulas with what they are made of; exit code 1 when some differ.',
    usage: '',
    example: 'npx credenza rollups check --json',
    positionals: [0, 0],
    options: { repair: { help: 'Also write the right values (the worker does so every night).' }, json: JSON_OPTION },
    run: checkRollups,
  },
];

function checkRollups(call: Call): Promise<number> {
  return withApp(call, async (app) => {
    const repair = call.isSet('repair');
    const found = await app.derived.check(app.db, await commandContext(app, 'rollups check'), repair);
    const drifted = found.reduce((sum, entry) => sum + entry.drifted, 0);
    if (call.isSet('json')) printJson(call.io, found);
    else if (found.length === 0) call.io.say('No object has roll-ups or stored formulas.');
    else {
      printTable(
        call.io,
        ['field', 'kind', 'state', 'records', 'differ', 'last check'],
        found.map((entry) => [`${entry.object}.${entry.field}`, entry.kind, entry.state, entry.records, entry.drifted, entry.checkedAt ?? '']),
      );
      for (const { object, field, examples } of found)
        for (const one of examples) call.io.out(`${object}.${field} of ${one.id}: ${cellText(one.stored)} where ${cellText(one.computed)} is counted\n`);
      if (drifted > 0) call.io.say(repair ? `${String(drifted)} values were repaired.` : 'Repair them with: npx credenza rollups check --repair');
    }
    return drifted > 0 && !repair ? 1 : 0;
  });
}
