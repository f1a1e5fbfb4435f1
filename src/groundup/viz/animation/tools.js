// Small things that every part uses: elements, numbers as words, arrays out of the page.

const SVG = "http://www.w3.org/2000/svg";

/** An element with attributes and children; a child that is a string becomes text. */
function make(parent, name, attributes = {}, ...children) {
  const drawn = parent === SVG;
  const element = drawn ? document.createElementNS(SVG, name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

const h = (name, attributes, ...children) => make(null, name, attributes, ...children);
const s = (name, attributes, ...children) => make(SVG, name, attributes, ...children);
const byId = (id) => document.getElementById(id);

/** A value in at most six letters, as the diagrams of the library write it. */
function number(value) {
  const size = Math.abs(value);
  let text;
  if (size < 999.5 && Number.isInteger(value)) text = value.toFixed(0);
  else if (size >= 0.0005 && size < 999.5) text = value.toFixed(size < 0.005 ? 3 : size < 9.995 ? 2 : size < 99.95 ? 1 : 0);
  else text = value.toExponential(size >= 1 ? 1 : 0).replace("e+", "e");
  return value < 0 ? text.replace("-", "−") : text;
}

const count = (value) => value.toLocaleString("en");

/** An array of the page: `at(place)` is a value, `part(frame)` where the values of a frame begin. */
function unpack(told) {
  const bytes = Uint8Array.from(atob(told.data), (letter) => letter.charCodeAt(0));
  const values = told.bits === 16 ? new Int16Array(bytes.buffer) : new Int8Array(bytes.buffer);
  const most = 2 ** (told.bits - 1) - 1;
  const strides = told.shape.map((_, k) => told.shape.slice(k + 1).reduce((a, b) => a * b, 1));
  return {
    shape: told.shape,
    scale: told.scale,
    raw: values,
    /** The value as a share of the scale, from -1 to 1. */
    share: (place) => values[place] / most,
    at: (place) => (values[place] / most) * told.scale,
    /** Where the part with these first indices begins. */
    start: (...indices) => indices.reduce((sum, index, k) => sum + index * strides[k], 0),
    size: (dimensions) => (dimensions ? strides[dimensions - 1] : values.length),
  };
}

const sign = (value) => (value > 0 ? "positive" : value < 0 ? "negative" : "zero");

/** Set an attribute if it is not what it was. */
function set(element, name, value) {
  if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}

/** A picture (height, width) of shares from 0 to 1 as ink on paper. */
function inkCanvas(values, height, width, look) {
  const canvas = h("canvas", { width, height, ...look });
  const context = canvas.getContext("2d");
  const image = context.createImageData(width, height);
  for (let k = 0; k < height * width; k += 1) image.data[4 * k + 3] = Math.round(255 * Math.max(0, values(k)));
  context.putImageData(image, 0, 0);
  return canvas;
}

/** Radio buttons in a fieldset: `contents` gives what each shows, `changed` gets the index. */
function choices(fieldset, name, labels, contents, changed) {
  for (const old of fieldset.querySelectorAll("label")) old.remove();
  labels.forEach((label, k) => {
    const input = h("input", { type: "radio", name, value: k, "aria-label": label });
    input.addEventListener("change", () => changed(k));
    fieldset.append(h("label", { class: "choice", title: label }, input, h("span", {}, ...contents(k))));
  });
  return (chosen) => {
    fieldset.querySelectorAll("input").forEach((input, k) => {
      input.checked = k === chosen;
    });
  };
}
