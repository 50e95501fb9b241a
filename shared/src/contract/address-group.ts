/**
 * Who counts as one client, for limits by address: an IPv4 address by itself; of an IPv6 address its /64, because a single client has
 * all of that (RFC 4291 §2.5.4).
 */
export function addressGroup(address: string): string {
  if (!address.includes(":")) return address;
  const [head = "", tail] = address.replace(/%.*$/, "").split("::");
  const front = head === "" ? [] : head.split(":");
  if (tail === undefined) return front.slice(0, 4).map(plain).join(":");
  const back = tail === "" ? [] : tail.split(":");
  const zeros = Array.from({ length: Math.max(0, 8 - front.length - back.length) }, () => "0");
  return [...front, ...zeros, ...back].slice(0, 4).map(plain).join(":");
}

function plain(group: string): string {
  return group.replace(/^0+(?=.)/, "").toLowerCase();
}
