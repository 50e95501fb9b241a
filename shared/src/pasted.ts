/** What somebody who is in a hurry pastes where an id belongs: the whole credential. The id is part of it, and the rest is let go. */

/** The public part of the cookie of a session; any other text as it is. */
export function sidIn(text: string): string {
  return /^([\w-]{22})\.[\w-]{43}$/.exec(text)?.[1] ?? text;
}

/** The public part of an API key; any other text as it is. */
export function apiKeyIdIn(text: string): string {
  return /^tocsin_([a-z2-7]{12})_[\w-]{49}$/.exec(text)?.[1] ?? text;
}
