import { evaluate, type PlainField, type PlainGrant, type PlainObject, type PlainRow, type PlainWorld, type Sight, type Term, type Value } from './plain.ts';

/** Fields that every record has and whoever sees the record may read. */
export const SYSTEM_VALUES: Readonly<Record<string, Value>> = {
  version: 1,
  createdAt: '2026-01-01T00:00:00.000Z',
  createdBy: 'system:test',
  updatedAt: '2026-01-01T00:00:00.000Z',
  updatedBy: 'system:test',
};
const SYSTEM: ReadonlySet<string> = new Set(['id', 'ownerId', ...Object.keys(SYSTEM_VALUES)]);

/** A grant as it holds for somebody: its fields are those of docs/metadata.md, less the formulas over something that is closed. */
interface HeldGrant {
  readonly read: true | Term;
  readonly fields: ReadonlySet<string>;
  readonly isExport: boolean;
}

/**
 * What one person sees, worked out row by row from the text of the rules: a record is seen where a grant holds for it, a value where a grant
 * that gives the field holds for its record. Of src/platform only the documents were used to write this.
 */
export class PlainSight implements Sight {
  readonly user: string;
  readonly world: PlainWorld;
  readonly #sets: readonly string[];
  readonly #grants = new Map<string, readonly HeldGrant[]>();
  readonly #held = new Map<PlainRow, readonly HeldGrant[]>();
  readonly #byId: ReadonlyMap<string, PlainRow>;

  constructor(world: PlainWorld, user: string, sets: readonly string[]) {
    this.world = world;
    this.user = user;
    this.#sets = sets;
    this.#byId = new Map([...world.rows.values()].flat().map((row) => [row.id, row]));
  }

  object(name: string): PlainObject {
    const found = this.world.objects.get(name);
    if (found === undefined) throw new Error(`No object ${name}.`);
    return found;
  }

  canRead(object: string): boolean {
    return this.#grantsOf(object).length > 0;
  }

  canExport(object: string): boolean {
    return this.#grantsOf(object).some((grant) => grant.isExport);
  }

  isReadable(object: string, field: string): boolean {
    return this.#grantsOf(object).some((grant) => grant.fields.has(field));
  }

  /** Whether the relation exists for this person. */
  isRelated(object: string, relation: string): boolean {
    const many = this.object(object).manys.find((entry) => entry.name === relation);
    return many !== undefined && this.canRead(many.object) && this.isReadable(many.object, many.via);
  }

  sees(row: PlainRow): boolean {
    return this.#heldIn(row).length > 0;
  }

  /** Whether one grant that holds for the row gives all of the fields. */
  givesAll(row: PlainRow, fields: readonly string[]): boolean {
    return this.#heldIn(row).some((grant) => fields.every((name) => grant.fields.has(name)));
  }

  value(row: PlainRow, field: string): Value {
    if (!this.givesAll(row, [field])) return null;
    const formula = fieldOf(this.object(row.object), field)?.formula ?? null;
    if (formula === null) return storedValue(row, field);
    // The record's own inputs as they are (the grant gives them), what is behind them as this person sees it.
    const { user } = this;
    // Another object than the row: a reference of a record to itself leads behind it, to what this person sees.
    const own: PlainRow = { ...row };
    const inputs: Sight = {
      user,
      value: (other, name) => (other === own ? storedValue(other, name) : this.value(other, name)),
      one: (other, name) => (other === own ? this.byId(storedValue(other, name)) : this.one(other, name)),
      many: (other, relation) => this.many(other, relation),
    };
    return evaluate(formula, inputs, own);
  }

  one(row: PlainRow, field: string): PlainRow | null {
    return this.byId(this.value(row, field));
  }

  many(row: PlainRow, relation: string): readonly PlainRow[] {
    const many = this.object(row.object).manys.find((entry) => entry.name === relation);
    if (many === undefined) throw new Error(`No relation ${relation} of ${row.object}.`);
    return this.live(many.object).filter((child) => this.value(child, many.via) === row.id);
  }

  byId(id: Value): PlainRow | null {
    const row = this.#byId.get(String(id)) ?? null;
    return row !== null && this.sees(row) ? row : null;
  }

  live(object: string): readonly PlainRow[] {
    return (this.world.rows.get(object) ?? []).filter((row) => !row.isTrashed && this.sees(row));
  }

