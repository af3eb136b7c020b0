import { type Call, send, toPost } from './call.ts';
import { createCallView } from './call-view.ts';
import { startChatStep } from './chat-step.ts';
import { createElement, findElement } from './elements.ts';
import { findStep, reset, say } from './steps.ts';
import { nowSeconds, startCountdowns, toDuration } from './times.ts';
import { createExpiry, createTokenView } from './token-view.ts';

const idproxyUrl = findElement(HTMLMetaElement, 'meta[name="idproxy-url"]').content.replace(/\/$/, '');
const issuerUrl = location.origin;

/** What the steps hand on to each other. */
const chain: { jwt?: string; accessToken?: string } = {};

const steps = { mint: findStep('mint'), exchange: findStep('exchange'), ask: findStep('ask') };
const buttons = {
  mint: findElement(HTMLButtonElement, '#mint-button'),
  exchange: findElement(HTMLButtonElement, '#exchange-button'),
  replay: findElement(HTMLButtonElement, '#replay-button'),
  ask: findElement(HTMLButtonElement, '#ask-button'),
};
const identity = findElement(HTMLInputElement, '#identity');
const anonymous = findElement(HTMLInputElement, '#anonymous');

/** A button works once what it needs is there. */
function refreshButtons(): void {
  buttons.exchange.disabled = chain.jwt === undefined;
  buttons.replay.disabled = chain.accessToken === undefined;
  buttons.ask.disabled = chain.accessToken === undefined;
}

const toText = (value: unknown): string | undefined => (typeof value === 'string' && value !== '' ? value : undefined);

async function mint(): Promise<void> {
  for (const step of Object.values(steps)) reset(step);
  delete chain.jwt;
  delete chain.accessToken;
  const members = {
    ...(identity.value !== '' && !anonymous.checked && { identity: identity.value }),
    ...(anonymous.checked && { isAnonymous: true }),
  };
  const call = await send(toPost(`${issuerUrl}/api/users/sts`, members));
  steps.mint.calls.append(createCallView(call));
  const jwt = toText(call.answer?.members['jwt']);
  if (call.failure !== undefined || jwt === undefined) {
    say(steps.mint, 'bad', call.failure ?? 'The answer holds no token.');
    return;
  }
  try {
    steps.mint.result.append(createTokenView(jwt));
  } catch {
    say(steps.mint, 'bad', 'The answer holds a text that is no token.');
    return;
  }
  chain.jwt = jwt;
  const who = anonymous.checked ? 'an anonymous user' : identity.value;
  say(steps.mint, 'good', `Signed for ${who}.`);
}

const present = (jwt: string): Promise<Call> => send(toPost(`${idproxyUrl}/authorize`, { assertion: jwt }));

async function exchange(): Promise<void> {
  if (chain.accessToken !== undefined) return replay();
  if (chain.jwt === undefined) return;
  const call = await present(chain.jwt);
  steps.exchange.calls.replaceChildren(createCallView(call));
  const accessToken = toText(call.answer?.members['access_token']);
  if (call.failure !== undefined || accessToken === undefined) {
    say(steps.exchange, 'bad', call.failure ?? 'The answer holds no bearer.');
    return;
  }
  chain.accessToken = accessToken;
  const lifeSeconds = Number(call.answer?.members['expires_in']);
  steps.exchange.result.replaceChildren(
    createElement('code', { class: 'token bearer' }, accessToken),
    createElement(
      'p',
      { class: 'note' },
      'Opaque: it says nothing to whoever finds it, and it ',
      createExpiry(nowSeconds() + lifeSeconds),
      '.',
    ),
  );
  say(steps.exchange, 'good', `Granted: a bearer for ${toDuration(lifeSeconds)}.`);
}

async function replay(): Promise<void> {
  if (chain.jwt === undefined) return;
  const call = await present(chain.jwt);
  steps.exchange.calls.prepend(createCallView(call));
  if (call.answer?.status === 401) say(steps.exchange, 'good', `As it should be. ${call.failure ?? ''}`);
  else say(steps.exchange, 'bad', call.failure ?? 'Granted again: this client has a reuse window.');
}

async function ask(): Promise<void> {
  if (chain.accessToken === undefined) return;
  const headers = { authorization: `Bearer ${chain.accessToken}` };
  const call = await send({ method: 'GET', url: `${idproxyUrl}/api/1.1/userinfo`, headers });
  steps.ask.calls.replaceChildren(createCallView(call));
  const { sub, userId, isAnonymous } = call.answer?.members ?? {};
  const who = isAnonymous === true ? `an anonymous user, ${String(sub)}` : String(sub);
  if (call.failure === undefined)
    say(steps.ask, 'good', `You are ${who}. The platform’s id for you is ${String(userId)}.`);
  else say(steps.ask, 'bad', call.failure);
}

/** Runs one act at a time; its button keeps the focus meanwhile. */
async function run(act: () => Promise<void>): Promise<void> {
  if (document.body.ariaBusy === 'true') return;
  document.body.ariaBusy = 'true';
  try {
    await act();
  } finally {
    document.body.ariaBusy = null;
    refreshButtons();
  }
}

findElement(HTMLFormElement, '#mint-form').addEventListener('submit', (event) => {
  event.preventDefault();
  void run(mint);
});
anonymous.addEventListener('change', () => {
  identity.disabled = anonymous.checked;
});
buttons.exchange.addEventListener('click', () => void run(exchange));
buttons.replay.addEventListener('click', () => void run(replay));
buttons.ask.addEventListener('click', () => void run(ask));
for (const [selector, url] of [
  ['#issuer-url', issuerUrl],
  ['#idproxy-url', idproxyUrl],
] as const) {
  findElement(HTMLElement, selector).textContent = url;
}
startChatStep(() => (anonymous.checked ? undefined : identity.value));
refreshButtons();
startCountdowns();
