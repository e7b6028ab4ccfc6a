import type { DemoHands } from './demo-host.ts';
import { syntheticNppes, type SyntheticOptions } from './nppes-file.ts';

const ZIP_HEADER = 'country\tzip\tplace\tstate\tcounty\tcounty_code\tlat\tlon\n';
const ZIP_CODES = [
  'US\t01101\tSpringfield\tMA\tHampden\t013\t42.1015\t-72.5898\n',
  'US\t01601\tWorcester\tMA\tWorcester\t027\t42.2621\t-71.8034\n',
  'US\t02101\tBoston\tMA\tSuffolk\t025\t42.3584\t-71.0598\n',
  'US\t02901\tProvidence\tRI\tProvidence\t007\t41.8240\t-71.4128\n',
  'US\t02840\tNewport\tRI\tNewport\t005\t41.4901\t-71.3128\n',
];

/** Imports a file of invented providers as leads, six of seven with an address to write to. Answers how many are new. */
export async function importLeads(hands: DemoHands, options: SyntheticOptions): Promise<number> {
  const lines = [...syntheticNppes(options)];
  await hands.importFile('ZipCode', 'zip-points', [ZIP_HEADER, ...ZIP_CODES]);
  const created = await hands.importFile('Lead', 'nppes', lines);
  const emails = lines.slice(1).flatMap((line, index) => {
    const [npi = '', , , , , last = '', first = ''] = line.slice(1).split('","');
    const name = `${first}.${last}${String(index)}`.toLowerCase().replace(/[^a-z0-9.]/g, '');
    return last === '' || index % 7 === 3 ? [] : [`${npi},${name}@practice.example\n`];
  });
  await hands.importFile('Lead', null, ['npi,email\n', ...emails]);
  await hands.settle();
  return created;
}
