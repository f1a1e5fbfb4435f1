// All runs as a table: filter, sort by any column, choose columns, select many.

import { afterPause, dialog, fill, h, icon } from "../dom.js";
import { count, duration, moment, number, plural, setting } from "../format.js";
import { swatch } from "../palette.js";
import { empty, runLink, status, tags, trouble } from "../parts.js";
import * as list from "../runs.js";
import { keep, state, taste, update } from "../state.js";

const FIXED = [
  ["status", "Status", (run) => status(run)],
  ["seed", "Seed", (run) => (list.isGroup(run) ? h("span", { class: "quiet", title: "A group; its values are the means over its runs" }, plural(list.parts(run.id).length, "run")) : run.seed === null ? "–" : String(run.seed)), "number nowrap"],
  ["created", "Created", (run) => h("time", { datetime: new Date(run.created * 1000).toISOString(), title: new Date(run.created * 1000).toLocaleString() }, moment(run.created)), "nowrap"],
  ["seconds", "Duration", (run) => duration(run.seconds), "number nowrap"],
  ["step", "Step", (run) => count(run.step), "number"],
  ["tags", "Tags", (run) => tags(run)],
];
const PAGE = 200;
const METRICS_AT_FIRST = 4;

/** Which values tell most of how a run went: of unseen data, accuracies before losses. */
function telling(name) {
  const loss = /loss$/.test(name);
  if (/(^|[_/])(validation|val|test|eval)_/.test(name)) return loss ? 1 : 0;
  return loss ? 2 : 3;
}