  #heldIn(row: PlainRow): readonly HeldGrant[] {
    const known = this.#held.get(row);
    if (known !== undefined) return known;
    const raw = rawSight(this.world, this.user, this.#byId);
    const held = this.#grantsOf(row.object).filter((grant) => grant.read === true || evaluate(grant.read, raw, row) === true);
    this.#held.set(row, held);
    return held;
  }

  #grantsOf(object: string): readonly HeldGrant[] {
    const known = this.#grants.get(object);
    if (known !== undefined) return known;
    const raw = this.#rawGrants(object);
    const grants = raw.map((grant) => {
      const fields = [...grant.fields].filter((name) => {
        const formula = fieldOf(this.object(object), name)?.formula ?? null;
        return formula === null || this.#isOpen(formula, object, grant, {});
      });
      return { ...grant, fields: new Set(fields) };
    });
    this.#grants.set(object, grants);
    return grants;
  }

  /** Grants before formulas are looked at. What is given in all rows is given in the rows of any other grant too. */
  #rawGrants(object: string): readonly HeldGrant[] {
    const given = this.#sets.flatMap((set) => this.world.sets.get(set)?.get(object) ?? []);
    const grants = given.map((grant): HeldGrant => ({ read: grant.read, isExport: grant.isExport, fields: givenFields(this.object(object), grant) }));
    const open = grants.flatMap((grant) => (grant.read === true ? [...grant.fields] : []));
    return grants.map((grant) => ({ ...grant, fields: new Set([...grant.fields, ...open]) }));
  }

  /** Whether everything that a formula looks at may be read: of the record itself by the grant that gives the formula, behind it by any. */
  #isOpen(term: Term, object: string, own: HeldGrant | null, variables: Readonly<Record<string, string>>): boolean {
    const gives = (at: string, isOwn: boolean, field: string): boolean =>
      (isOwn && own !== null ? [own] : this.#rawGrants(at)).some((grant) => grant.fields.has(field));
    const walk = (start: string, isOwn: boolean, steps: readonly string[]): boolean => {
      let [at, first] = [start, isOwn];
      return steps.every((step) => {
        const isGiven = gives(at, first, step);
        at = fieldOf(this.object(at), step)?.to ?? at;
        first = false;
        return isGiven;
      });
    };
    switch (term.is) {
      case 'path':
        return term.of === null ? walk(object, true, term.steps) : walk(variables[term.of] ?? '', false, term.steps);
      case 'compare':
        return this.#isOpen(term.left, object, own, variables) && this.#isOpen(term.right, object, own, variables);
      case 'logic':
        return term.parts.every((part) => this.#isOpen(part, object, own, variables));
      case 'not':
      case 'times':
        return this.#isOpen(term.part, object, own, variables);
      case 'related': {
        const many = this.object(object).manys.find((entry) => entry.name === term.steps[0]);
        if (many === undefined || term.steps.length > 1) throw new Error('Random formulas look at relations of the record itself.');
        return gives(many.object, false, many.via) && this.#isOpen(term.where, object, own, { ...variables, [term.as]: many.object });
      }
      case 'literal':
      case 'user':
        return true;
    }
  }
}

export function fieldOf(object: PlainObject, name: string): PlainField | undefined {
  return object.fields.find((field) => field.name === name);
}

export function storedValue(row: PlainRow, field: string): Value {
  return field === 'id' ? row.id : (row.values[field] ?? SYSTEM_VALUES[field] ?? null);
}

function givenFields(object: PlainObject, { fields }: PlainGrant): ReadonlySet<string> {
  const own = object.fields.filter((field) => (fields === null ? !field.isRestricted : fields.includes(field.name)));
  return new Set([...SYSTEM, ...own.map((field) => field.name)]);
}

/** Row rules look at everything, whoever is asked about. */
function rawSight(world: PlainWorld, user: string, byId: ReadonlyMap<string, PlainRow>): Sight {
  return {
    user,
    value: storedValue,
    one: (row, field) => byId.get(String(storedValue(row, field))) ?? null,
    many: (row, relation) => {
      const many = world.objects.get(row.object)?.manys.find((entry) => entry.name === relation);
      if (many === undefined) throw new Error(`No relation ${relation} of ${row.object}.`);
      return (world.rows.get(many.object) ?? []).filter((child) => !child.isTrashed && storedValue(child, many.via) === row.id);
    },
  };
}
