// Keys for everything that is done often, and the page that tells of them. Single keys can be
// switched off, for those whose speech input or unsteady hands would set them off (WCAG 2.1.4).

import { dialog, h } from "./dom.js";
import { keep, taste } from "./state.js";

const KEYS = [
  ["Anywhere", [
    ["1 … 7", "runs, curves, layers, figures, system, claims, compare"],
    ["/", "find runs"],
    ["b", "show or hide the list at the side"],
    ["t", "light, dark, or as the system"],
    ["?", "this page"],
  ]],
  ["Table of runs", [
    ["j  k", "next, previous run (arrow keys too)"],
    ["Space", "select; with Shift and the mouse, all in between"],
    ["Enter", "all about the run"],
  ]],
  ["Curves", [
    ["[  ]", "less, more smoothing"],
    ["x", "step, time, epoch"],
    ["l", "logarithmic values"],
    ["0", "the whole range"],
  ]],
  ["A chart that has the focus", [
    ["← →", "values along the curve; Page Up and Down go faster"],
    ["Shift ← →", "move the range"],
    ["+  −", "zoom in, out"],
    ["Home", "the whole range"],
    ["Enter", "enlarge"],
  ]],
  ["Mouse and touch on a chart", [
    ["Drag", "zoom to a range; double click shows everything"],
    ["Ctrl wheel", "zoom; on a touch screen pinch"],
    ["Shift drag", "move the range; on a touch screen one finger"],
  ]],
];

/** Whether single keys do something. */
export const enabled = () => taste("keys", true);

/** Call an action for a key that is pressed outside of a field. */
export function listen(actions) {
  addEventListener("keydown", (event) => {
    if (!enabled() || event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    const target = event.target;
    if (target.closest?.("dialog, textarea, select, input:not([type=checkbox]):not([type=radio]):not([type=range])")) return;
    const action = actions[event.key];
    if (!action) return;
    event.preventDefault();
    action();
  });
}

/** The page that tells of the keys. */
export function help(about) {
  dialog(
    "Keys and gestures",
    h(
      "div",
      { class: "keys" },
      KEYS.map(([title, keys]) =>
        h(
          "section",
          {},
          h("h3", {}, title),
          h("dl", {}, keys.map(([key, words]) => [h("dt", {}, key.split(/ {2,}/).map((one) => [h("kbd", {}, one), " "])), h("dd", {}, words)])),
        ),
      ),
    ),
    h("p", {}, h("label", { class: "check" }, h("input", { type: "checkbox", checked: enabled(), onchange: (event) => keep("keys", event.target.checked) }), "Single keys do something")),
    about ? h("p", { class: "quiet" }, `groundup ${about.version}, runs in ${about.folder}`) : null,
  );
}
