/** Elements of the page, made in one expression. */

type Child = Node | string | null | undefined | false;
type Listener = (event: never) => void;
export type Attributes = Record<string, string | number | boolean | Listener | null | undefined>;

const SVG = "http://www.w3.org/2000/svg";

/** An element; attributes whose name begins with "on" are listeners, `false` and null leave an attribute out. */
export function h<K extends keyof HTMLElementTagNameMap>(
  name: K,
  attributes: Attributes = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  return fill(document.createElement(name), attributes, children);
}

export function svg<K extends keyof SVGElementTagNameMap>(
  name: K,
  attributes: Attributes = {},
  ...children: Child[]
): SVGElementTagNameMap[K] {
  return fill(document.createElementNS(SVG, name), attributes, children);
}

function fill<E extends Element>(element: E, attributes: Attributes, children: Child[]): E {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name.slice(2), value as EventListener);
    else if (value !== false && value !== null && value !== undefined) {
      element.setAttribute(name, value === true ? "" : String(value));
    }
  }
  element.append(...children.filter((child): child is Node | string => Boolean(child)));
  return element;
}

/** Put other children into an element. */
export function replace(element: Element, ...children: Child[]): void {
  element.replaceChildren(...children.filter((child): child is Node | string => Boolean(child)));
}

/** A colour of the stylesheet in the theme of now, as rgb(...), for what is drawn on a canvas. */
export function colour(name: string): string {
  const probe = document.getElementById("live")!; // never seen
  probe.style.color = `var(--${name})`;
  return getComputedStyle(probe).color;
}

/** Call `draw` now and whenever the element changes its width. */
export function onResize(element: Element, draw: () => void): void {
  new ResizeObserver(draw).observe(element);
}

/** Let the browser save a file. */
export function save(blob: Blob, name: string): void {
  const url = URL.createObjectURL(blob);
  h("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
