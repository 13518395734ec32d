// Builds the page's elements. Text becomes text nodes only: nothing here parses HTML, so no name or payload of a job
// can become markup.

/**
 * @typedef {Node | string | number | false | null | undefined} Piece
 * @typedef {Piece | Piece[] | Piece[][] | Piece[][][]} Child
 * @typedef {string | number | boolean | null | undefined | Record<string, string> | ((event: any) => void)} Value
 * @typedef {Record<string, Value>} Attributes
 */

const SVG = "http://www.w3.org/2000/svg";

/**
 * Make an HTML element.
 *
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Attributes | null} [attributes] a function is a listener (`onclick`), `true` an attribute without a value;
 *     one that is false, null or undefined is left out. `style` is an object of CSS properties.
 * @param {...Child} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function h(tag, attributes, ...children) {
  const element = document.createElement(tag);
  assign(element, attributes ?? {});
  element.append(...nodesOf(children));
  return element;
}

/**
 * Make an SVG element, with the same arguments as `h`.
 *
 * @template {keyof SVGElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Attributes | null} [attributes]
 * @param {...Child} children
 * @returns {SVGElementTagNameMap[Tag]}
 */
export function svg(tag, attributes, ...children) {
  const element = /** @type {SVGElementTagNameMap[Tag]} */ (document.createElementNS(SVG, tag));
  assign(element, attributes ?? {});
  element.append(...nodesOf(children));
  return element;
}

/**
 * Set attributes of an element; the same value again does nothing.
 *
 * @param {Element} element
 * @param {Attributes} attributes as of `h`
 */
export function assign(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") {
      element.addEventListener(name.slice(2), value);
    } else if (name === "style" && value !== null && typeof value === "object") {
      // The policy of the page forbids the attribute `style`, and allows the properties.
      for (const [property, text] of Object.entries(value)) {
        /** @type {HTMLElement | SVGElement} */ (element).style.setProperty(property, text);
      }
    } else if (value === false || value === null || value === undefined) {
      element.removeAttribute(name);
    } else {
      const text = value === true ? "" : String(value);
      if (element.getAttribute(name) !== text) element.setAttribute(name, text);
    }
  }
}

/**
 * Put children into a node in place of those that it has.
 *
 * @template {Element | DocumentFragment} Parent
 * @param {Parent} node
 * @param {...Child} children
 * @returns {Parent} the node
 */
export function replace(node, ...children) {
  node.replaceChildren(...nodesOf(children));
  return node;
}

/**
 * Set the text of a node, if it differs.
 *
 * @param {Node} node
 * @param {string | number} text
 */
export function setText(node, text) {
  if (node.textContent !== String(text)) node.textContent = String(text);
}

/**
 * @param {Child[]} children
 * @returns {(Node | string)[]}
 */
function nodesOf(children) {
  const pieces = /** @type {Piece[]} */ (children.flat(4));
  return pieces.flatMap((piece) => {
    if (piece === false || piece === null || piece === undefined) return [];
    return [typeof piece === "number" ? String(piece) : piece];
  });
}
