import { describeRefusal, parseMembers, send, toPost } from './call.ts';
import { sendReport } from './chat-report.ts';
import { findElement } from './elements.ts';

/** What the published SDK offers, as far as it is used here. */
interface ChatSdk {
  readonly chatConfig: Record<string, unknown> & { readonly botOptions: Record<string, unknown> };
  readonly chatWindow: new () => ChatWindow;
}

interface ChatWindow {
  readonly EVENTS: { readonly ON_WS_OPEN: string };
  /** The SDK's own jQuery. */
  readonly $: (target: Document) => {
    on(name: 'ajaxError', listener: (event: unknown, answer: Failure) => void): void;
  };
  on(event: string, listener: () => void): void;
  setJWT(jwt: string): void;
  show(config: ChatSdk['chatConfig']): void;
  showError(words: unknown): void;
}

/** A request that jQuery could not make or that was refused. */
interface Failure {
  readonly status: number;
  readonly responseText?: string;
}

declare const KoreChatSDK: ChatSdk;

const ASSERTION_PATH = '/api/users/sts';

/** Opens the SDK's window as a customer's page would, for a known user or an anonymous one. */
function openChat(identity: string | undefined): void {
  const { chatConfig: config, chatWindow } = KoreChatSDK;
  const chat = new chatWindow();
  const idproxyUrl = findElement(HTMLMetaElement, 'meta[name="idproxy-url"]').content.replace(/\/$/, '');
  const options = {
    koreAPIUrl: `${idproxyUrl}/api/`,
    JWTUrl: `${location.origin}${ASSERTION_PATH}`,
    userIdentity: identity ?? '',
    botInfo: { name: 'Sandbox', _id: 'st-sandbox' },
    logLevel: 'error',
  };
  Object.assign(config.botOptions, options);
  Object.assign(config, { minimizeMode: false, enableThemes: false, allowLocation: false, isSendButton: true });
  if (identity === undefined) {
    // The SDK's own form always says that the user is known.
    config['JWTAsertion'] = (commit: () => void) => void mintAnonymously(chat, commit);
  }
  watch(chat);
  chat.show(config);
  // A screen reader would find a text field without a name.
  document.querySelector('.chatInputBox')?.setAttribute('aria-label', 'Message');
}

async function mintAnonymously(chat: ChatWindow, commit: () => void): Promise<void> {
  const { answer, failure } = await send(toPost(`${location.origin}${ASSERTION_PATH}`, { isAnonymous: true }));
  const jwt = answer?.members['jwt'];
  if (failure !== undefined || typeof jwt !== 'string') {
    fail(failure ?? 'The answer holds no token.');
    return;
  }
  chat.setJWT(jwt);
  commit();
}

/** Tells the page what becomes of it. The SDK itself goes on trying and says little. */
function watch(chat: ChatWindow): void {
  chat.on(chat.EVENTS.ON_WS_OPEN, () => sendReport({ kind: 'connected', words: '' }));
  chat.$(document).on('ajaxError', (_event, { status, responseText = '' }) => {
    const refusal = { status, members: parseMembers(responseText) };
    fail(status === 0 ? 'No answer from the issuer.' : describeRefusal(refusal));
  });
  const show = chat.showError.bind(chat);
  chat.showError = (words) => {
    show(words);
    fail(String(words));
  };
}

function fail(words: string): void {
  sendReport({ kind: 'failed', words });
}

// SECURITY: who is to chat stands on the frame, which only a page of this origin can make. Opened alone, by a link
// from elsewhere, this document does nothing: it signs nobody in.
const frame = window.frameElement;
if (frame !== null) openChat(frame.getAttribute('data-identity') ?? undefined);
