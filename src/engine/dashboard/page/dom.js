// Creates and updates nodes. Data becomes text and attributes, never HTML.

const SVG = 'http://www.w3.org/2000/svg';

/** Event handlers of a node, by event. A node that is updated takes over the handlers of its successor. */
const handlers = Symbol('handlers');
/** Value with which an input was drawn. The user may have changed it since. */
const drawn = Symbol('drawn');

/**
 * Creates an HTML element. `class`, `on` ({event: handler}) and `data` ({key: value}) are special properties, every
 * other property is an attribute: true is an empty attribute, null and false are none. Children are nodes, texts,
 * numbers, null, or arrays of them.
 */
export function element(tag, properties, ...children) {
  const node = fill(document.createElement(tag), properties, children);
  if (holdsValue(node)) node[drawn] = node.value;
  return node;
}

/** Creates an SVG element, like `element`. */
export function svg(tag, attributes, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(node, properties, children) {
  for (const [name, value] of Object.entries(properties ?? {})) {
    if (name === 'on') listen(node, value);
    else if (name === 'data') setData(node, value);
    else if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value === true ? '' : value);
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false)
    .map((child) => (child instanceof Node ? child : String(child))));
  return node;
}

function setData(node, data) {
  for (const [key, value] of Object.entries(data)) {
    if (value !== null && value !== undefined && value !== false) node.dataset[key] = value === true ? '' : value;
  }
}

function listen(node, events) {
  node[handlers] ??= {};
  for (const name of Object.keys(events)) {
    // One listener per event, which calls the handler of the latest drawing.
    if (!(name in node[handlers])) node.addEventListener(name, (event) => node[handlers][name]?.call(node, event));
  }
  for (const name of Object.keys(node[handlers])) node[handlers][name] = events[name];
  Object.assign(node[handlers], events);
}

const holdsValue = (node) => ['INPUT', 'SELECT', 'TEXTAREA'].includes(node.nodeName);

/**
 * Replaces the children of `parent` and keeps the nodes that are equal to new ones, with their focus, selection, scroll
 * position, text of an input and state of `<details>`. Nodes with the same `data-key` correspond to each other, other
 * nodes correspond by tag and order. A node with `data-keep` is not updated as long as the value of `data-keep` is the
 * same. A node with `data-follow` stays scrolled to its end if it was.
 */
export function patch(parent, nodes) {
  const next = nodes.flat(Infinity).filter((node) => node !== null && node !== undefined && node !== false)
    .map((node) => (node instanceof Node ? node : document.createTextNode(String(node))));
  const keyed = new Map();
  const others = [];
  for (const old of parent.childNodes) {
    if (keyOf(old) === undefined) others.push(old);
    else keyed.set(keyOf(old), old);
  }
  const result = next.map((node) => {
    const key = keyOf(node);
    let old = keyed.get(key);
    if (key === undefined) {
      const at = others.findIndex((other) => other.nodeName === node.nodeName);
      if (at >= 0) old = others.splice(0, at + 1)[at];
    }
    if (old?.nodeName !== node.nodeName) return node;
    update(old, node);
    return old;
  });
  const kept = new Set(result);
  for (const old of [...parent.childNodes]) if (!kept.has(old)) old.remove();
  result.forEach((node, at) => {
    if (parent.childNodes[at] !== node) parent.insertBefore(node, parent.childNodes[at] ?? null);
  });
}

const keyOf = (node) => node.dataset?.key;

function update(old, node) {
  if (node.nodeType !== Node.ELEMENT_NODE) {
    if (old.data !== node.data) old.data = node.data;
    return;
  }
  if (node.dataset.keep !== undefined && old.dataset.keep === node.dataset.keep) return;
  for (const name of old.getAttributeNames()) {
    if (!node.hasAttribute(name) && !(name === 'open' && old.nodeName === 'DETAILS')) old.removeAttribute(name);
  }
  for (const name of node.getAttributeNames()) {
    if (name === 'open' && old.nodeName === 'DETAILS') continue;
    if (old.getAttribute(name) !== node.getAttribute(name)) old.setAttribute(name, node.getAttribute(name));
  }
  if (old[handlers] || node[handlers]) listen(old, node[handlers] ?? {});
  const isAtEnd = old.dataset.follow !== undefined && old.scrollHeight - old.scrollTop - old.clientHeight < 8;
  if (old.nodeName !== 'TEXTAREA') patch(old, [...node.childNodes]);
  if (isAtEnd) old.scrollTop = old.scrollHeight;
  if (!holdsValue(old)) return;
  if (old.type === 'checkbox' || old.type === 'radio') {
    old.checked = node.checked;
    old.indeterminate = node.indeterminate;
  } else if (node[drawn] !== old[drawn] && old !== document.activeElement) {
    old.value = node.value;
  }
  old[drawn] = node[drawn];
}