export function create(root) {
  const search = h("input", {
    type: "search",
    id: "search",
    placeholder: "Find: words, tag, lr=0.01 …",
    "aria-label": "Find runs by name, tag, note or setting",
    "aria-keyshortcuts": "/",
    maxlength: "200",
    oninput: afterPause(120, () => update({ text: search.value })),
  });
  const filters = h("span", { class: "field" });
  const amount = h("span", { class: "quiet", role: "status" });
  const clear = h("button", { type: "button", onclick: () => update({ text: "", experiment: "", status: "", tag: "" }) }, "Clear filters");
  const columnsButton = h("button", { type: "button", onclick: () => chooseColumns() }, "Columns …");
  const actions = h("div", { class: "selection", role: "group", "aria-label": "Selected runs" });
  const place = h("div");
  fill(
    root,
    h("h1", { class: "unseen" }, "Runs"),
    h("div", { class: "toolbar" }, h("div", { class: "grow" }, search), filters, clear, amount, columnsButton),
    actions,
    place,
  );
  let shown = PAGE;
  let anchor = null;
  let rows = new Map();
  let frame = null;

  function columns() {
    const chosen = taste("columns", null);
    if (chosen) return chosen;
    const metrics = list.metricNames(list.visible().slice(0, 100)).filter((name) => !/(^|[_/])lr$/.test(name));
    return metrics.sort((a, b) => telling(a) - telling(b)).slice(0, METRICS_AT_FIRST).map((name) => `metric:${name}`);
  }

  function chooser(label, key, options) {
    return h(
      "select",
      { "aria-label": label, onchange: (event) => update({ [key]: event.target.value }) },
      h("option", { value: "" }, label),
      options.map((value) => h("option", { value, selected: state[key] === value }, value)),
    );
  }

  function drawFilters() {
    const options = [list.values("experiment"), list.values("status"), list.values("tags")];
    const key = JSON.stringify([options, state.experiment, state.status, state.tag]);
    if (filters.dataset.key === key) return;
    filters.dataset.key = key;
    const focused = [...filters.children].indexOf(document.activeElement);
    fill(
      filters,
      chooser("Any experiment", "experiment", options[0]),
      chooser("Any status", "status", options[1]),
      options[2].length ? chooser("Any tag", "tag", options[2]) : null,
    );
    if (focused >= 0) filters.children[focused]?.focus();
  }

  function heading(key, text, kind = "") {
    const sorted = state.sort === key;
    return h(
      "th",
      { scope: "col", class: kind, "aria-sort": sorted ? (state.down ? "descending" : "ascending") : "none" },
      h(
        "button",
        { type: "button", class: "plain sort", dataset: { sort: key }, onclick: () => update({ sort: key, down: sorted ? !state.down : kind.includes("number") || key === "created" }) },
        text,
        sorted ? icon(state.down ? "down" : "up") : null,
      ),
    );
  }

  function drawHead(extra, visible) {
    const all = visible.length > 0 && visible.every((run) => state.selected.includes(run.id));
    const some = visible.some((run) => state.selected.includes(run.id));
    const box = h("input", {
      type: "checkbox",
      "aria-label": "Select all runs that are listed",
      checked: all,
      indeterminate: some && !all,
      onchange: () => list.select(visible.map((run) => run.id), box.checked),
    });
    return h(
      "tr",
      {},
      h("th", { scope: "col" }, box),
      heading("id", "Run"),
      FIXED.map(([key, text, , kind]) => heading(key, text, kind)),
      extra.map((key) => heading(key, key.slice(key.indexOf(":") + 1), key.startsWith("metric:") ? "number" : "")),
    );
  }

  function drawRow(run, extra, on, slot) {
    const box = h("input", {
      type: "checkbox",
      "aria-label": `Select ${list.shortName(run)}`,
      checked: on,
      onclick: (event) => pick(run.id, event.target.checked, event.shiftKey),
    });
    const cells = FIXED.map(([, , value, kind]) => h("td", { class: kind }, value(run)));
    const more = extra.map((key) => {
      const value = list.column(key)(run);
      return key.startsWith("metric:") ? h("td", { class: "number" }, value === undefined ? "" : value === null ? "NaN" : number(value)) : h("td", { class: "nowrap cut", title: setting(value) }, value === undefined ? "" : setting(value));
    });
    return h(
      "tr",
      { dataset: { run: run.id }, class: on ? "chosen" : null },
      h("td", {}, box),
      h("th", { scope: "row", class: "nowrap" }, slot === null ? null : swatch(slot), runLink(run, false), run.note ? h("span", { class: "note-mark quiet", title: run.note.slice(0, 300) }, " ✎") : null),
      cells,
      more,
    );
  }

  /** Tick one run, or with Shift all from the last one that was ticked. */
  function pick(id, on, range) {
    const ids = list.visible().map((run) => run.id);
    const from = ids.indexOf(anchor);
    const to = ids.indexOf(id);
    const between = range && from >= 0 && to >= 0 ? ids.slice(Math.min(from, to), Math.max(from, to) + 1) : [id];
    anchor = id;
    list.select(between, on);
  }

  function drawSelection() {
    const chosen = list.selected();
    actions.hidden = !chosen.length;
    if (!chosen.length) return;
    const go = (view) => () => update({ view }, { visit: true });
    fill(
      actions,
      h("b", {}, plural(chosen.length, "run"), " selected"),
      h("button", { type: "button", class: "primary", onclick: go("curves") }, "Curves"),
      h("button", { type: "button", onclick: go("compare"), disabled: chosen.length < 2, title: chosen.length < 2 ? "Select at least two runs" : null }, "Compare"),
      h("button", { type: "button", onclick: go("claims") }, "Claims"),
      h("button", { type: "button", onclick: () => update({ selected: [] }) }, "Clear"),
      state.selected.length >= list.MOST_SELECTED ? h("span", { class: "warning" }, `${list.MOST_SELECTED} at most`) : null,
    );
  }

  function draw() {
    if (document.activeElement !== search) search.value = state.text;
    drawFilters();
    drawSelection();
    const filtered = Boolean(state.text || state.experiment || state.status || state.tag);
    clear.hidden = !filtered;
    const visible = list.visible();
    amount.textContent = filtered ? `${visible.length.toLocaleString("en")} of ${plural(list.runs.size, "run")}` : plural(visible.length, "run");
    columnsButton.hidden = !list.runs.size;
    if (list.progress.state === "error") return blank(trouble(list.progress.words, () => location.reload()));
    if (list.progress.state === "loading" && !list.runs.size) return blank(h("p", { class: "empty" }, "Reading runs …"));
    if (!list.runs.size) {
      return blank(
        empty("No runs yet", h("p", {}, "Start one in another terminal; it shows up here by itself."), h("pre", {}, "groundup run digits")),
      );
    }
    if (!visible.length) return blank(empty("No run fits", h("p", {}, "Take back a word or a filter."), h("p", {}, h("button", { type: "button", onclick: () => clear.click() }, "Clear filters"))));
    const extra = columns();
    const next = new Map();
    const drawn = new Set(list.drawn());
    for (const run of visible.slice(0, shown)) {
      const on = state.selected.includes(run.id);
      const slot = drawn.has(run) ? list.slot(run.id) : null;
      const key = JSON.stringify([run, list.isGroup(run) && [list.newest(run), list.parts(run.id).length], on, slot, extra]);
      const before = rows.get(run.id);
      next.set(run.id, before?.key === key ? before : { key, element: drawRow(run, extra, on, slot) });
    }
    const active = document.activeElement;
    const focus = { run: active?.closest?.("tr")?.dataset.run, tag: active?.tagName, sort: active?.dataset?.sort };
    rows = next;
    if (!frame) {
      frame = { head: h("thead"), body: h("tbody"), more: h("button", { type: "button", onclick: () => ((shown += PAGE), draw()) }) };
      frame.element = h(
        "div",
        { class: "card" },
        h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Table of runs" }, h("table", { class: "runs" }, h("caption", { class: "unseen" }, "Runs"), frame.head, frame.body)),
        frame.more,
      );
    }
    if (frame.element.parentElement !== place) fill(place, frame.element);
    fill(frame.head, drawHead(extra, visible));
    fill(frame.body, [...next.values()].map((row) => row.element));
    frame.more.hidden = visible.length <= shown;
    frame.more.textContent = `Show more: ${(visible.length - shown).toLocaleString("en")} are left`;
    if (active && active !== document.activeElement && document.activeElement === document.body) {
      if (focus.run) next.get(focus.run)?.element.querySelector(focus.tag === "A" ? "a" : "input")?.focus();
      else if (focus.sort) frame.head.querySelector(`[data-sort="${CSS.escape(focus.sort)}"]`)?.focus();
    }
  }

  function blank(element) {
    rows = new Map();
    frame = null;
    fill(place, element);
  }

  function chooseColumns() {
    const runs = [...list.runs.values()];
    const chosen = new Set(columns());
    const boxes = (title, names, prefix) =>
      names.length
        ? h(
            "fieldset",
            {},
            h("legend", {}, title),
            names.slice(0, 300).map((name) =>
              h(
                "label",
                { class: "check", dataset: { name: name.toLowerCase() } },
                h("input", {
                  type: "checkbox",
                  checked: chosen.has(prefix + name),
                  onchange: (event) => {
                    chosen[event.target.checked ? "add" : "delete"](prefix + name);
                    keep("columns", [...chosen]);
                    draw();
                  },
                }),
                name,
              ),
            ),
          )
        : null;
    const find = h("input", {
      type: "search",
      placeholder: "Find a column",
      "aria-label": "Find a column",
      oninput: () => body.querySelectorAll("label").forEach((label) => (label.hidden = !label.dataset.name.includes(find.value.toLowerCase()))),
    });
    const body = h("div", { class: "columns" }, boxes("Newest values", list.metricNames(runs), "metric:"), boxes("Settings", list.settingNames(runs), "config:"));
    const shownDialog = dialog(
      "Columns",
      find,
      body,
      h(
        "p",
        {},
        h(
          "button",
          {
            type: "button",
            onclick: () => {
              keep("columns", null);
              shownDialog.close();
              draw();
            },
          },
          "As at first",
        ),
      ),
    );
  }

  /** Keyboard: move the focus from row to row. */
  function move(by) {
    const boxes = [...(frame?.body.querySelectorAll("input[type=checkbox]") ?? [])];
    if (!boxes.length) return;
    const at = boxes.findIndex((box) => box.closest("tr").contains(document.activeElement));
    boxes[at < 0 ? (by > 0 ? 0 : boxes.length - 1) : Math.max(0, Math.min(boxes.length - 1, at + by))].focus();
  }

  root.addEventListener("keydown", onkey);
  function onkey(event) {
    const row = event.target.closest?.("tbody tr");
    if (!row || !["ArrowDown", "ArrowUp", "Enter"].includes(event.key) || event.target.tagName === "A") return;
    event.preventDefault();
    if (event.key === "Enter") update({ view: "run", run: row.dataset.run }, { visit: true });
    else move(event.key === "ArrowDown" ? 1 : -1);
  }

  draw();
  return {
    update: draw,
    runsChanged: draw,
    repaint: () => (rows.clear(), draw()),
    destroy: () => root.removeEventListener("keydown", onkey),
    search: () => search.focus(),
    move,
  };
}
