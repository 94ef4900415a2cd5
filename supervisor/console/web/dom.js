/* SPDX-License-Identifier: MIT */
/*
 * Building and patching the document. Text goes in as text nodes and attributes alone: nothing that
 * came from a server is ever parsed as markup. What did not change is not touched, so that focus,
 * selection and live regions are left in peace once a second.
 */
'use strict';

const SVG = 'http://www.w3.org/2000/svg';

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {}))
    setAttribute(node, name, value);
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

/** Set or, with null, false or undefined, take away one attribute; functions are listeners. */
export function setAttribute(node, name, value) {
  if (typeof value === 'function')
    node.addEventListener(name, value);
  else if (value === null || value === undefined || value === false)
    node.removeAttribute(name);
  else if (node.getAttribute(name) !== String(value))
    node.setAttribute(name, value);
}

/** An HTML element. Children are nodes or strings. */
export function el(tag, attributes, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** An SVG element. */
export function svg(tag, attributes, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

export function setText(node, text) {
  if (node.textContent !== String(text))
    node.textContent = text;
}

/**
 * Make the children of parent stand for items, in order. Nodes are kept by key.
 * @param {Element} parent
 * @param {Array} items
 * @param {function(*): (string|number)} keyOf
 * @param {function(*): Element} create
 * @param {function(Element, *): void} [update]
 */
export function reconcile(parent, items, keyOf, create, update) {
  const old = new Map([...parent.children].map((node) => [node.dataset.key, node]));
  let place = parent.firstElementChild;
  for (const item of items) {
    const key = String(keyOf(item));
    let node = old.get(key);
    old.delete(key);
    if (!node) {
      node = create(item);
      node.dataset.key = key;
    }
    if (node === place)
      place = place.nextElementSibling;
    else
      parent.insertBefore(node, place);
    if (update)
      update(node, item);
  }
  for (const node of old.values())
    node.remove();
}

/** Replace all children, but only when the signature says that they are to look otherwise. */
export function replaceWhen(parent, signature, build) {
  if (parent.dataset.signature === signature)
    return;
  parent.dataset.signature = signature;
  parent.replaceChildren(...build());
}

/** What a view shows while there is nothing to show. */
export function empty(text) {
  return el('p', { class: 'empty' }, text);
}

const probe = el('span', { hidden: true });

/** The colour a custom property has in the theme of this moment, for canvases. */
export function colour(name) {
  if (!probe.isConnected)
    document.body.append(probe);
  probe.style.color = `var(${name})`;
  return getComputedStyle(probe).color;
}
