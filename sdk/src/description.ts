import { hostname } from "node:os";
import { isName, toName } from "@tocsin/shared";
import type { RegistrationInput } from "@tocsin/shared/contract";
import type { RegisterOptions } from "./options.ts";

/** What is wrong here is wrong in the program, and is told before anything is sent. @throws TypeError */
export function assertOptions(options: RegisterOptions): void {
  assertName("name", options.name);
  if (options.instance !== undefined) assertName("instance", options.instance);
  if (options.zone !== undefined) assertName("zone", options.zone);
  if (options.server === undefined && options.url === undefined)
    throw new TypeError("either server or url is needed: what is to be registered?");
}

function assertName(option: string, text: string): void {
  if (!isName(text)) {
    throw new TypeError(
      `${option}: ${JSON.stringify(text)} is not a name: use 1 to 63 lower-case letters, digits and hyphens, with a letter or digit at both ends`,
    );
  }
}

/** Host name and port: a process that comes back in the same place takes the place of the one before. */
export function instanceName(url: string): string {
  const { port, protocol } = new URL(url);
  const suffix = port || (protocol === "https:" ? "443" : "80");
  const host = (toName(hostname()) ?? "instance").slice(0, 62 - suffix.length).replace(/-+$/, "");
  return `${host}-${suffix}`;
}

/** The body of a registration. */
export function registrationOf(
  options: RegisterOptions,
  url: string,
  boot: string,
): RegistrationInput & { readonly boot: string } {
  const { weight, zone, version, metadata } = options;
  const health = typeof options.health === "string" ? { path: options.health } : options.health;
  return {
    url,
    boot,
    ...(weight === undefined ? {} : { weight }),
    ...(zone === undefined ? {} : { zone }),
    ...(version === undefined ? {} : { version }),
    ...(health === undefined ? {} : { health }),
    ...(metadata === undefined ? {} : { metadata }),
  };
}
