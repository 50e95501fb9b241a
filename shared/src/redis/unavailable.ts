/** Redis was not asked, did not answer in time, or answered that it cannot. Whether a command took effect is not known. */
export class RedisUnavailable extends Error {
  override readonly name = "RedisUnavailable";
}
