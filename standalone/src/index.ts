export type { Bound, CommandContext } from "./command.ts";
export { runControlPlane, runProxy, runStandalone } from "./commands.ts";
export { runDemo } from "./demo/demo.ts";
