/*
 * Texts of agents get into the page only as text nodes, never as HTML. The header
 * Content-Security-Policy (loop/page/page-endpoint.ts) makes the browser enforce this.
 */

type Child = Node | string;

/** The element of the page with this id. */
export function byId<Kind extends HTMLElement>(id: string, kind: new () => Kind): Kind {
  const found = document.getElementById(id);
  if (!(found instanceof kind)) throw new Error(`no #${id}`);
  return found;
}

/** A new element with a class, which may be empty, and children. */
export function element<Name extends keyof HTMLElementTagNameMap>(
  name: Name,
  className = '',
  ...children: Child[]
): HTMLElementTagNameMap[Name] {
  const created = document.createElement(name);
  if (className !== '') created.className = className;
  created.append(...children);
  return created;
}

/**
 * A text from an agent. `bdi` isolates it: characters in it that change the direction of text cannot
 * reorder what stands beside it.
 */
export function foreign(text: string): HTMLElement {
  return element('bdi', '', text);
}

/** A button that calls `onClick`. */
export function button(className: string, onClick: () => void, ...children: Child[]) {
  const created = element('button', className, ...children);
  created.type = 'button';
  created.addEventListener('click', onClick);
  return created;
}

/** Sets a text, without touching the page if it is the same. */
export function setText(target: Node, text: string): void {
  if (target.textContent !== text) target.textContent = text;
}

/** Sets the class of an element, without touching the page if it is the same. */
export function setClass(target: HTMLElement, className: string): void {
  if (target.className !== className) target.className = className;
}

/** A time as the browser knows it, with its full form as a tooltip. */
export function timeElement(iso: string, text: string, title: string): HTMLTimeElement {
  const created = element('time', '', text);
  created.dateTime = iso;
  created.title = title;
  return created;
}

/**
 * Gives an element other children, and replaces only nodes that look different. A selection and the focus
 * elsewhere stay.
 */
export function replaceIfChanged(target: HTMLElement, ...children: Child[]): void {
  replaceDifferent(target, element('div', '', ...children));
}

function replaceDifferent(target: Node, wanted: Node): void {
  const old = [...target.childNodes];
  const created = [...wanted.childNodes];
  for (const [index, node] of created.entries()) {
    const before = old[index];
    if (before === undefined) target.appendChild(node);
    else if (before.isEqualNode(node)) continue;
    else if (before.cloneNode().isEqualNode(node.cloneNode())) replaceDifferent(before, node);
    else before.replaceWith(node);
  }
  for (const node of old.slice(created.length)) node.remove();
}
