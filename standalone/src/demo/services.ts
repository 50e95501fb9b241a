import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import type { Secret } from "@tocsin/shared";

export interface DemoService {
  readonly service: string;
  readonly instance: string;
  readonly pid: number;
}

export interface DemoServices extends AsyncDisposable {
  readonly running: readonly DemoService[];
}

const instances = [
  ["users", "users-1"],
  ["users", "users-2"],
  ["content", "content-1"],
  ["payments", "payments-1"],
] as const;

export interface DemoServicesOptions {
  readonly adminUrl: string;
  readonly adminToken: Secret;
  /** Where programs are found. */
  readonly path: string | undefined;
}

/** Starts the demo services as processes of their own, so that one can be killed. Resolves when all have registered. */
export async function startDemoServices(options: DemoServicesOptions): Promise<DemoServices> {
  const file = fileURLToPath(new URL("./service.ts", import.meta.url));
  const children: ChildProcess[] = [];
  await using stack = new AsyncDisposableStack();
  stack.defer(async () => {
    await Promise.all(children.map(end));
  });
  const running = await Promise.all(
    instances.map(async ([service, instance]): Promise<DemoService> => {
      const child = spawn(process.execPath, [file, service, instance], {
        stdio: ["ignore", "ignore", "pipe", "ipc"],
        env: {
          PATH: options.path,
          TOCSIN_ADMIN_URL: options.adminUrl,
          TOCSIN_ADMIN_TOKEN: options.adminToken.reveal(),
        },
      });
      children.push(child);
      let talk = "";
      child.stderr
        ?.setEncoding("utf8")
        .on("data", (text: string) => (talk = (talk + text).slice(-2_000)));
      await Promise.race([
        once(child, "message"),
        once(child, "exit").then(([code, signal]) => {
          throw new Error(
            `the demo service ${instance} ended with ${String(code ?? signal)} before it registered:\n${talk}`,
          );
        }),
      ]);
      return { service, instance, pid: child.pid! };
    }),
  );
  const owned = stack.move();
  return { running, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, "exit");
  child.kill("SIGTERM");
  const killed = AbortSignal.timeout(5_000);
  killed.addEventListener("abort", () => child.kill("SIGKILL"), { once: true });
  await exited;
}
