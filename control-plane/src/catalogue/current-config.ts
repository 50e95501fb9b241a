/** The config that is applied now, as this node knows it, and how to apply another one. */
import { randomUUID } from "node:crypto";
import type { Log, Milliseconds } from "@tocsin/shared";
import {
  catalogueKeys,
  Config,
  protocolVersion,
  type ConfigApplied,
  type ConfigEntry,
} from "@tocsin/shared/contract";
import { JournalConflict } from "@tocsin/shared/journal";
import { Declined } from "../problem.ts";
import type { Orders } from "../sync/orders.ts";
import type { State } from "../sync/state.ts";
import { readConfig } from "./read-config.ts";

/** What an entry may weigh: a NATS message is at most 1 MiB by default. */
const maxEntryBytes = 900 * 1024;

export interface CurrentConfigOptions {
  readonly state: State;
  readonly orders: Orders;
  readonly environment: Readonly<Record<string, string | undefined>>;
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
  #parsed: { readonly body: string; readonly applied: AppliedConfig } | undefined;

  constructor(options: CurrentConfigOptions) {
    this.#options = options;
  }

  /** What was applied last. Undefined: nothing ever. */
  applied(): AppliedConfig | undefined {
    const held = this.#options.state.catalogue.get(catalogueKeys.config);
    if (held?.value.kind !== "config") return undefined;
    const { body, sequence, epoch } = held.recorded;
    if (this.#parsed?.body !== body) {
      const { revision, source, document } = held.value;
      this.#parsed = {
        body,
        applied: { revision, sequence, epoch, source, document, config: Config.parse(document) },
      };
    }
    return this.#parsed.applied;
  }

  /** The config in force: what was applied, or what the language says when nothing is said. */
  now(): Config {
    return this.applied()?.config ?? Config.parse({ version: 1 });
  }

  /** Refuses whatever {@link apply} would refuse, and changes nothing. @throws Declined as {@link apply} does */
  check(source: string, { ifRevision }: Condition = {}): Checked {
    const read = readConfig(source, this.#options.environment);
    if (!read.ok) {
      throw new Declined(422, "config-invalid", "The config is not valid; nothing was changed", {
        errors: read.errors,
      });
    }
    const { document } = read;
    const applied = this.applied();
    const revision = applied?.revision ?? 0;
    if (ifRevision !== undefined && ifRevision !== revision)
      throw otherRevision(ifRevision, revision);
    const entry: ConfigEntry = {
      v: protocolVersion,
      kind: "config",
      revision: revision + 1,
      document,
      source,
    };
    const body = JSON.stringify(entry);
    const bytes = Buffer.byteLength(body);
    if (bytes > maxEntryBytes) {
      throw new Declined(413, "config-too-large", "The config is too large", {
        detail: `It takes ${bytes} bytes, ${maxEntryBytes} are allowed.`,
      });
    }
    const changes =
      applied === undefined ||
      applied.source !== source ||
      JSON.stringify(applied.document) !== JSON.stringify(document);
    return { changes, revision, body };
  }

  /**
   * Applies a config: all of it, as one entry, or nothing.
   *
   * @throws Declined 412 when another revision is applied than expected, 413 when it is too large, 422 when it is not valid
   */
  async apply(source: string, { waitMs, ...condition }: ApplyOptions): Promise<ConfigApplied> {
    const { changes, revision, body } = this.check(source, condition);
    const applied = this.applied();
    if (applied !== undefined && !changes) {
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
    try {
      const answer = await this.#options.orders.place({
        journal: "catalogue",
        entry: { key: catalogueKeys.config, body },
        operation: randomUUID(),
        expected: this.#options.state.catalogue.sequenceOf(catalogueKeys.config),
        waitMs,
      });
      this.#options.log.info(
        { revision: revision + 1, sequence: answer.sequence },
        "config applied",
      );
      return { revision: revision + 1, ...answer };
    } catch (error) {
      if (error instanceof JournalConflict)
        throw otherRevision(revision, this.applied()?.revision ?? revision);
      throw error;
    }
  }
}

function otherRevision(expected: number, found: number): Declined {
  return new Declined(412, "precondition-failed", "Another revision is applied", {
    detail: `Expected revision ${expected}, found ${found}.`,
  });
}
