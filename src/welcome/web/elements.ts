/** What an element may be made of; texts stay texts. */
export type Child = Node | string;

/** An element with attributes and children. No markup is ever parsed. */
export function createElement<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  attributes: Readonly<Record<string, string>> = {},
  ...children: readonly Child[]
): HTMLElementTagNameMap[Tag] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/**
 * The one element that a selector names.
 * @throws TypeError where the page has none of that kind
 */
export function findElement<Kind extends HTMLElement>(kind: new () => Kind, selector: string): Kind {
  const element = document.querySelector(selector);
  if (!(element instanceof kind)) throw new TypeError(`the page has no ${selector}`);
  return element;
}
