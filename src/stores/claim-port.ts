/** Names that can be had once. */
export interface ClaimStore {
  /**
   * Takes a name for a time, by one atomic command: of many that ask at once, one gets it.
   * @returns false where it was taken
   * @throws AppError `store_unavailable` where it is not known who has it
   */
  claim(key: string, expiresInMs: number): Promise<boolean>;
}
