import { isRow, itemsFor, plainValue, reader, type FindRow, type Run, type Surroundings } from './js-run.ts';
import { isRecordExpr, treeOf, type Expr, type RecordExpr } from './tree.ts';
import type { ExprType } from './types.ts';

/** The id of a record: what a reference is as a value. The record itself need not be there. */
export function compileId(node: RecordExpr): Run {
  const name = node.kind === 'follow' ? node.field : 'id';
  const of = node.kind === 'follow' ? node.of : node;
  if (of.kind === 'root') return (row) => row[name] ?? null;
  const find = findRow(of);
  return (row, context, items) => find(row, context, items)?.[name] ?? null;
}

/** The record that a node stands for; null when there is none. */
export function findRow(node: RecordExpr): FindRow {
  switch (node.kind) {
    case 'root':
      return (row) => row;
    case 'item': {
      const slot = node.slot;
      return (_row, _context, items) => {
        const item = items[slot];
        return isRow(item) ? item : null;
      };
    }
    case 'recordVariable': {
      const name = node.name;
      return (_row, context) => {
        const value = context.variables?.[name];
        return isRow(value) ? value : null;
      };
    }
    case 'follow': {
      const [id, object] = [compileId(node), node.object];
      return (row, context, items) => {
        const value = id(row, context, items);
        return typeof value === 'string' ? context.one(object, value) : null;
      };
    }
  }
}

/** A named variable, read into the form that operators take. */
export function compileVariable(name: string, type: ExprType): Run {
  if (type.kind === 'uuid' && name === 'user') return (_row, context) => context.user;
  if (type.kind === 'uuid' && name === 'subject') return (_row, context) => context.subject;
  const read = reader(type);
  return (_row, context) => read(context.variables?.[name]);
}

/** A field of a record. */
export function compileField(node: Extract<Expr, { kind: 'field' }>): Run {
  const [name, read] = [node.name, reader(node.type)];
  if (name === 'id' && node.of.kind === 'follow') return compileId(node.of);
  const isPlain = node.type.kind !== 'number' && node.type.kind !== 'list';
  if (node.of.kind === 'root') return isPlain ? (row) => row[name] ?? null : (row) => read(row[name]);
  const find = findRow(node.of);
  if (isPlain) return (row, context, items) => find(row, context, items)?.[name] ?? null;
  return (row, context, items) => read(find(row, context, items)?.[name]);
}

/** A formula is compiled in place and run with the record it belongs to as its root. */
export function compileFormula(node: Extract<Expr, { kind: 'formula' }>, at: Surroundings): Run {
  const [find, tree] = [findRow(node.of), treeOf(node.expression)];
  const [run, makeItems] = [at.compile(tree), itemsFor(tree)];
  return (row, context, items) => {
    const found = find(row, context, items);
    return found === null ? null : run(found, context, makeItems());
  };
}

/** A member of a set of values, such as a result of a policy. */
export function compileMember(node: Extract<Expr, { kind: 'member' }>, at: Surroundings): Run {
  const [of, read, name] = [at.compile(node.of), reader(node.type), node.name];
  return (row, context, items) => {
    const struct = of(row, context, items);
    return isRow(struct) ? read(struct[name]) : null;
  };
}

/** The values in braces, as a row. */
export function compileStruct(node: Extract<Expr, { kind: 'struct' }>, at: Surroundings): Run {
  const entries = node.entries.map((entry) => [entry.name, at.compile(entry.value)] as const);
  return (row, context, items) => Object.fromEntries(entries.map(([name, run]) => [name, plainValue(run(row, context, items))]));
}

/** What a policy says for its input on a day. */
export function compilePolicy(node: Extract<Expr, { kind: 'policy' }>, at: Surroundings): Run {
  const name = node.name;
  const input: Run = isRecordExpr(node.input) ? findRow(node.input) : at.compile(node.input);
  const asOf: Run = node.asOf === null ? (_row, context) => context.today : at.compile(node.asOf);
  return (row, context, items) => {
    const [given, day] = [input(row, context, items), asOf(row, context, items)];
    return isRow(given) && typeof day === 'string' ? context.policy(name, given, day, context.note) : null;
  };
}
