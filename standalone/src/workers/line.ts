/** What two processes of a proxy say to each other by: words in order, none lost while both live, and not more waiting than there is room for. */
export interface Line<Out, In> {
  /**
   * Says a word.
   *
   * @returns false when it was not taken: the other side is gone, or has not read what was said before for too long
   */
  say(word: Out): boolean;
  /** Hears every word from now on. Returns how to stop it. */
  onWord(listener: (word: In) => void): () => void;
}

/** Bytes that may wait for a process that does not read: what a worker is sent when it begins with a million revocations, and more. */
const roomBytes = 64 * 1024 * 1024;
/** A word costs this beside its payload, in bytes, at most. */
const wordBytes = 512;

/** An end of a channel of `node:child_process`: `process` in a child, the child in its parent. */
export interface Channel {
  send?(
    word: unknown,
    handle: undefined,
    options: object,
    sent: (error: Error | null) => void,
  ): boolean;
  readonly connected: boolean;
  on(event: "message", listener: (word: unknown) => void): unknown;
  off(event: "message", listener: (word: unknown) => void): unknown;
}

/** A line over a channel between processes. */
export function channelLine<Out extends object, In>(channel: Channel): Line<Out, In> {
  let waiting = 0;
  return {
    say(word) {
      if (!channel.connected || channel.send === undefined) return false;
      const { payload } = word as { readonly payload?: string | Uint8Array };
      const bytes = wordBytes + (payload?.length ?? 0);
      if (waiting > 0 && waiting + bytes > roomBytes) return false;
      waiting += bytes;
      // An error here is the other side's end, which is told in its own way.
      channel.send(word, undefined, {}, () => {
        waiting -= bytes;
      });
      return true;
    },
    onWord(listener) {
      const own = (word: unknown) => listener(word as In);
      channel.on("message", own);
      return () => void channel.off("message", own);
    },
  };
}
