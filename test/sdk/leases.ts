/**
 * The registration half of a control plane, without a way to reach it: `http-control-plane.ts` and `nats-control-plane.ts` are two.
 */
export interface SeenCall {
  readonly verb: "register" | "renew" | "deregister";
  readonly service: string;
  readonly instance: string;
  readonly body: Readonly<Record<string, unknown>>;
}

export interface Given {
  readonly status: number;
  readonly body: Readonly<Record<string, unknown>>;
}

/** An answer in place of the ordinary one; `hang` gives none. */
export type Interference = "hang" | Given | undefined;

export interface Leases {
  readonly seen: readonly SeenCall[];
  /** Which boot holds the lease of `service/instance`. */
  readonly leases: ReadonlyMap<string, string>;
  /** Asked first at every call; undefined: the ordinary answer. */
  interfere: (call: SeenCall) => Interference | Promise<Interference>;
  answer(call: SeenCall): Promise<Interference>;
  /** Forgets every lease, as if they had expired. */
  forget(): void;
  /** Resolves when a call of that kind has come `count` times in all. */
  seenTimes(verb: SeenCall["verb"], count: number): Promise<void>;
}

/** @param renew how often leases are to be renewed, as a duration text */
export function createLeases(renew: string): Leases {
  const seen: SeenCall[] = [];
  const leases = new Map<string, string>();
  const waiting: { verb: SeenCall["verb"]; count: number; resolve: () => void }[] = [];
  const times = (verb: SeenCall["verb"]) => seen.filter((call) => call.verb === verb).length;

  function ordinary({ verb, service, instance, body }: SeenCall): Given {
    const key = `${service}/${instance}`;
    const boot = String(body["boot"]);
    const lease = { lease: "10s", renew, sequence: seen.length + 1, boot };
    if (verb === "register") {
      leases.set(key, boot);
      return { status: 200, body: lease };
    }
    const holder = leases.get(key);
    if (holder === undefined) return problem(404, "lease-lost", "No such lease");
    if (holder !== boot) return problem(409, "superseded", "Another life holds the lease");
    if (verb === "renew") return { status: 200, body: lease };
    leases.delete(key);
    const applied = { expected: 1, count: 1, ms: 2, missing: [] };
    return {
      status: 200,
      body: { operation: "o1", sequence: 9, epoch: "e", durableMs: 1, applied },
    };
  }

  const desk: Leases = {
    seen,
    leases,
    interfere: () => undefined,
    async answer(call) {
      const given = (await desk.interfere(call)) ?? ordinary(call);
      seen.push(call);
      for (const { verb, count, resolve } of waiting) if (times(verb) >= count) resolve();
      return given;
    },
    forget: () => leases.clear(),
    seenTimes: (verb, count) =>
      new Promise((resolve) => {
        if (times(verb) >= count) resolve();
        else waiting.push({ verb, count, resolve });
      }),
  };
  return desk;
}

export function problem(status: number, code: string, title: string): Given {
  return { status, body: { type: `urn:tocsin:problem:${code}`, title, status, code } };
}
