// Everything about one run: how it went, its settings and values, tags and note (which can be
// changed here), its surroundings, checkpoints and log.

import * as api from "../api.js";
import { announce, atMost, fill, h } from "../dom.js";
import { count, duration, moment, number, setting } from "../format.js";
import { onLive, want } from "../live.js";
import { runLink, status, trouble } from "../parts.js";
import * as list from "../runs.js";
import { address, state, update as change } from "../state.js";

export function create(root) {
  const place = h("div", { class: "run" });
  fill(root, place);
  let detail = null;
  let request = null;
  let id = null;
  let parts = null;

  async function load() {
    const wanted = state.run;
    request?.abort();
    request = new AbortController();
    try {
      detail = await api.run(wanted, request.signal);
      if (id !== wanted) parts = null;
      id = wanted;
      want(detail.status === "running" ? [id] : [], [], "step");
      draw();
    } catch (error) {
      if (api.isAbort(error)) return;
      parts = null;
      fill(place, trouble(error.message, load));
    }
  }

  const soon = atMost(1500, load);

  function build() {
    parts = Object.fromEntries(["head", "labels", "parts", "error", "values", "settings", "environment", "checkpoints", "log"].map((name) => [name, h("div")]));
    fill(
      place,
      parts.head,
      parts.error,
      h("div", { class: "run-columns" }, h("div", {}, parts.labels, parts.parts, parts.values, parts.checkpoints), h("div", {}, parts.settings, parts.environment)),
      parts.log,
    );
    drawLabels();
  }

  function draw() {
    if (!parts) build();
    const on = state.selected.includes(id);
    fill(
      parts.head,
      h(
        "div",
        { class: "run-head" },
        h("div", {}, h("h1", { class: "mono" }, detail.id), h("p", { class: "quiet" }, facts(), detail.parent ? [" · part of ", h("a", { href: address({ view: "run", run: detail.parent }) }, detail.parent)] : null)),
        status(detail),
        h("button", { type: "button", "aria-pressed": String(on), onclick: () => (list.select([id], !on), draw()) }, on ? "Selected" : "Select"),
        h("button", { type: "button", class: "primary", onclick: () => show("curves") }, "Curves"),
        ["layers", "figures", "claims"].map((view) => h("button", { type: "button", onclick: () => show(view) }, view[0].toUpperCase() + view.slice(1))),
      ),
    );
    fill(parts.error, detail.error ? panel(detail.status === "failed" ? "Why it failed" : "Error", h("pre", { class: "bad" }, detail.error)) : null);
    const metrics = detail.series.filter((one) => one.kind === "metric" || one.kind === "epoch");
    fill(
      parts.values,
      panel(
        "Values",
        metrics.length
          ? table(["Name", "Last", "Least", "Greatest", "Points"], metrics.map((one) => [one.name, number(one.last ?? NaN), number(one.low), number(one.high), count(one.count)]))
          : h("p", { class: "quiet" }, list.parts(id).length ? "A group logs nothing itself; its parts do." : "Nothing logged yet."),
      ),
    );
    drawParts();
    fill(parts.settings, panel("Settings", pairs(detail.config, "Run without settings.")));
    fill(parts.environment, panel("Environment", pairs(detail.environment, "Not recorded."), h("p", { class: "quiet folder" }, detail.folder)));
    fill(
      parts.checkpoints,
      detail.checkpoints.length
        ? panel("Checkpoints", table(["File", "Size", "Written"], detail.checkpoints.map((one) => [one.name, size(one.bytes), moment(one.time)])))
        : null,
    );
    fill(parts.log, detail.log.length ? panel("Log", h("pre", { class: "log", tabindex: "0", role: "region", "aria-label": "Log" }, detail.log.map((line) => `${moment(line.time)}  ${line.text}\n`))) : null);
  }

  /** The runs that this one consists of: those of a verification over several seeds, or of a sweep. */
  function drawParts() {
    const children = list.parts(id);
    const rows = children.map((one) => [runLink(one), status(one), [...list.distinction(one, 2), one.seed === null ? null : `seed ${one.seed}`].filter(Boolean).join(" · "), duration(one.seconds)]);
    const choose = () => change({ selected: children.map((one) => one.id).slice(0, list.MOST_SELECTED), view: "curves" }, { visit: true });
    fill(
      parts.parts,
      children.length
        ? panel("Parts", table(["Run", "Status", "With", "Duration"], rows), h("p", { class: "note-line" }, h("button", { type: "button", onclick: choose }, `Curves of all ${children.length}`)))
        : null,
    );
  }

  function facts() {
    return [
      `created ${moment(detail.created)}`,
      detail.seconds === null ? null : `ran ${duration(detail.seconds)}`,
      detail.step === null ? null : `step ${count(detail.step)}`,
      detail.epoch === null ? null : `epoch ${number(detail.epoch, 4)}`,
      detail.seed === null ? null : `seed ${detail.seed}`,
      detail.host ? `on ${detail.host}, process ${detail.pid}` : null,
    ]
      .filter(Boolean)
      .join(" · ");
  }

  function show(view) {
    if (!state.selected.includes(id)) list.select([id], true);
    change({ view, layerRun: null }, { visit: true });
  }

  // Tags and note

  function drawLabels() {
    const words = h("p", { class: "quiet", role: "status" });
    const input = h("input", { type: "text", id: "new-tag", maxlength: "60", placeholder: "Add a tag", "aria-label": "Add a tag", list: "known-tags", autocomplete: "off" });
    const known = h("datalist", { id: "known-tags" }, list.values("tags").map((tag) => h("option", { value: tag })));
    const tagList = h("span", { class: "tags" });
    const note = h("textarea", { id: "note", rows: "4", maxlength: "20000", value: detail.note });
    const save = h("button", { type: "button", disabled: true, onclick: () => write({ note: note.value }, "The note is saved.").then((done) => (save.disabled = done)) }, "Save note");
    note.addEventListener("input", () => (save.disabled = note.value === detail.note));
    const drawTags = () =>
      fill(
        tagList,
        detail.tags.map((tag) =>
          h("span", { class: "tag" }, tag, h("button", { type: "button", "aria-label": `Remove tag ${tag}`, onclick: () => setTags(detail.tags.filter((one) => one !== tag)) }, "×")),
        ),
      );

    async function write(changes, done) {
      words.textContent = "Saving …";
      try {
        const written = await api.label(id, changes);
        Object.assign(detail, written);
        const known = list.runs.get(id);
        if (known) list.merge([{ ...known, ...written }]);
        words.textContent = done;
        drawTags();
        return true;
      } catch (error) {
        words.textContent = `Not saved: ${error.message}`;
        announce(words.textContent);
        return false;
      }
    }

    async function setTags(tags) {
      await write({ tags }, "The tags are saved.");
      input.focus();
    }

    const add = async () => {
      const tag = input.value.trim();
      if (!tag || detail.tags.includes(tag)) return;
      input.value = "";
      await setTags([...detail.tags, tag]);
    };
    input.addEventListener("keydown", (event) => {
      if (event.key === "Enter") add();
    });
    drawTags();
    fill(
      parts.labels,
      panel(
        "Tags and note",
        h("div", { class: "tag-line" }, tagList, input, known, h("button", { type: "button", onclick: add }, "Add")),
        h("label", { for: "note", class: "quiet" }, "Note"),
        note,
        h("div", { class: "note-line" }, save, words),
      ),
    );
  }

  function update(keys) {
    if (!keys || keys.has("run")) {
      if (state.run !== id) {
        parts = null;
        fill(place, h("p", { class: "empty" }, "Reading …"));
      }
      load();
    } else if (detail && parts) draw();
  }

  const end = onLive((event) => {
    if (event.kind === "hello" && !event.resumed && id) load();
  });
  update(null);
  return {
    update,
    runsChanged: (ids) => ids.has(id) && soon(),
    repaint() {},
    destroy: () => {
      end();
      request?.abort();
    },
  };
}

function panel(title, ...content) {
  return h("section", { class: "card panel", "aria-label": title }, h("h2", {}, title), content);
}

function table(heads, rows) {
  return h(
    "div",
    { class: "scroll" },
    h(
      "table",
      {},
      h("thead", {}, h("tr", {}, heads.map((head, i) => h("th", { scope: "col", class: i ? "number" : "" }, head)))),
      h("tbody", {}, rows.map(([first, ...others]) => h("tr", {}, h("th", { scope: "row", class: "mono" }, first), others.map((cell) => h("td", { class: "number nowrap" }, cell))))),
    ),
  );
}

function pairs(values, none) {
  const names = Object.keys(values);
  if (!names.length) return h("p", { class: "quiet" }, none);
  return h("dl", { class: "pairs" }, names.map((name) => [h("dt", { class: "mono" }, name), h("dd", {}, setting(values[name]))]));
}

function size(bytes) {
  for (const [unit, amount] of [["GB", 1e9], ["MB", 1e6], ["kB", 1e3]]) if (bytes >= amount) return `${number(bytes / amount, 3)} ${unit}`;
  return `${bytes} B`;
}

