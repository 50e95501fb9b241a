import type { CommandContext } from "./command.ts";

export type { Bound, CommandContext } from "./command.ts";
export { runControlPlane, runProxy, runStandalone } from "./commands.ts";

/** `tocsin demo`: loaded only when it is wanted. */
export async function runDemo(context: CommandContext): Promise<number> {
  const demo = await import("./demo/demo.ts");
  return demo.runDemo(context);
}
