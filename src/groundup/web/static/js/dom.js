// Building the page: elements, icons, announcements. Text is only ever set as text.

const SVG = "http://www.w3.org/2000/svg";

/**
 * Make an element: `h("button", { class: "icon", onclick: f, "aria-label": "Close" }, icon("x"))`.
 * A property that starts with "on" is a listener, null and false leave an attribute out, true sets
 * an empty one. Children are nodes, texts, or lists of them; null and false are left out.
 */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "class") element.className = value;
    else if (name === "dataset") Object.assign(element.dataset, value);
    else if (name === "value" || name === "checked" || name === "indeterminate") element[name] = value;
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...flat(children));
  return element;
}

/** Make an SVG element. */
export function s(tag, properties = {}, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value !== null && value !== undefined) element.setAttribute(name, String(value));
  }
  element.append(...flat(children));
  return element;
}

function flat(children) {
  return children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false);
}

/** Replace all children. */
export function fill(element, ...children) {
  element.replaceChildren(...flat(children));
  return element;
}

const PATHS = {
  sun: "M12 7a5 5 0 1 0 0 10 5 5 0 0 0 0-10M12 1.5v2M12 20.5v2M1.5 12h2M20.5 12h2M4.6 4.6 6 6M18 18l1.4 1.4M4.6 19.4 6 18M18 6l1.4-1.4",
  moon: "M20 14.5A8.5 8.5 0 0 1 9.5 4 8.5 8.5 0 1 0 20 14.5Z",
  system: "M3 5h18v11H3zM9 20h6M12 16v4",
  question: "M9 9a3 3 0 1 1 4.2 2.75c-.8.4-1.2.9-1.2 1.75M12 17v.01M12 2.5a9.5 9.5 0 1 0 0 19 9.5 9.5 0 0 0 0-19",
  close: "M6 6l12 12M18 6 6 18",
  expand: "M14 4h6v6M10 20H4v-6M20 4l-7 7M4 20l7-7",
  shrink: "M20 10h-6V4M4 14h6v6M14 10l7-7M10 14l-7 7",
  reset: "M4 12a8 8 0 1 0 2.5-5.8M4 4v4.5h4.5",
  table: "M3 5h18v14H3zM3 10h18M3 14.5h18M9 5v14",
  log: "M4 4v16h16M5 17c9 0 9-11 15-11",
  right: "M9 5l7 7-7 7",
  left: "M15 5l-7 7 7 7",
  up: "M6 15l6-6 6 6",
  down: "M6 9l6 6 6-6",
  running: "M12 12m-5 0a5 5 0 1 0 10 0a5 5 0 1 0-10 0",
  done: "M4.5 12.5l5 5 10-11",
  failed: "M6 6l12 12M18 6 6 18",
  stopped: "M6.5 6.5h11v11h-11z",
  lost: "M12 3.5 22 20.5H2zM12 10v4.5M12 17.6v.01",
  queued: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18M12 7v5l3.5 2",
  part: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18M12 3v18",
  open: "M5 12h14",
  undecided: "M8.5 8.5a3.5 3.5 0 1 1 5 3.15c-1 .5-1.5 1.1-1.5 2.35M12 18.5v.01",
  columns: "M4 4h16v16H4zM9.5 4v16M14.5 4v16",
};

/** An icon that says nothing by itself: the button or text around it has the words. */
export function icon(name) {
  const solid = name === "running" || name === "stopped" ? { fill: "currentColor" } : {};
  return s("svg", { class: "glyph", viewBox: "0 0 24 24", "aria-hidden": "true" }, s("path", { d: PATHS[name], ...solid }));
}

/** A button with an icon; its name is shown as a tooltip and read aloud. */
export function iconButton(name, label, onclick, properties = {}) {
  return h("button", { type: "button", class: "icon", "aria-label": label, title: label, onclick, ...properties }, icon(name));
}

/** Change the icon and the name of such a button. */
export function setIcon(button, name, label) {
  fill(button, icon(name));
  button.setAttribute("aria-label", label);
  button.title = label;
}

/** One of several: radio buttons that look like one control. */
export function choice(name, label, options, chosen, onchoose) {
  return h(
    "div",
    { class: "choice", role: "radiogroup", "aria-label": label },
    options.map(([value, text, disabled, title]) =>
      h(
        "label",
        { title },
        h("input", { type: "radio", name, value, checked: value === chosen, disabled, onchange: () => onchoose(value) }),
        h("span", {}, text),
      ),
    ),
  );
}

/** A dialog with a title and a close button, shown at once; it is removed when it closes. */
export function dialog(title, ...content) {
  const element = h(
    "dialog",
    { "aria-label": title },
    h("header", {}, h("h2", {}, title), iconButton("close", "Close", () => element.close())),
    h("div", { class: "body" }, content),
  );
  element.addEventListener("close", () => element.remove());
  element.addEventListener("click", (event) => {
    if (event.target === element) element.close();
  });
  document.body.append(element);
  element.showModal();
  return element;
}

/** Say something to a screen reader. */
export function announce(text) {
  document.getElementById("announcer").textContent = text;
}

/** Call at most once a frame. */
export function eachFrame(callback) {
  let waiting = false;
  return () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      callback();
    });
  };
}

/** Call when there was no further call for some milliseconds. */
export function afterPause(milliseconds, callback) {
  let timer = 0;
  return (...values) => {
    clearTimeout(timer);
    timer = setTimeout(() => callback(...values), milliseconds);
  };
}

/** Call at most once in some milliseconds; the last call is not lost. */
export function atMost(milliseconds, callback) {
  let timer = 0;
  let last = -Infinity;
  return () => {
    if (timer) return;
    const wait = Math.max(0, last + milliseconds - performance.now());
    timer = setTimeout(() => {
      timer = 0;
      last = performance.now();
      callback();
    }, wait);
  };
}
