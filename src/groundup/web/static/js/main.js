// The page as a whole: tabs, the list at the side, the view that is shown, the state of the
// connection.

import * as api from "./api.js";
import { fill, h, setIcon } from "./dom.js";
import * as live from "./live.js";
import { theme } from "./palette.js";
import * as list from "./runs.js";
import { help, listen } from "./shortcuts.js";
import { Sidebar } from "./sidebar.js";
import { address, follow, keep, state, subscribe, taste, update } from "./state.js";
import { changeSmoothing } from "./toolbar.js";
import * as claims from "./views/claims.js";
import * as compare from "./views/compare.js";
import * as curves from "./views/curves.js";
import * as figures from "./views/figures.js";
import * as layers from "./views/layers.js";
import * as run from "./views/run.js";
import * as runs from "./views/runs.js";
import * as system from "./views/system.js";

const VIEWS = { runs, curves, layers, figures, system, claims, compare, run };
const TABS = [
  ["runs", "Runs"],
  ["curves", "Curves"],
  ["layers", "Layers"],
  ["figures", "Figures"],
  ["system", "System"],
  ["claims", "Claims"],
  ["compare", "Compare"],
];
const WITH_LIST = new Set(["curves", "layers", "figures", "system", "claims", "compare"]);

const main = document.getElementById("main");
const banner = document.getElementById("banner");
const connection = document.getElementById("connection");
const tabs = document.getElementById("tabs");
const frame = document.querySelector(".frame");
const sidebar = new Sidebar(document.getElementById("sidebar"));
let view = null;
let shown = null;
let about = null;
let lostAt = null;

function drawTabs() {
  const links = TABS.map(([name, text]) => h("a", { href: address({ view: name }), "aria-current": state.view === name ? "page" : state.view === "run" && name === "runs" ? "true" : null }, text));
  const focused = [...tabs.children].indexOf(document.activeElement);
  fill(tabs, links);
  if (focused >= 0) tabs.children[focused].focus();
  const current = tabs.querySelector("[aria-current]");
  if (current) tabs.scrollLeft = current.offsetLeft - (tabs.clientWidth - current.offsetWidth) / 2;
}

function show(keys) {
  drawTabs();
  if (state.view === "curves" && !state.selected.length && list.progress.state === "ready") selectSome();
  const place = state.view === "run" ? `run ${state.run}` : state.view;
  document.title = `${state.view === "run" ? state.run : TABS.find(([name]) => name === state.view)[1]} · groundup`;
  frame.classList.toggle("with-sidebar", WITH_LIST.has(state.view) && taste("sidebar", true));
  sidebar.update();
  if (shown === place) {
    view.update(keys);
    return;
  }
  const first = shown === null;
  view?.destroy();
  shown = place;
  const root = h("div");
  fill(main, root);
  view = VIEWS[state.view].create(root);
  scrollTo(0, 0);
  if (!first) main.focus({ preventScroll: true });
}

/** Who opens the curves without a choice wants to see what is running, or what ran last. */
function selectSome() {
  const newest = [...list.runs.values()].sort((a, b) => b.created - a.created);
  const running = newest.filter((one) => one.status === "running");
  const some = (running.length ? running : newest).slice(0, 3);
  if (some.length) update({ selected: some.map((one) => one.id) });
}

// Connection

function drawConnection() {
  const words = {
    live: ["Live", "New points appear as they are logged"],
    connecting: ["Connecting …", ""],
    asleep: ["Paused", ""],
    lost: ["No connection", "Trying again"],
  }[live.connection];
  connection.dataset.state = live.connection;
  connection.title = words[1];
  fill(connection, words[0]);
  if (live.connection === "lost") {
    lostAt ??= new Date();
    warn(`The dashboard's server does not answer. What you see is of ${lostAt.toLocaleTimeString()}; trying again …`);
  } else if (live.connection === "live") {
    lostAt = null;
    warn(null);
  }
}

function warn(words) {
  banner.hidden = !words;
  if (banner.textContent !== (words ?? "")) banner.textContent = words ?? "";
}

async function load() {
  try {
    await list.load();
    about ??= await api.about();
    if (live.connection === "live") warn(null);
  } catch (error) {
    warn(`${error.message} Trying again …`);
    setTimeout(load, 3000);
  }
}

live.onLive((event) => {
  if (event.kind === "connection") drawConnection();
  if (event.kind === "connection" && event.connection === "lost" && list.progress.state === "loading") load();
  if (event.kind === "hello" && !event.resumed) load();
  if (event.kind === "change") list.merge(event.runs, event.gone);
  if (event.kind === "hello" || event.kind === "change") warn(event.trouble ? `${event.trouble} Trying again …` : null);
});

list.onRuns((ids) => {
  if (state.view === "curves" && !state.selected.length) selectSome();
  sidebar.update();
  view?.runsChanged(ids);
});

subscribe(show);

// Theme

const themeButton = document.getElementById("theme");
const THEMES = { system: "As the system", light: "Light", dark: "Dark" };

function chosenTheme() {
  return document.documentElement.dataset.theme ?? "system";
}

function drawTheme() {
  const chosen = chosenTheme();
  setIcon(themeButton, { system: "system", light: "sun", dark: "moon" }[chosen], `Theme: ${THEMES[chosen].toLowerCase()}`);
}

function nextTheme() {
  // The first press always changes something on the screen.
  const opposite = matchMedia("(prefers-color-scheme: dark)").matches ? "light" : "dark";
  const order = ["system", opposite, opposite === "dark" ? "light" : "dark"];
  const next = order[(order.indexOf(chosenTheme()) + 1) % 3];
  if (next === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = next;
  keep("theme", next);
  repaint();
}

let painted = theme();
function repaint() {
  drawTheme();
  if (painted === theme()) return;
  painted = theme();
  sidebar.repaint();
  view?.repaint();
}
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", repaint);
themeButton.addEventListener("click", nextTheme);

// Keys

function toggleSidebar() {
  keep("sidebar", !taste("sidebar", true));
  frame.classList.toggle("with-sidebar", WITH_LIST.has(state.view) && taste("sidebar", true));
}

const helpButton = document.getElementById("help");
setIcon(helpButton, "question", "Keys and gestures");
helpButton.addEventListener("click", () => help(about));
const axes = ["step", "time", "epoch"];
listen({
  ...Object.fromEntries(TABS.map(([name], i) => [String(i + 1), () => update({ view: name }, { visit: true })])),
  "/": () => (document.getElementById("search") ?? document.getElementById("side-search"))?.focus(),
  "?": () => help(about),
  b: toggleSidebar,
  t: nextTheme,
  j: () => view?.move?.(1),
  k: () => view?.move?.(-1),
  "[": () => changeSmoothing(-1),
  "]": () => changeSmoothing(1),
  x: () => update({ x: axes[(axes.indexOf(state.x) + 1) % 3], range: null }),
  l: () => update({ logY: !state.logY }),
  0: () => update({ range: null }),
});

follow();
drawTheme();
drawConnection();
show(new Set());
live.open();
