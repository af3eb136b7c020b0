/** What the chat's document tells the page around it. */
export interface ChatReport {
  readonly kind: 'connected' | 'failed';
  /** What went wrong, in words; empty where nothing did. */
  readonly words: string;
}

/** Tells the page around this document. */
export function sendReport(report: ChatReport): void {
  parent.postMessage(report, location.origin);
}

/** Whether a message's data is a report. */
export function isReport(data: unknown): data is ChatReport {
  if (typeof data !== 'object' || data === null) return false;
  const { kind, words } = data as Partial<ChatReport>;
  return (kind === 'connected' || kind === 'failed') && typeof words === 'string';
}
