import type { DemoPerson } from "./tokens.ts";
import type { DemoService } from "./services.ts";

export interface DemoFacts {
  /** Public URL of the proxy. */
  readonly proxy: string;
  readonly probe: string;
  readonly admin: string;
  readonly tokens: Readonly<Record<DemoPerson, string>>;
  readonly services: readonly DemoService[];
  /** What must stand before `npx tocsin` so that it finds this gateway; empty with the defaults. */
  readonly prefix: string;
}

/** What the demo prints: every line works as it stands, from another terminal in the same folder. */
export function demoLines(facts: DemoFacts): string {
  const { proxy, tokens, prefix } = facts;
  const as = (person: DemoPerson) => `-H "Authorization: Bearer $(cat ${tokens[person]})"`;
  const victim = facts.services.find(({ instance }) => instance === "users-2");
  const rows: readonly (readonly [string, string])[] = [
    ["200  a public route", `curl -i ${proxy}/api/public/hello`],
    ["401  no token", `curl -i ${proxy}/api/users/42`],
    [
      "200  with a token; the service is told who asks",
      `curl -i ${as("alice")} ${proxy}/api/users/42`,
    ],
    ["403  alice is no admin", `curl -i ${as("alice")} ${proxy}/api/payments/balance`],
    ["200  root is", `curl -i ${as("root")} ${proxy}/api/payments/balance`],
    [
      "revoke alice's token: in force when the command returns, with the proof",
      `${prefix}npx tocsin revoke token @${tokens.alice}`,
    ],
    ["401  at once", `curl -i ${as("alice")} ${proxy}/api/users/42`],
    ["revoke every token that bob has", `${prefix}npx tocsin revoke user bob`],
    ["401", `curl -i ${as("bob")} ${proxy}/api/users/42`],
    ["who is there", `${prefix}npx tocsin services list`],
    ["kill one of the two users processes …", `kill -9 ${victim?.pid ?? ""}`],
    [
      "200  … the other one answers; the dead one leaves the list within seconds",
      `curl -i ${as("root")} ${proxy}/api/users/42 && sleep 4 && ${prefix}npx tocsin services list`,
    ],
    ["which proxies there are, and how far they are", `${prefix}npx tocsin proxies list`],
  ];
  const width = 2;
  return [
    "",
    `  proxy   ${proxy}`,
    `  admin   ${facts.admin}`,
    `  probes  ${facts.probe}/readyz   ${facts.probe}/metrics`,
    "",
    "Try these from another terminal, in this folder:",
    "",
    ...rows.flatMap(([what, line]) => [
      `${" ".repeat(width)}# ${what}`,
      `${" ".repeat(width)}${line}`,
      "",
    ]),
    "Ctrl-C ends it.",
    "",
  ].join("\n");
}
