import Handlebars from 'handlebars';
import { AppError } from '../errors.ts';
import { BadHelperInput, MissingValue, TEMPLATE_HELPERS } from './template-helpers.ts';

/** Longest output of one template (quality.md, 6: case 54). */
const MAX_OUTPUT = 1024 * 1024;
const MAX_SOURCE = 256 * 1024;

export interface RenderOptions {
  /** Zone that dates are shown in. */
  readonly zone: string;
}

export type CompiledTemplate = (data: Readonly<Record<string, unknown>>, options: RenderOptions) => string;

export interface CompileTemplateOptions {
  /** HTML-escape values; off for plain text and subjects. */
  readonly escape: boolean;
  /** Values that are finished HTML of our own (the body inside a layout). */
  readonly htmlNames?: readonly string[];
}

const BLOCKS = ['if', 'unless', 'each', 'with'];
const KNOWN = Object.fromEntries([...BLOCKS, ...Object.keys(TEMPLATE_HELPERS)].map((name) => [name, true]));

function makeEnvironment(): typeof Handlebars {
  const environment = Handlebars.create();
  for (const name of ['lookup', 'log']) environment.unregisterHelper(name);
  for (const [name, helper] of Object.entries(TEMPLATE_HELPERS)) {
    environment.registerHelper(name, (...given: unknown[]) => {
      const options = given.at(-1);
      return helper(zoneOf(options), given.slice(0, -1));
    });
  }
  return environment;
}

/** Boundary: the options object Handlebars hands to helpers. */
function zoneOf(options: unknown): string {
  if (typeof options === 'object' && options !== null && 'data' in options) {
    const data: unknown = options.data;
    if (typeof data === 'object' && data !== null && 'zone' in data && typeof data.zone === 'string') return data.zone;
  }
  return 'UTC';
}

const environment = makeEnvironment();

function refuse(name: string, node: hbs.AST.Node, detail: string, fix: string): never {
  throw new AppError('metadata_invalid', `Template ${name}, line ${node.loc.start.line}: ${detail}`, {
    errors: [{ pointer: `templates/${name}.hbs#/${node.loc.start.line}`, code: 'template', detail, fix }],
  });
}

const isPath = (node: hbs.AST.Node): node is hbs.AST.PathExpression => node.type === 'PathExpression';
const isMustache = (node: hbs.AST.Node): node is hbs.AST.MustacheStatement => node.type === 'MustacheStatement';
const isBlock = (node: hbs.AST.Node): node is hbs.AST.BlockStatement => node.type === 'BlockStatement';
const isSub = (node: hbs.AST.Node): node is hbs.AST.SubExpression => node.type === 'SubExpression';

/**
 * Checks and changes one template's tree: only variables, allow-listed helpers and the four blocks remain; every path is
 * looked up strictly, inside helper arguments too, which Handlebars' own strict mode leaves out.
 */
function secure(name: string, program: hbs.AST.Program, htmlNames: readonly string[], paths: hbs.AST.PathExpression[]): void {
  const expression = (node: hbs.AST.Node): void => {
    if (isPath(node)) {
      paths.push(node);
      Object.assign(node, { strict: true });
    } else if (isSub(node)) {
      call(node.path, node);
      node.params.forEach(expression);
      node.hash?.pairs.forEach((pair) => expression(pair.value));
    }
  };
  const call = (path: hbs.AST.Node, node: hbs.AST.Node): void => {
    const helper = isPath(path) ? path.original : '';
    if (!Object.hasOwn(TEMPLATE_HELPERS, helper))
      refuse(
        name,
        node,
        `"${helper}" is not a helper that templates may call.`,
        `Use one of ${Object.keys(TEMPLATE_HELPERS)
          .filter((entry) => !entry.startsWith('__'))
          .join(', ')}.`,
      );
  };
  for (const node of program.body) {
    if (isMustache(node)) {
      if (!isPath(node.path)) refuse(name, node, 'A literal is not a variable.', 'Write the text itself, without braces.');
      if (!node.escaped && !htmlNames.includes(node.path.original)) refuse(name, node, 'Three braces would put raw HTML into the output.', 'Use two braces.');
      if (node.params.length > 0 || node.hash !== undefined) {
        call(node.path, node);
        node.params.forEach(expression);
        node.hash?.pairs.forEach((pair) => expression(pair.value));
      } else {
        // No helper goes without an argument, so a bare name is always a variable: a field may be called `number`.
        const path = node.path;
        expression(path);
        node.params = [path, literal(path)];
        node.path = { type: 'PathExpression', original: '__value', data: false, depth: 0, parts: ['__value'], loc: path.loc };
      }
    } else if (isBlock(node)) {
      if (!BLOCKS.includes(node.path.original)) {
        if (node.params.length > 0) refuse(name, node, `"${node.path.original}" is not a block that templates may use.`, `Use one of ${BLOCKS.join(', ')}.`);
        expression(node.path);
      }
      node.params.forEach(expression);
      node.hash?.pairs.forEach((pair) => expression(pair.value));
      for (const inner of [node.program, node.inverse]) if (inner !== undefined && inner !== null) secure(name, inner, htmlNames, paths);
    } else if (node.type !== 'ContentStatement' && node.type !== 'CommentStatement') {
      refuse(name, node, 'Partials and decorators are not available.', 'Write the text into the template itself.');
    }
  }
}

