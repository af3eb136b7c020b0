import { isReport } from './chat-report.ts';
import { createElement, findElement } from './elements.ts';
import { findOutcome, say } from './steps.ts';

/** Why there is no chat, for each word of the server that says so. */
const ABSENCES: Readonly<Record<string, string>> = {
  'no-sdk':
    'The chat SDK is not installed on this server: run npm install --no-save kore-web-sdk@10.1.12 there, and start it again.',
  'no-sessions': 'This server offers no real-time sessions: it runs with COUNTERSIGN_BOT=none.',
};

/** How long connecting may take before the page says that it does, in milliseconds. */
const CONNECT_TIMEOUT_MS = 10_000;
const NOT_CONNECTED = `No connection within ${CONNECT_TIMEOUT_MS / 1000} s. Are both servers running?`;

/** Makes the step of the chat work. `getIdentity` tells who is to chat: nobody known where it is undefined. */
export function startChatStep(getIdentity: () => string | undefined): void {
  const step = findOutcome('chat');
  const place = findElement(HTMLElement, '#chat .talk');
  const button = findElement(HTMLButtonElement, '#chat-button');
  const absence = ABSENCES[findElement(HTMLMetaElement, 'meta[name="chat"]').content];
  if (absence !== undefined) {
    say(step, 'none', absence);
    return;
  }
  let frame: HTMLIFrameElement | undefined;
  let who = '';
  let timer = 0;
  button.disabled = false;
  button.addEventListener('click', () => {
    const identity = getIdentity();
    who = identity ?? 'an anonymous user';
    frame = createFrame(identity);
    place.replaceChildren(frame);
    frame.scrollIntoView({ block: 'nearest' });
    button.textContent = 'Start the chat again';
    say(step, 'none', `Connecting as ${who} …`);
    clearTimeout(timer);
    timer = setTimeout(() => say(step, 'bad', NOT_CONNECTED), CONNECT_TIMEOUT_MS);
  });
  addEventListener('message', ({ source, origin, data }) => {
    if (source === null || source !== frame?.contentWindow || origin !== location.origin || !isReport(data)) return;
    clearTimeout(timer);
    if (data.kind === 'connected') say(step, 'good', `Connected as ${who}.`);
    else say(step, 'bad', data.words);
  });
}

/** A new document each time: nothing of a former user stays in it. */
function createFrame(identity: string | undefined): HTMLIFrameElement {
  return createElement('iframe', {
    title: 'Chat with the bot',
    src: '/welcome/chat.html',
    // The document's own policy says the same, where no script can take it away; here it holds before the first byte.
    sandbox: 'allow-scripts allow-same-origin',
    ...(identity !== undefined && { 'data-identity': identity }),
  });
}
