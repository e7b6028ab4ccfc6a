export interface LeaseOptions {
  /** Milliseconds for which the thing is ours after it was taken or renewed. */
  readonly leaseMs: number;
  /** Milliseconds after which the work is cut off, however often the lease was renewed. */
  readonly mostMs: number;
  /** Takes the lease for `leaseMs` more from now on; false when the thing is not ours any more. */
  renew(): Promise<boolean>;
  /** Told when the lease could not be renewed; it is tried again until the lease is nearly over. */
  onFailure(error: unknown): void;
}

export interface Lease {
  /** Aborted when the work must stop, for the lease ends soon or is lost. */
  readonly signal: AbortSignal;
  /** To be called when the work is done, or did not begin. */
  release(): Promise<void>;
}

/**
 * Keeps a lease while work goes on that takes nobody knows how long: it is renewed every third of its time, and what cannot be
 * renewed is cut off after five sixths of it, so that the work has ended when another process may begin the same. Made before
 * the lease is taken, so that its time is never counted too late.
 */
export function keepLease({ leaseMs, mostMs, renew, onFailure }: LeaseOptions): Lease {
  const cut = new AbortController();
  const end = (why: string) => (): void => cut.abort(new Error(why));
  const tooLate = end('The attempt was cut off, for this process could not keep the delivery to itself any longer.');
  const usableMs = (leaseMs * 5) / 6;
  let deadline = setTimeout(tooLate, usableMs);
  let asked: Promise<void> | null = null;
  const ask = async (): Promise<void> => {
    const next = setTimeout(tooLate, usableMs);
    try {
      if (await renew()) {
        clearTimeout(deadline);
        deadline = next;
      } else {
        clearTimeout(next);
        tooLate();
      }
    } catch (error) {
      clearTimeout(next);
      onFailure(error);
    } finally {
      asked = null;
    }
  };
  const renewing = setInterval(() => void (asked ??= ask()), leaseMs / 3);
  const last = setTimeout(end(`The attempt was cut off after ${String(Math.round(mostMs / 60_000))} minutes.`), mostMs);
  return {
    signal: cut.signal,
    async release() {
      clearInterval(renewing);
      clearTimeout(last);
      await asked;
      clearTimeout(deadline);
    },
  };
}
