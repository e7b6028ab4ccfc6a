import { expect } from 'chai';
import fc from 'fast-check';
import { makeCrew, type Crew } from '../../../src/platform/automation/crew.ts';

/** A connection that notes what is sent and refuses to be used twice at a time. */
function makeConnection(): { readonly sent: string[]; send(text: string): Promise<void> } {
  const sent: string[] = [];
  let isBusy = false;
  return {
    sent,
    async send(text) {
      if (isBusy) throw new Error(`${text} overlaps`);
      isBusy = true;
      for (let turn = 0; turn < 3; turn += 1) await Promise.resolve();
      sent.push(text);
      isBusy = false;
    },
  };
}

interface Asking {
  readonly sent: string[];
  readonly double: (member: number, input: { readonly key: string; readonly value: number }) => Promise<number>;
  readonly alone: (member: number, text: string) => Promise<string>;
}

function makeAsking(crew: Crew): Asking {
  const connection = makeConnection();
  return {
    sent: connection.sent,
    double: crew.gather(
      ({ key }) => key,
      async (inputs) => {
        await connection.send(`${inputs[0]?.key ?? ''}:${inputs.map(({ value }) => value).join(',')}`);
        return inputs.map(({ value }) => value * 2);
      },
    ),
    alone: (member, text) =>
      crew.alone(member, async () => {
        await connection.send(`alone ${text}`);
        return text;
      }),
  };
}

describe('works that share one connection', () => {
  it('send what is alike together, in the order of the works', async () => {
    const crew = makeCrew();
    const { sent, double } = makeAsking(crew);
    const answers = await crew.run(
      [3, 1, 2].map((value) => async (member) => {
        const once = await double(member, { key: 'a', value });
        return double(member, { key: 'b', value: once });
      }),
    );
    expect(answers).to.deep.equal([12, 4, 8]);
    expect(sent).to.deep.equal(['a:3,1,2', 'b:6,2,4']);
  });

  it('go on together when some of them have ended, and are never held up by one that asks for something else', async () => {
    const crew = makeCrew();
    const { sent, double, alone } = makeAsking(crew);
    const answers = await crew.run<unknown>([
      (member) => double(member, { key: 'a', value: 1 }),
      () => Promise.resolve('nothing'),
      async (member) => [await double(member, { key: 'a', value: 2 }), await alone(member, 'x')],
      async (member) => [await alone(member, 'y'), await double(member, { key: 'a', value: 3 })],
    ]);
    expect(answers).to.deep.equal([2, 'nothing', [4, 'x'], ['y', 6]]);
    expect(sent).to.deep.equal(['a:1,2', 'alone y', 'alone x', 'a:3']);
  });

  it('end with the first failure, and send nothing after it', async () => {
    const crew = makeCrew();
    const { sent, double } = makeAsking(crew);
    const late: string[] = [];
    const refuse = crew.gather<number, number>(
      () => '',
      () => Promise.reject(new Error('refused')),
    );
    const running = crew.run([
      (member) => refuse(member, 1),
      async (member) => {
        try {
          return await double(member, { key: 'a', value: 1 });
        } catch (error) {
          late.push(String(error));
          return double(member, { key: 'b', value: 1 });
        }
      },
    ]);
    const failure = await running.then(
      () => null,
      (error: unknown) => error,
    );
    expect(String(failure)).to.equal('Error: refused');
    expect(late).to.deep.equal(['Error: refused']);
    expect(sent).to.deep.equal([]);
  });

  it('end when a work itself fails, also while the others wait for it', async () => {
    const crew = makeCrew();
    const { sent, double } = makeAsking(crew);
    const failure = await crew
      .run([
        (member) => double(member, { key: 'a', value: 1 }),
        async (member) => {
          await double(member, { key: 'a', value: 2 });
          throw new Error('of its own');
        },
        async (member) => {
          await double(member, { key: 'a', value: 3 });
          return double(member, { key: 'b', value: 3 });
        },
      ])
      .then(
        () => null,
        (error: unknown) => error,
      );
    expect(String(failure)).to.equal('Error: of its own');
    expect(sent).to.deep.equal(['a:1,2,3']);
  });

  it('200 random sets of works: each gets its own answers, nothing overlaps, and the same works send the same', async () => {
    const step = fc.oneof(
      fc.record({ kind: fc.constant('double' as const), key: fc.constantFrom('a', 'b', 'c'), value: fc.integer({ min: 0, max: 99 }) }),
      fc.record({ kind: fc.constant('alone' as const), text: fc.constantFrom('x', 'y') }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(fc.array(step, { maxLength: 6 }), { maxLength: 8 }), async (plans) => {
        const perform = async (): Promise<{ readonly sent: readonly string[]; readonly answers: readonly unknown[] }> => {
          const crew = makeCrew();
          const { sent, double, alone } = makeAsking(crew);
          const answers = await crew.run(
            plans.map((plan) => async (member) => {
              const got: unknown[] = [];
              for (const one of plan) got.push(one.kind === 'double' ? await double(member, one) : await alone(member, one.text));
              return got;
            }),
          );
          return { sent, answers };
        };
        const first = await perform();
        expect(first.answers).to.deep.equal(plans.map((plan) => plan.map((one) => (one.kind === 'double' ? one.value * 2 : one.text))));
        expect(await perform()).to.deep.equal(first);
      }),
      { numRuns: 200 },
    );
  });
});
