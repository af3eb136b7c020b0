import { createElement } from './elements.ts';
import { toDateText, toExpiryText } from './times.ts';
import { type DecodedToken, parseToken } from './token.ts';

/** What header members and claims mean, in a few words. */
const MEANINGS: Readonly<Record<string, string>> = {
  enc: 'how the content is encrypted',
  typ: 'what it is',
  cty: 'what is inside: a signed JWT',
  kid: 'which key',
  jti: 'its number: good for one exchange',
  aud: 'who may accept it',
  iss: 'who signed it: the client id',
  sub: 'who the user is',
  isAnonymous: 'whether the user is unknown',
  identityToMerge: 'the anonymous identity whose conversation goes on',
};
/** `alg` says another thing in each kind of token. */
const ALGORITHM_MEANINGS = { JWS: 'how it is signed', JWE: 'how the content key is encrypted' } as const;
const DATES: ReadonlySet<string> = new Set(['iat', 'nbf', 'exp']);

/** A token with its parts in colours, and what can be read of it without a key. */
export function createTokenView(token: string): HTMLElement {
  const decoded = parseToken(token);
  const view = createElement('div', { class: 'token-view' }, createCompact(decoded), createLegend(decoded));
  view.append(
    createMembers(`${decoded.kind} header`, decoded.header, { ...MEANINGS, alg: ALGORITHM_MEANINGS[decoded.kind] }),
  );
  if (decoded.payload) view.append(createMembers('Payload', decoded.payload, MEANINGS));
  else
    view.append(createElement('p', { class: 'note' }, 'Encrypted: only the idproxy can read the signed JWT inside.'));
  return view;
}

const toClass = (index: number, { kind }: DecodedToken): string =>
  `part part-${index}${kind === 'JWE' ? ' of-jwe' : ''}`;

function createCompact(decoded: DecodedToken): HTMLElement {
  const compact = createElement('code', { class: 'token' });
  for (const [index, { text }] of decoded.parts.entries()) {
    if (index > 0) compact.append(createElement('span', { class: 'dot' }, '.'));
    compact.append(createElement('span', { class: toClass(index, decoded) }, text));
  }
  return compact;
}

function createLegend(decoded: DecodedToken): HTMLElement {
  const items = decoded.parts.map(({ name }, index) => createElement('li', { class: toClass(index, decoded) }, name));
  return createElement('ul', { class: 'legend', 'aria-label': `The parts of the ${decoded.kind}` }, ...items);
}

type Members = Readonly<Record<string, unknown>>;

function createMembers(title: string, members: Members, meanings: Readonly<Record<string, string>>): HTMLElement {
  const rows = Object.entries(members).map(([name, value]) =>
    createElement(
      'tr',
      {},
      createElement('th', { scope: 'row' }, name),
      createElement(
        'td',
        {},
        createElement('code', { class: 'value' }, JSON.stringify(value)),
        createElement('div', { class: 'meaning' }, ...describe(name, value, meanings[name])),
      ),
    ),
  );
  return createElement(
    'table',
    { class: 'members' },
    createElement('caption', {}, title),
    createElement('tbody', {}, ...rows),
  );
}

function describe(name: string, value: unknown, meaning = ''): (HTMLElement | string)[] {
  if (!DATES.has(name) || typeof value !== 'number') return [meaning];
  return name === 'exp' ? [`${toDateText(value)}, `, createExpiry(value)] : [toDateText(value)];
}

/** `expires in …`, kept up to date. */
export function createExpiry(expiresAt: number): HTMLElement {
  return createElement('span', { class: 'expiry', 'data-expires-at': String(expiresAt) }, toExpiryText(expiresAt));
}
