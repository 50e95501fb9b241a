/** The serving commands, from a command line's context to an exit code. Each loads its own parts: a proxy holds no control plane. */
import { availableParallelism } from "node:os";
import { maxWorkers } from "@tocsin/shared";
import { adminToken } from "./admin-token.ts";
import type { CommandContext } from "./command.ts";
import type { Prelude } from "./prelude.ts";
import { serve, type Serving } from "./serve.ts";

/** `tocsin standalone`: both planes in this process. */
export function runStandalone(context: CommandContext): Promise<number> {
  return serve(context, "standalone", async (prepared) => {
    const { startStandalone } = await import("./standalone.ts");
    const token = adminToken(prepared.settings);
    const running = await startStandalone({
      ...prepared,
      adminToken: token,
      environment: context.environment,
    });
    return {
      bound: {
        role: "standalone",
        proxy: running.proxy.url,
        probe: running.proxy.probeUrl,
        admin: running.controlPlane.adminUrl,
        ...fileOf(token),
      },
      [Symbol.asyncDispose]: () => running[Symbol.asyncDispose](),
    };
  });
}

/** `tocsin control-plane`: one node of a cluster's control plane. */
export function runControlPlane(context: CommandContext): Promise<number> {
  return serve(context, "control-plane", async (prepared) => {
    const { startClusterControlPlane } = await import("./control-plane.ts");
    const token = adminToken(prepared.settings);
    const running = await startClusterControlPlane(
      { ...prepared, adminToken: token, environment: context.environment },
      context.stop,
    );
    return {
      bound: { role: "control-plane", admin: running.controlPlane.adminUrl, ...fileOf(token) },
      [Symbol.asyncDispose]: () => running[Symbol.asyncDispose](),
    };
  });
}

/** `tocsin proxy`: one proxy of a cluster, or with `--sidecar` one beside a service. */
export function runProxy(context: CommandContext): Promise<number> {
  return serve(context, "proxy", async (prepared) => {
    const { log } = prepared;
    if (context.sidecar !== undefined) return sidecar(context, context.sidecar, prepared);
    const size = prepared.settings.TOCSIN_WORKERS ?? Math.min(availableParallelism(), maxWorkers);
    if (size > 1) {
      const { startWorkersProxy } = await import("./workers/cluster-proxy.ts");
      const running = await startWorkersProxy(prepared, size, context.stop);
      context.onReload?.(() => void running.reload());
      return {
        bound: { role: "proxy", proxy: running.url, probe: running.probeUrl },
        [Symbol.asyncDispose]: () => running[Symbol.asyncDispose](),
      };
    }
    context.onReload?.(() =>
      log.warn({}, "a proxy of one process cannot be reloaded: TOCSIN_WORKERS is 1"),
    );
    const { startClusterProxy } = await import("./cluster-proxy.ts");
    const running = await startClusterProxy(prepared, context.stop);
    return {
      bound: { role: "proxy", proxy: running.proxy.url, probe: running.proxy.probeUrl },
      [Symbol.asyncDispose]: () => running[Symbol.asyncDispose](),
    };
  });
}

async function sidecar(
  context: CommandContext,
  words: readonly string[],
  prepared: Prelude,
): Promise<Serving> {
  context.onReload?.(() =>
    prepared.log.warn({}, "a sidecar is one process: it cannot be reloaded"),
  );
  const { startSidecar } = await import("./sidecar.ts");
  const running = await startSidecar(prepared, words, context.stop);
  const { url, probeUrl, outboundUrl } = running.proxy;
  return {
    bound: {
      role: "proxy",
      proxy: url,
      probe: probeUrl,
      ...(outboundUrl === undefined ? {} : { outbound: outboundUrl }),
    },
    [Symbol.asyncDispose]: () => running[Symbol.asyncDispose](),
  };
}

function fileOf({ file }: { readonly file: string | undefined }): {
  readonly adminTokenFile?: string;
} {
  return file === undefined ? {} : { adminTokenFile: file };
}
