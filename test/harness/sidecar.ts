/** A sidecar as a process of its own, on a bus where its user has the rights that nats.conf shows for one. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Gateway } from "./gateway.ts";
import { root, startProgram, type Program } from "./program.ts";

const password = "sidecar-password";

/** The repository's nats.conf with its example of a sidecar's user, once for each service. @returns the path of the file */
export function natsConfigWithSidecars(directory: string, services: readonly string[]): string {
  const text = readFileSync(join(root, "nats.conf"), "utf8");
  const example = /^( +)# \{\n(?:\1# .*\n)+?\1# \}\n/m.exec(text);
  if (example === null) throw new Error("nats.conf has no example of a sidecar's user");
  const block = example[0].replaceAll(/^ +# /gm, "");
  const users = services.map((service) =>
    block
      .replaceAll(".users.", `.${service}.`)
      .replace("users-sidecar", `${service}-sidecar`)
      .replace("$TOCSIN_NATS_USERS_SIDECAR_PASSWORD", password),
  );
  const file = join(directory, "nats-with-sidecars.conf");
  writeFileSync(file, text.replace(example[0], users.join("")));
  return file;
}

export interface SidecarOptions {
  readonly service: string;
  /** Where the service answers. */
  readonly url: string;
  /** Where its state is kept. */
  readonly directory: string;
  /** Default `<service>-sidecar`. */
  readonly name?: string;
  readonly environment?: Readonly<Record<string, string>>;
}

/** Starts `tocsin proxy --sidecar` and waits until it listens. Its `bound` has `outbound`, too. */
export function startSidecar(gateway: Gateway, options: SidecarOptions): Promise<Program> {
  const { service, url, directory, name = `${service}-sidecar` } = options;
  return startProgram({
    args: ["proxy", "--sidecar", `${service}=${url}`],
    environment: {
      TOCSIN_LISTEN: "127.0.0.1:0",
      TOCSIN_PROBE_LISTEN: "127.0.0.1:0",
      TOCSIN_OUTBOUND_LISTEN: "127.0.0.1:0",
      TOCSIN_PROXY_ID: name,
      TOCSIN_STATE_DIR: join(directory, name),
      TOCSIN_DRAIN_TIMEOUT: "10s",
      TOCSIN_NATS_URL: gateway.nats!.urlFor(`${service}-sidecar`, password),
      ...options.environment,
    },
  });
}
