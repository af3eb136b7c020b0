import { type Call, toCurl } from './call.ts';
import { createElement } from './elements.ts';

/** A call as it went over the wire: method, URL, status, both bodies, and the same as a curl line. */
export function createCallView(call: Call): HTMLElement {
  const { request, answer } = call;
  const { method, url, headers, body } = request;
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}`);
  const sent = [...lines, ...(body === undefined ? [] : ['', body])].join('\n');
  return createElement(
    'article',
    { class: 'call' },
    createElement(
      'h3',
      { class: 'call-line' },
      createElement('span', { class: 'method' }, method),
      ' ',
      createElement('span', { class: 'url' }, url),
      ' ',
      createStatus(call),
    ),
    createBlock('Request', sent),
    createBlock('Response', answer ? toPrettyText(answer.text) : 'none'),
    createCurl(toCurl(request)),
  );
}

function createStatus({ answer, failure, durationMs }: Call): HTMLElement {
  const kind = failure === undefined ? 'is-good' : 'is-bad';
  const text = answer ? `${answer.status} ${answer.statusText}`.trim() : 'no answer';
  return createElement('span', { class: `status ${kind}` }, `${text} · ${Math.max(1, Math.round(durationMs))} ms`);
}

function createBlock(title: string, text: string): HTMLElement {
  return createElement(
    'section',
    { class: 'block' },
    createElement('h4', {}, title),
    createElement('pre', { class: title.toLowerCase() }, text === '' ? '(empty)' : text),
  );
}

function createCurl(line: string): HTMLElement {
  const text = createElement('pre', { class: 'curl-line' }, line);
  const details = createElement('details', {}, createElement('summary', {}, 'as curl'), text);
  const button = createElement('button', { type: 'button', class: 'quiet' }, 'Copy curl');
  const note = createElement('span', { role: 'status', class: 'copied' });
  button.addEventListener('click', () => void copy(line, text, details).then((words) => (note.textContent = words)));
  return createElement('div', { class: 'curl' }, details, createElement('div', { class: 'curl-copy' }, note, button));
}

/** Copies a text; where the browser refuses, it stands selected instead. @returns what happened, in words */
async function copy(line: string, shown: HTMLElement, details: HTMLDetailsElement): Promise<string> {
  try {
    await navigator.clipboard.writeText(line);
    return 'Copied.';
  } catch {
    details.setAttribute('open', '');
    getSelection()?.selectAllChildren(shown);
    return 'Selected: copy it with the keyboard.';
  }
}

function toPrettyText(text: string): string {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}
