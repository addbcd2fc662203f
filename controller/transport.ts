import type { AgentChannel } from "./session.ts";

/** A way to a host: over it one agent is started, and files are sent. Closing it ends all that uses it. */
export interface Transport extends AsyncDisposable {
  /** Starts the agent: words, never a shell's line. */
  openAgent(command: string[], options: { signal: AbortSignal }): Promise<AgentChannel>;
  /**
   * Sends a file; false where this way cannot write there (the login user may not, or has no SFTP):
   * the bytes then go through the protocol.
   */
  upload(
    localPath: string,
    remotePath: string,
    options: { signal: AbortSignal; onProgress?: (sentBytes: number) => void },
  ): Promise<boolean>;
}
