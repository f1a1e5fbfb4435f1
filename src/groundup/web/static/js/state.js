// What the reader has chosen. Everything that makes up a view stands in the address, so that a view
// can be kept as a bookmark and the back button works; tastes (theme, columns) are kept in the
// browser. Listeners are called once for all changes of a moment.

export const VIEWS = ["runs", "curves", "layers", "figures", "system", "claims", "compare", "run"];

const DEFAULTS = {
  view: "runs",
  run: null,
  selected: [],
  text: "",
  experiment: "",
  status: "",
  tag: "",
  sort: "created",
  down: true,
  x: "step",
  logX: false,
  logY: false,
  smoothing: 0,
  range: null,
  metric: "",
  layerRun: null,
  kind: null,
};

export const state = { ...DEFAULTS };
const listeners = new Set();
let changed = null;

/** Change some values; `visit` makes a new entry in the browser's history. */
export function update(values, { visit = false } = {}) {
  const different = Object.keys(values).filter((key) => !same(state[key], values[key]));
  if (!different.length) return;
  Object.assign(state, values);
  const address = `#${write()}`;
  if (address !== location.hash) history[visit ? "pushState" : "replaceState"](null, "", address);
  notify(different);
}

/** Call with the set of keys that changed; returns a function that ends it. */
export function subscribe(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

function notify(keys) {
  if (changed) {
    keys.forEach((key) => changed.add(key));
    return;
  }
  changed = new Set(keys);
  queueMicrotask(() => {
    const found = changed;
    changed = null;
    for (const listener of [...listeners]) listener(found);
  });
}

function same(a, b) {
  return a === b || JSON.stringify(a) === JSON.stringify(b);
}

/** The address of a view with the present choices; for links. */
export function address(values) {
  return `#${write({ ...state, ...values })}`;
}

function write(values = state) {
  const found = new URLSearchParams();
  for (const [key, value] of Object.entries(values)) {
    if (key === "view" || key === "run" || same(value, DEFAULTS[key])) continue;
    if (key === "selected") found.set("runs", value.join(","));
    else if (key === "range") found.set("range", value.join("..."));
    else if (typeof value === "boolean") found.set(key, value ? "1" : "0");
    else found.set(key, String(value));
  }
  const path = values.view === "run" ? `/run/${values.run}` : `/${values.view}`;
  const query = found.toString().replaceAll("%2C", ",");
  return query ? `${path}?${query}` : path;
}

/** The choices that stand in an address; what makes no sense is left out. */
export function read(hash) {
  const [path, query = ""] = hash.replace(/^#\/?/, "").split("?", 2);
  const [view, run = null] = path.split("/");
  const values = { ...DEFAULTS };
  if (VIEWS.includes(view) && (view !== "run" || run)) Object.assign(values, { view, run });
  const found = new URLSearchParams(query);
  for (const key of ["text", "experiment", "status", "tag", "sort", "metric", "layerRun", "kind"]) {
    if (found.has(key)) values[key] = found.get(key).slice(0, 300);
  }
  for (const key of ["down", "logX", "logY"]) if (found.has(key)) values[key] = found.get(key) === "1";
  if (["step", "time", "epoch"].includes(found.get("x"))) values.x = found.get("x");
  const smoothing = Number(found.get("smoothing"));
  if (smoothing >= 0 && smoothing <= 1) values.smoothing = smoothing;
  const ids = (found.get("runs") ?? "").split(",").filter((id) => /^[\w.-]{1,200}$/.test(id));
  values.selected = [...new Set(ids)].slice(0, 100);
  const range = (found.get("range") ?? "").split("...").map(Number);
  if (range.length === 2 && range.every(Number.isFinite) && range[0] < range[1]) values.range = range;
  return values;
}

/** Follow the address: at the start, and when the reader goes back or edits it. */
export function follow() {
  Object.assign(state, read(location.hash));
  const onchange = () => {
    const values = read(location.hash);
    const different = Object.keys(values).filter((key) => !same(state[key], values[key]));
    Object.assign(state, values);
    if (different.length) notify(different);
  };
  addEventListener("popstate", onchange);
  addEventListener("hashchange", onchange);
}

// Tastes

/** A taste that is kept in this browser. */
export function taste(name, fallback) {
  try {
    const text = localStorage.getItem(`groundup.${name}`);
    return text === null ? fallback : JSON.parse(text);
  } catch {
    return fallback;
  }
}

/** Keep a taste; where storage is blocked it lasts as long as the page. */
export function keep(name, value) {
  try {
    localStorage.setItem(`groundup.${name}`, JSON.stringify(value));
  } catch {
    // nothing to be done
  }
}