function literal(path: hbs.AST.PathExpression): hbs.AST.StringLiteral {
  return { type: 'StringLiteral', value: path.original, original: path.original, loc: path.loc };
}

/** Copies data so that nothing has a prototype to reach through; what is not plain data is refused. */
function plainData(value: unknown): unknown {
  if (value === null || typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') return value;
  if (value instanceof Handlebars.SafeString) return value;
  if (typeof value === 'bigint') return value.toString();
  if (Array.isArray(value)) return value.map(plainData);
  if (typeof value === 'object') {
    const copy: Record<string, unknown> = Object.create(null);
    for (const [key, entry] of Object.entries(value)) if (entry !== undefined) copy[key] = plainData(entry);
    Object.defineProperty(copy, Symbol.toPrimitive, { value: () => '', enumerable: false });
    return copy;
  }
  throw new AppError('internal', `Template data may hold plain values only, not a ${typeof value}.`);
}

/** Marks text of our own making as finished HTML. */
export function finishedHtml(html: string): unknown {
  return new Handlebars.SafeString(html);
}

function explain(name: string, error: unknown, paths: readonly hbs.AST.PathExpression[]): AppError {
  if (error instanceof AppError) return error;
  if (error instanceof MissingValue)
    return failed(name, error.message, 'missing_value', 'Fill the value, or write {{optional name}} or {{#if name}} where it may be empty.', error);
  if (error instanceof BadHelperInput) return failed(name, error.message, 'helper_input', 'Give the helper a value of its kind.', error);
  if (!(error instanceof Error)) return failed(name, 'it cannot be rendered', 'template', 'Check the template.', error);
  const unknown = /^"([^"]+)" not defined in/.exec(error.message);
  if (unknown !== null) {
    const part = unknown[1] ?? '';
    const line = /- (\d+):\d+$/.exec(error.message)?.[1];
    const variable =
      paths.find((path) => path.parts.some((entry) => entry === part) && (line === undefined || String(path.loc.start.line) === line))?.original ?? part;
    return failed(
      name,
      `the variable "${variable}" is not known here`,
      'unknown_variable',
      'Correct the name, or add the value to what the mail or document is given.',
      error,
    );
  }
  return failed(name, error.message, 'template', 'Check the template.', error);
}

function failed(name: string, detail: string, code: string, fix: string, cause: unknown): AppError {
  return new AppError('rule_failed', `Template ${name}: ${detail}.`, {
    errors: [{ pointer: `templates/${name}.hbs`, code, detail: `Template ${name}: ${detail}.`, fix }],
    cause,
  });
}

/**
 * Compiles a template. Only allow-listed helpers can be called, nothing of JavaScript can be reached, a variable that the
 * data does not hold or that is empty stops the rendering.
 * @throws AppError metadata_invalid when the template itself is wrong; the result throws rule_failed, naming template and variable
 */
export function compileTemplate(name: string, text: string, options: CompileTemplateOptions): CompiledTemplate {
  if (text.length > MAX_SOURCE) throw new AppError('metadata_invalid', `Template ${name} is longer than ${MAX_SOURCE} characters.`);
  let program: hbs.AST.Program;
  try {
    program = environment.parse(text);
  } catch (error) {
    throw new AppError('metadata_invalid', `Template ${name} cannot be read: ${error instanceof Error ? error.message : 'unknown reason'}`, { cause: error });
  }
  const paths: hbs.AST.PathExpression[] = [];
  secure(name, program, options.htmlNames ?? [], paths);
  const template = environment.compile<unknown>(program, { strict: true, knownHelpers: KNOWN, knownHelpersOnly: true, noEscape: !options.escape });
  return (data, render) => {
    let output: string;
    try {
      output = template(plainData(data), { data: { zone: render.zone }, allowProtoMethodsByDefault: false, allowProtoPropertiesByDefault: false });
    } catch (error) {
      throw explain(name, error, paths);
    }
    if (output.length > MAX_OUTPUT)
      throw failed(name, `its output is longer than ${MAX_OUTPUT} characters`, 'too_long', 'Shorten the lists it repeats.', undefined);
    return output;
  };
}
