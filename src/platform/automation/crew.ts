/** Puts something to a crew; `member` is the place of the one who asks, and one asks for one thing at a time. */
export type Ask<I, O> = (member: number, input: I) => Promise<O>;

/**
 * Several works that share one connection and go on side by side: what they ask for is gathered until none of them can go
 * on without an answer, and then what is alike is answered by one call. So a hundred runs of a rule send the statements of
 * one, in an order that depends on nothing but the works.
 */
export interface Crew {
  /**
   * What is asked under one key is answered by one call, in the order of the members. Calls never overlap: while one is
   * under way nothing else is sent. `answer` must not ask the crew.
   */
  gather<I, O>(keyOf: (input: I) => string, answer: (inputs: readonly I[]) => Promise<readonly O[]>): Ask<I, O>;
  /** Does works that may be about anything, each by itself while nothing else is sent. */
  readonly alone: <O>(member: number, work: () => Promise<O>) => Promise<O>;
  /**
   * Does all works and answers what they answered, in their order.
   * @throws the first failure, once every work has ended; whatever is asked after it fails with it
   */
  run<T>(works: readonly ((member: number) => Promise<T>)[]): Promise<readonly T[]>;
}

interface Waiting {
  readonly member: number;
  readonly group: string;
  readonly settle: (waiting: readonly Waiting[]) => Promise<void>;
  readonly refuse: (reason: unknown) => void;
}

/** A crew for one transaction. */
export function makeCrew(): Crew {
  let live = 0;
  let gathers = 0;
  let failure: { readonly reason: unknown } | null = null;
  let waiting: Waiting[] = [];

  function failWith(reason: unknown): void {
    failure ??= { reason };
    const left = waiting;
    waiting = [];
    for (const { refuse } of left) refuse(failure.reason);
  }

  function wait(entry: Waiting): void {
    if (failure !== null) {
      entry.refuse(failure.reason);
      return;
    }
    waiting.push(entry);
    answerWhenAllWait();
  }

  function answerWhenAllWait(): void {
    if (waiting.length > 0 && waiting.length === live) void answerAll();
  }

  async function answerAll(): Promise<void> {
    const groups = new Map<string, Waiting[]>();
    for (const entry of [...waiting].sort((left, right) => left.member - right.member)) {
      const group = groups.get(entry.group);
      if (group === undefined) groups.set(entry.group, [entry]);
      else group.push(entry);
    }
    waiting = [];
    for (const group of groups.values()) {
      if (failure === null) await group[0]?.settle(group);
      else for (const { refuse } of group) refuse(failure.reason);
    }
  }

  function gather<I, O>(keyOf: (input: I) => string, answer: (inputs: readonly I[]) => Promise<readonly O[]>): Ask<I, O> {
    gathers += 1;
    const prefix = `${String(gathers)} `;
    const asked = new WeakMap<Waiting, { readonly input: I; readonly resolve: (output: O) => void }>();
    const settle = async (group: readonly Waiting[]): Promise<void> => {
      const questions = group.flatMap((entry) => asked.get(entry) ?? []);
      try {
        const outputs = await answer(questions.map(({ input }) => input));
        if (outputs.length !== questions.length) throw new RangeError(`${String(questions.length)} were asked for and ${String(outputs.length)} answered.`);
        outputs.forEach((output, at) => questions[at]?.resolve(output));
      } catch (error) {
        for (const { refuse } of group) refuse(error);
        failWith(error);
      }
    };
    return (member, input) =>
      new Promise<O>((resolve, reject) => {
        const entry: Waiting = { member, group: `${prefix}${keyOf(input)}`, settle, refuse: reject };
        asked.set(entry, { input, resolve });
        wait(entry);
      });
  }

  return {
    gather,
    alone: <O>(member: number, work: () => Promise<O>): Promise<O> =>
      gather<() => Promise<O>, O>(
        () => String(member),
        async ([only]) => (only === undefined ? [] : [await only()]),
      )(member, work),
    async run(works) {
      live = works.length;
      const ended = await Promise.allSettled(
        works.map(async (work, member) => {
          try {
            return await work(member);
          } catch (error) {
            failWith(error);
            throw error;
          } finally {
            live -= 1;
            answerWhenAllWait();
          }
        }),
      );
      if (failure !== null) throw failure.reason;
      return ended.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
    },
  };
}
