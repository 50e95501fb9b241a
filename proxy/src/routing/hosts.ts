/** How many Host values are remembered; a stranger who invents more costs time, not memory. */
const rememberedAtMost = 1_000;

/**
 * Which hosts are served, out of `listen.hosts`: names and addresses, `*.domain` for everything below a domain. Ports and case
 * do not matter. Without a list every host is served.
 */
export function hostList(hosts: readonly string[] | undefined): (host: string) => boolean {
  if (hosts === undefined) return () => true;
  const exact = new Set<string>();
  const suffixes: string[] = [];
  for (const host of hosts) {
    const lower = host.toLowerCase();
    if (lower.startsWith("*.")) suffixes.push(lower.slice(1));
    else exact.add(lower);
  }
  const remembered = new Map<string, boolean>();
  return (host) => {
    const known = remembered.get(host);
    if (known !== undefined) return known;
    const name = host.toLowerCase().replace(/:\d*$/, "").replace(/\.$/, "");
    const served =
      exact.has(name) ||
      suffixes.some((suffix) => name.length > suffix.length && name.endsWith(suffix));
    if (remembered.size < rememberedAtMost) remembered.set(host, served);
    return served;
  };
}
