import type { RandomBytes } from '../../platform/ids.ts';
import { withCheckDigit } from '../npi/npi.ts';

/** Kinds of providers as a network has them, with panels for those who have one; shares in percent. */
const KINDS = [
  { type: 'pcp', share: 70, entityType: 'individual', leastPanel: 50, mostPanel: 2600 },
  { type: 'specialist', share: 20, entityType: 'individual', leastPanel: 0, mostPanel: 0 },
  { type: 'hospital', share: 10, entityType: 'organization', leastPanel: 0, mostPanel: 0 },
] as const;

/**
 * Invented active providers of a running network, as values of new records: NPIs below 1001000000 were never assigned.
 * The same seed gives the same providers.
 */
export function* syntheticProviders(options: {
  readonly count: number;
  readonly random: RandomBytes;
  readonly activatedOn: string;
  readonly relationsManager: string;
}): Generator<Readonly<Record<string, unknown>>> {
  const number = (below: number): number => {
    const [a = 0, b = 0] = options.random(2);
    return (a * 256 + b) % below;
  };
  for (let index = 0; index < options.count; index += 1) {
    let place = number(100);
    const kind = KINDS.find((entry) => (place -= entry.share) < 0) ?? KINDS[0];
    const panelSize = kind.mostPanel === 0 ? 0 : kind.leastPanel + number(kind.mostPanel - kind.leastPanel);
    yield {
      npi: withCheckDigit(String(100_500_000 + index)),
      name: `Provider ${String(index + 1).padStart(4, '0')}`,
      entityType: kind.entityType,
      type: kind.type,
      status: 'active',
      panelSize,
      email: `provider${String(index + 1)}@practice.example`,
      activatedOn: options.activatedOn,
      sanctionStatus: 'clear',
      sanctionsCheckedOn: options.activatedOn,
      relationsManager: options.relationsManager,
    };
  }
}
