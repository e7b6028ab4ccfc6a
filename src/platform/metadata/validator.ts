import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Ajv2020, type ErrorObject, type ValidateFunction } from 'ajv/dist/2020.js';
import type { ErrorDetail } from '../errors.ts';
import { packageRoot } from '../root.ts';
import { KINDS, pointerToken, type KindEntry } from './kinds.ts';
import { suggestion } from './suggest.ts';

/** Checks one file's content against the JSON Schema of its kind; empty when all is well. */
export type FileCheck = (content: unknown, file: string) => readonly ErrorDetail[];

let checks: ReadonlyMap<KindEntry['kind'], FileCheck> | undefined;

/** The checks by kind, compiled once a process from `metadata/schema/*.json` (ajv, strict). */
export function fileChecks(): ReadonlyMap<KindEntry['kind'], FileCheck> {
  checks ??= compileChecks(join(packageRoot(), 'metadata', 'schema'));
  return checks;
}

function compileChecks(directory: string): ReadonlyMap<KindEntry['kind'], FileCheck> {
  const ajv = new Ajv2020({ strict: true, strictRequired: false, allowUnionTypes: true, allErrors: true, verbose: true, discriminator: true });
  return new Map(
    KINDS.map((entry) => {
      const validate = ajv.compile(readSchema(join(directory, `${entry.schema}.json`)));
      return [entry.kind, (content: unknown, file: string) => findings(validate, content, file)] as const;
    }),
  );
}

/** Boundary: the schema files are ours, shipped beside the code. */
function readSchema(path: string): Record<string, unknown> {
  return JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>;
}

function findings(validate: ValidateFunction, content: unknown, file: string): readonly ErrorDetail[] {
  if (validate(content)) return [];
  const found = (validate.errors ?? []).filter((error) => !isNoise(error)).map((error) => detailOf(error, file));
  const seen = new Set<string>();
  return found.filter((detail) => {
    const key = `${detail.pointer} ${detail.detail}`;
    if (seen.has(key)) return false;
    seen.add(key);
    return true;
  });
}

/** The inner complaints of a "one of" say nothing that its own message does not. */
function isNoise(error: ErrorObject): boolean {
  if (error.keyword === 'propertyNames') return true;
  return error.schemaPath.includes('/oneOf/') && error.keyword === 'required' && error.schemaPath.includes('/properties/on/');
}

function detailOf(error: ErrorObject, file: string): ErrorDetail {
  const at = `${file}#${error.instancePath}`;
  const params = record(error.params);
  switch (error.keyword) {
    case 'additionalProperties': {
      const name = text(params['additionalProperty']);
      return {
        pointer: at + pointerToken(name),
        code: 'unknown_property',
        detail: `"${name}" is not known here.`,
        ...suggestion(name, Object.keys(record(error.parentSchema?.['properties']))),
      };
    }
    case 'required':
      return {
        pointer: at,
        code: 'missing_property',
        detail: `"${text(params['missingProperty'])}" is missing.`,
        fix: `Add "${text(params['missingProperty'])}".`,
      };
    case 'dependentRequired':
      return { pointer: at, code: 'missing_property', detail: `"${text(params['property'])}" needs "${text(params['missingProperty'])}" beside it.` };
    case 'enum': {
      const allowed = Array.isArray(params['allowedValues']) ? params['allowedValues'].map(String) : [];
      return { pointer: at, code: 'unknown_value', detail: `${shown(error.data)} is not one of the values.`, ...suggestion(String(error.data), allowed) };
    }
    case 'const':
      return { pointer: at, code: 'unknown_value', detail: `${shown(error.data)} must be ${shown(params['allowedValue'])}.` };
    case 'type':
      return { pointer: at, code: 'wrong_type', detail: `${shown(error.data)} must be of type ${String(params['type'])}.` };
    case 'pattern': {
      const about = error.parentSchema?.['description'];
      const isName = error.propertyName !== undefined;
      const subject = isName ? shown(error.propertyName) : shown(error.data);
      return {
        pointer: isName ? at + pointerToken(String(error.propertyName)) : at,
        code: 'wrong_format',
        detail: `${subject} is not written as it must be.`,
        fix: typeof about === 'string' ? about : patternWords(text(params['pattern'])),
      };
    }
    case 'oneOf':
      return {
        pointer: at,
        code: 'wrong_shape',
        detail: 'Exactly one trigger is needed.',
        fix: 'One of created, updated, entered, left, schedule, date, mail.',
      };
    case 'discriminator':
      return {
        pointer: at,
        code: 'unknown_value',
        detail: `${shown(params['tagValue'])} is not a known step.`,
        ...suggestion(text(params['tagValue']), ['create', 'update', 'transition', 'assign', 'send-mail', 'action']),
      };
    default:
      return { pointer: at, code: 'wrong_shape', detail: `${shown(error.data)} ${error.message ?? 'is not allowed here'}.` };
  }
}

const PATTERN_WORDS: Readonly<Record<string, string>> = {
  '^[a-z][a-z0-9]*(-[a-z0-9]+)*$': 'Names of this kind are kebab-case, such as visit-cadence.',
  '^[A-Z][A-Za-z0-9]{0,59}$': 'Object names are PascalCase, such as License.',
  '^[A-Z][A-Za-z0-9]*$': 'Object names are PascalCase, such as License.',
  '^[a-z][A-Za-z0-9]{0,59}$': 'Field names are camelCase, such as expiresOn.',
};

function patternWords(pattern: string): string {
  return PATTERN_WORDS[pattern] ?? `It must match ${pattern}.`;
}

function shown(value: unknown): string {
  const written = JSON.stringify(value) ?? 'nothing';
  return written.length > 60 ? `${written.slice(0, 57)}...` : written;
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : String(value);
}

function record(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? { ...value } : {};
}
