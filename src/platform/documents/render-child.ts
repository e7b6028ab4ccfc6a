/**
 * Child process of `pdf.ts`: holds the Typst compiler (WebAssembly) and renders one document after the other.
 * It gets nothing but JSON, has no environment, and neither network nor files but its own program and fonts.
 */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import initTypst, { TypstCompilerBuilder, type TypstCompiler } from '@myriaddreamin/typst-ts-web-compiler';
import { answerParent } from '../child.ts';
import { DOCUMENT_PROGRAM } from './document-typ.ts';

const PDF = 1;
const FULL_DIAGNOSTICS = 3;
const require = createRequire(import.meta.url);

async function start(): Promise<TypstCompiler> {
  await initTypst({ module_or_path: readFileSync(require.resolve('@myriaddreamin/typst-ts-web-compiler/wasm')) });
  const fonts = dirname(require.resolve('@expo-google-fonts/noto-sans/package.json'));
  const builder = new TypstCompilerBuilder();
  builder.set_dummy_access_model();
  for (const face of ['400Regular', '400Regular_Italic', '700Bold', '700Bold_Italic'])
    await builder.add_raw_font(new Uint8Array(readFileSync(join(fonts, face, `NotoSans_${face}.ttf`))));
  const compiler = await builder.build();
  compiler.add_source('/main.typ', DOCUMENT_PROGRAM);
  return compiler;
}

let compiler: Promise<TypstCompiler> | null = null;

/** Boundary: what the compiler answers is untyped. */
function resultOf(answer: unknown): { readonly result: Uint8Array | null; readonly problem: string | null } {
  const found = typeof answer === 'object' && answer !== null ? answer : {};
  const result = 'result' in found && found.result instanceof Uint8Array ? found.result : null;
  const diagnostics: unknown = 'diagnostics' in found ? found.diagnostics : null;
  const hasError = 'hasError' in found && found.hasError === true;
  return { result, problem: hasError ? JSON.stringify(diagnostics).slice(0, 2000) : null };
}

async function render(json: string): Promise<Uint8Array> {
  compiler ??= start();
  const ready = await compiler;
  ready.map_shadow('/document.json', new TextEncoder().encode(json));
  const world = ready.snapshot(undefined, '/main.typ', undefined);
  try {
    const { problem } = resultOf(world.compile(0, FULL_DIAGNOSTICS));
    if (problem !== null) throw new Error(problem);
    const { result } = resultOf(world.get_artifact(PDF, FULL_DIAGNOSTICS));
    if (result === null) throw new Error('The compiler gave no PDF.');
    return result;
  } finally {
    world.free();
  }
}

answerParent((json) => render(String(json)));
