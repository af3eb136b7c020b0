/** How many live records hold something. */
export interface SealedCounts {
  readonly sessions: number;
  readonly messages: number;
}

/** What is kept sealed beside the documents, and ends by itself. */
export interface SealedRecords {
  /** Looks at every session and every message there is for those whose text holds `marker`. */
  count(marker: string): Promise<SealedCounts>;
}
