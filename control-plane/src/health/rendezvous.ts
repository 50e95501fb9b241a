/**
 * Which of several nodes has a piece of work: the one with the highest weight for it (rendezvous hashing). All who know the same nodes
 * come to the same answer, work is spread evenly, and a node that comes or goes moves its share alone.
 *
 * @param nodes at least one
 */
export function ownerOf<Node extends string>(work: string, nodes: readonly Node[]): Node {
  let best = nodes[0]!;
  let highest = -1;
  for (const node of nodes) {
    const weight = hash(`${node} ${work}`);
    if (weight > highest || (weight === highest && node < best)) {
      best = node;
      highest = weight;
    }
  }
  return best;
}

/** FNV-1a, then mixed so that texts that differ in their last letters differ in all bits. */
function hash(text: string): number {
  let mixed = 0x811c9dc5;
  for (let index = 0; index < text.length; index++)
    mixed = Math.imul(mixed ^ text.charCodeAt(index), 0x01000193);
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}
