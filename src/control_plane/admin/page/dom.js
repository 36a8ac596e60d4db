/**
 * Elements: makes them and changes them, without ever reading markup out of a text. What comes from the network becomes
 * text and nothing else.
 */

const SVG = "http://www.w3.org/2000/svg";

/**
 * Makes an HTML element. A child that is a string becomes text; null is left out.
 * @param {string} tag
 * @param {Record<string, unknown>} [attributes] `on…` are listeners; false and null are left out.
 * @param {...(Node|string|null)} children
 */
export function el(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** Makes an SVG element, in the same way. */
export function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else set(element, name, value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

/** Sets an attribute if it changes; false and null remove it. What does not change costs the browser nothing. */
export function set(element, name, value) {
  if (value === null || value === undefined || value === false) element.removeAttribute(name);
  else if (element.getAttribute(name) !== String(value)) element.setAttribute(name, String(value));
}

/** Sets the text of an element if it changes. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Finds an element of the page by its id. */
export function byId(id) {
  return document.getElementById(id);
}

/**
 * Brings the children of an element in line with a list: what is there is kept and updated, so that focus and selection
 * stay where they are. Items of the same key are told apart by their order.
 * @template T
 * @param {Element} parent
 * @param {T[]} items
 * @param {{key: (item: T) => string, make: (item: T) => Element, update?: (element: Element, item: T) => void}} how
 */
export function keep(parent, items, { key, make, update }) {
  const known = new Map([...parent.children].map((child) => [child.dataset.key, child]));
  const times = new Map();
  let place = parent.firstElementChild;
  for (const item of items) {
    const before = times.get(key(item)) ?? 0;
    times.set(key(item), before + 1);
    const name = before === 0 ? key(item) : `${key(item)}\n${before}`;
    let child = known.get(name);
    known.delete(name);
    if (!child) {
      child = make(item);
      child.dataset.key = name;
    }
    update?.(child, item);
    if (child === place) place = place.nextElementSibling;
    else parent.insertBefore(child, place);
  }
  for (const gone of known.values()) gone.remove();
}
