import { readdirSync, readFileSync } from 'node:fs';
import { join, relative, sep } from 'node:path';
import { packageRoot } from '../../src/platform/root.ts';

export interface SourceFile {
  /** Path from the package root, with slashes. */
  readonly path: string;
  readonly text: string;
  readonly lines: number;
  /** Targets of relative imports, from the package root. */
  readonly imports: readonly string[];
  /** Names of imported packages. */
  readonly packages: readonly string[];
}

function filesBelow(directory: string): readonly string[] {
  return readdirSync(directory, { withFileTypes: true }).flatMap((entry) => {
    const path = join(directory, entry.name);
    if (entry.isDirectory()) return entry.name === 'node_modules' ? [] : filesBelow(path);
    return /\.tsx?$/.test(entry.name) && !entry.name.endsWith('.d.ts') ? [path] : [];
  });
}

const IMPORT = /(?:^|\n)\s*(?:import|export)\b[^'"\n;]*?(?:\n[^'";]*?)*?from\s+'([^']+)'|import\(\s*'([^']+)'\s*\)/g;

function read(path: string): SourceFile {
  const text = readFileSync(path, 'utf8');
  const targets = [...text.matchAll(IMPORT)].map((match) => match[1] ?? match[2] ?? '');
  const root = packageRoot();
  const name = (file: string): string => relative(root, file).split(sep).join('/');
  return {
    path: name(path),
    text,
    lines: text.split('\n').length - 1,
    imports: targets.filter((target) => target.startsWith('.')).map((target) => name(join(path, '..', target))),
    packages: targets.filter((target) => !target.startsWith('.')),
  };
}

/** Every TypeScript file below a folder of the package. */
export function sourcesBelow(...folders: readonly string[]): readonly SourceFile[] {
  return folders.flatMap((folder) => filesBelow(join(packageRoot(), folder))).map(read);
}

/** The text without comments: rules about names are about code. */
export function withoutComments(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/(^|[^:'"`])\/\/.*$/gm, '$1');
}
