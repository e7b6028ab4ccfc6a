import { monitorEventLoopDelay } from 'node:perf_hooks';
import { readConfig } from '../../src/cli/open-app.ts';
import { makeApp } from '../../src/main.ts';

/** The product's web server in a process of its own, which tells for how long its event loop stood still since it was last asked. */
const config = readConfig(process.env);
if (config.databaseUrl === null) throw new Error('The test gives DATABASE_URL.');
const app = makeApp({ ...config, databaseUrl: config.databaseUrl });
const delay = monitorEventLoopDelay({ resolution: 5 });
delay.enable();
const { url } = await app.start({ web: true, work: false });
process.on('message', () => {
  process.send?.({ longestMs: delay.max / 1e6 });
  delay.reset();
});
process.once('disconnect', () => void app.stop());
process.send?.({ url });
