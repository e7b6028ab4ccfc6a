#!/usr/bin/env node
// The `credenza` command: makes sure that the build is there and current, then runs it.
import { fail, runCli } from './bootstrap.mjs';

runCli(process.argv.slice(2)).catch(fail);
