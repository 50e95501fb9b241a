import { systemClock, systemRandom } from "@tocsin/shared";
import type { RegisterOptions, Registration } from "./options.ts";
import { startRegistration } from "./registration.ts";

/**
 * Puts this process into the gateway as one instance of a service, and keeps it there: the lease is renewed, taken again when it
 * was lost, and given back when the registration is disposed or the process is told to stop.
 *
 * Over NATS when `TOCSIN_NATS_URL` is set (credentials in the URL or in the file that `TOCSIN_NATS_CREDENTIALS` names; for TLS
 * `TOCSIN_NATS_CA`, `TOCSIN_NATS_CERT` and `TOCSIN_NATS_KEY`), else over HTTP to `TOCSIN_ADMIN_URL` (default
 * `http://127.0.0.1:7070`) with the token in `TOCSIN_ADMIN_TOKEN`, in the file that `TOCSIN_ADMIN_TOKEN_FILE` names, or in
 * `admin-token` of `TOCSIN_STATE_DIR` (default `.tocsin`).
 *
 * @throws TypeError when an option or a variable is wrong
 * @throws RegistrationRefused when the control plane says no
 * @throws RegistrationUnavailable when none answers within `timeoutMs`
 * @throws the signal's reason when it aborts first
 */
export function register(options: RegisterOptions): Promise<Registration> {
  return startRegistration({ clock: systemClock, random: systemRandom, host: process }, options);
}
