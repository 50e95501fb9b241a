/** The config that is applied now, as this node knows it, and how to apply another one. */
import { createHash, randomUUID } from "node:crypto";
import type { Clock, Log, Milliseconds } from "@tocsin/shared";
import {
  catalogueKeys,
  Config,
  protocolVersion,
  type ConfigApplied,
  type ConfigEntry,
} from "@tocsin/shared/contract";
import { JournalConflict, type Recorded } from "@tocsin/shared/journal";
import { Declined } from "../problem.ts";
import type { Orders } from "../sync/orders.ts";
import type { State } from "../sync/state.ts";
import { readConfig } from "./read-config.ts";

/** What an entry may weigh: a NATS message is at most 1 MiB by default. */
const maxEntryBytes = 900 * 1024;
/** How often an unconditional write is tried when somebody else wrote first. */
const triesAtConflict = 8;

export interface CurrentConfigOptions {
  readonly state: State;
  readonly orders: Orders;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
  readonly log: Log;
}

export interface AppliedConfig {
  readonly revision: number;
  readonly sequence: number;
  readonly epoch: string;
  readonly source: string;
  readonly document: unknown;
  readonly config: Config;
}

export interface Condition {
  /** Only if this is the applied revision; 0: none. */
  readonly ifRevision?: number;
}

export interface ApplyOptions extends Condition {
  readonly waitMs: Milliseconds;
  /**
   * The source is a file that a node was started with. One that was applied before and has not changed since is not applied again:
   * it would undo every edit that was made meanwhile. Default false.
   */
  readonly atStart?: boolean;
}

/** A config that can be applied as things stand. */
export interface Checked {
  /** Whether it differs from what is applied. */
  readonly changes: boolean;
  /** What is applied now; 0: nothing ever. */
  readonly revision: number;
  /** The entry that makes it the next revision. */
  readonly body: string;
}

export class CurrentConfig {
  readonly #options: CurrentConfigOptions;
  /** The last one that could be read. */
  #good: AppliedConfig | undefined;
  /** What was looked at last, whether it could be read or not. */
  #looked: Recorded | undefined;

  constructor(options: CurrentConfigOptions) {
    this.#options = options;
  }

  /** What was applied last and can be read here. Undefined: nothing ever. */
  applied(): AppliedConfig | undefined {
    const held = this.#options.state.catalogue.get(catalogueKeys.config);
    if (held?.value.kind !== "config") return undefined;
    if (this.#looked !== held.recorded) {
      this.#looked = held.recorded;
      const { sequence, epoch } = held.recorded;
      const { revision, source, document } = held.value;
      const read = Config.safeParse(document);
      if (read.success)
        this.#good = { revision, sequence, epoch, source, document, config: read.data };
      // Written by a newer version: the last good one stays, as on the proxies.
      else
        this.#options.log.error(
          { revision, sequence, cause: read.error.message.slice(0, 500) },
          "the applied config cannot be read here",
        );
    }
    return this.#good;
  }

  /** The revision that stands in the journal, readable or not. 0: none. */
  get #revision(): number {
    const value = this.#options.state.catalogue.get(catalogueKeys.config)?.value;
    return value?.kind === "config" ? value.revision : 0;
  }

  /** The file that a node was started with last, as the journal tells. */
  get #file(): string | undefined {
    const value = this.#options.state.catalogue.get(catalogueKeys.config)?.value;
    return value?.kind === "config" ? value.file : undefined;
  }

  /** The config in force: what was applied, or what the language says when nothing is said. */
  now(): Config {
    return this.applied()?.config ?? Config.parse({ version: 1 });
  }

  /** Refuses whatever {@link apply} would refuse, and changes nothing. @throws Declined as {@link apply} does */
  check(
    source: string,
    { ifRevision, atStart = false }: Condition & Pick<ApplyOptions, "atStart"> = {},
  ): Checked {
    const read = readConfig(source, this.#options.environment);
    if (!read.ok) {
      throw new Declined(422, "config-invalid", "The config is not valid; nothing was changed", {
        errors: read.errors,
      });
    }
    const { document } = read;
    const applied = this.applied();
    const revision = this.#revision;
    if (ifRevision !== undefined && ifRevision !== revision)
      throw otherRevision(ifRevision, revision);
    const file = atStart ? fingerprintOf(source, document) : this.#file;
    const entry: ConfigEntry = {
      v: protocolVersion,
      kind: "config",
      revision: revision + 1,
      document,
      source,
      ...(file === undefined ? {} : { file }),
    };
    const body = JSON.stringify(entry);
    const bytes = Buffer.byteLength(body);
    if (bytes > maxEntryBytes) {
      throw new Declined(413, "config-too-large", "The config is too large", {
        detail: `It takes ${bytes} bytes, ${maxEntryBytes} are allowed.`,
      });
    }
    if (atStart && file === this.#file) return { changes: false, revision, body };
    const changes =
      atStart ||
      applied?.revision !== revision ||
      applied.source !== source ||
      JSON.stringify(applied.document) !== JSON.stringify(document);
    return { changes, revision, body };
  }

  /**
   * Applies a config: all of it, as one entry, or nothing. Without a condition the last one who writes wins, so that nodes which
   * start at the same moment with the same config do not refuse each other.
   *
   * @throws JournalConflict when others go on being first; Declined 412 when another revision is applied than expected, 413 when it is too large, 422 when it is not valid
   */
  async apply(source: string, options: ApplyOptions): Promise<ConfigApplied> {
    const { ifRevision } = options;
    for (let tries = 1; ; tries++) {
      try {
        return await this.#applyOnce(source, options);
      } catch (error) {
        if (!(error instanceof JournalConflict)) throw error;
        if (ifRevision !== undefined)
          throw otherRevision(ifRevision, Math.max(this.#revision, ifRevision + 1));
        if (tries >= triesAtConflict) throw error;
        await new Promise<void>((resolve) => this.#options.clock.after(10 * tries, resolve));
      }
    }
  }

  async #applyOnce(source: string, { waitMs, ...condition }: ApplyOptions): Promise<ConfigApplied> {
    const { changes, revision, body } = this.check(source, condition);
    const applied = this.applied();
    if (applied !== undefined && !changes) {
      if (condition.atStart === true && applied.source !== source)
        this.#options.log.info(
          { revision },
          "the config file is the one that was applied before; edits made since then stay",
        );
      // What is applied already is not applied again: no new revision, nothing to acknowledge.
      return {
        revision,
        sequence: applied.sequence,
        epoch: applied.epoch,
        operation: "unchanged",
        durableMs: 0,
        applied: { expected: 0, count: 0, ms: 0, missing: [] },
      };
    }
    const answer = await this.#options.orders.place({
      journal: "catalogue",
      entry: { key: catalogueKeys.config, body },
      operation: randomUUID(),
      expected: this.#options.state.catalogue.sequenceOf(catalogueKeys.config),
      waitMs,
    });
    this.#options.log.info({ revision: revision + 1, sequence: answer.sequence }, "config applied");
    return { revision: revision + 1, ...answer };
  }
}

function fingerprintOf(source: string, document: unknown): string {
  return createHash("sha256")
    .update(source)
    .update("\0")
    .update(JSON.stringify(document))
    .digest("hex");
}

function otherRevision(expected: number, found: number): Declined {
  return new Declined(412, "precondition-failed", "Another revision is applied", {
    detail: `Expected revision ${expected}, found ${found}.`,
  });
}
