// Figures and images that the runs have logged, those of one name side by side; those that were
// logged at several steps have a slider, and all of one name move together.

import * as api from "../api.js";
import { atMost, dialog, fill, h } from "../dom.js";
import { count } from "../format.js";
import { onLive, want } from "../live.js";
import { Chips, chooseFirst, empty, runLink, trouble } from "../parts.js";
import * as list from "../runs.js";
import { state } from "../state.js";

export function create(root) {
  const chips = new Chips();
  const place = h("div");
  fill(root, h("h1", { class: "unseen" }, "Figures"), chips.element, place);
  let request = null;
  let last = "";
  const steps = new Map();

  async function load() {
    const ids = list.drawn().map((run) => run.id);
    if (!ids.length) {
      last = "";
      fill(place, chooseFirst("their figures"));
      return;
    }
    request?.abort();
    request = new AbortController();
    try {
      const { figures } = await api.figures(ids, request.signal);
      draw(figures);
    } catch (error) {
      if (!api.isAbort(error)) fill(place, trouble(error.message, load));
    }
  }

  const soon = atMost(1500, load);

  function draw(figures) {
    const key = JSON.stringify([figures, list.drawn().map((run) => run.id)]);
    if (key === last) return;
    last = key;
    if (!figures.length) {
      fill(place, empty("No figures yet", h("p", {}, "Runs log them with run.log_figure(name, figure); they appear here as they are written.")));
      return;
    }
    const names = [...new Set(figures.map((figure) => figure.name))];
    fill(place, names.map((name) => section(name, figures.filter((figure) => figure.name === name))));
  }

  function section(name, figures) {
    const all = [...new Set(figures.map((figure) => figure.step).filter((step) => step !== null))].sort((a, b) => a - b);
    const runs = list.drawn().filter((run) => figures.some((figure) => figure.run === run.id));
    const frames = runs.map((run) => frame(run, name, figures.filter((figure) => figure.run === run.id)));
    const slider = h("input", { type: "range", min: "0", max: String(all.length - 1), value: String(all.length - 1), "aria-label": `Step of ${name}` });
    const shown = h("output");
    const show = () => {
      const step = all[Number(slider.value)];
      shown.textContent = `step ${count(step)}`;
      slider.setAttribute("aria-valuetext", shown.textContent);
      frames.forEach((one) => one.show(step));
    };
    slider.addEventListener("input", () => {
      // At the newest one the slider follows what is new.
      if (Number(slider.value) === all.length - 1) steps.delete(name);
      else steps.set(name, all[Number(slider.value)]);
      show();
    });
    if (all.length > 1) {
      const kept = all.indexOf(steps.get(name));
      if (kept >= 0) slider.value = kept;
      show();
    } else frames.forEach((one) => one.show(null));
    return h(
      "section",
      { "aria-label": name },
      h("div", { class: "section-title" }, h("h2", {}, name), all.length > 1 ? h("span", { class: "field" }, slider, shown) : null),
      h("div", { class: "figures" }, frames.map((one) => one.element)),
    );
  }

  function frame(run, name, figures) {
    const image = h("img", { alt: "", loading: "lazy" });
    const caption = h("span", { class: "quiet" });
    const button = h("button", { type: "button", class: "picture", onclick: () => enlarge(run, name, figures, current) }, image);
    let current = 0;
    image.addEventListener("error", () => (caption.textContent = "the file is missing"));
    return {
      element: h("figure", { class: "card" }, button, h("figcaption", {}, runLink(run), caption)),
      /** The figure of a step, or the last one before it. */
      show(step) {
        current = figures.length - 1;
        if (step !== null) while (current > 0 && figures[current].step > step) current -= 1;
        const figure = figures[current];
        const path = api.figurePath(run.id, figure.file, figure.time);
        if (image.getAttribute("src") !== path) image.src = path;
        caption.textContent = figure.step === null ? "" : `step ${count(figure.step)}`;
        image.alt = `${name} of ${list.shortName(run)}${figure.step === null ? "" : `, step ${figure.step}`}`;
        button.setAttribute("aria-label", `Enlarge ${image.alt}`);
      },
    };
  }

  function enlarge(run, name, figures, start) {
    let current = start;
    const image = h("img", { class: "enlarged" });
    const words = h("p", { class: "quiet", role: "status" });
    const show = (next) => {
      current = Math.max(0, Math.min(figures.length - 1, next));
      const figure = figures[current];
      image.src = api.figurePath(run.id, figure.file, figure.time);
      image.alt = `${name} of ${list.shortName(run)}`;
      words.textContent = figures.length > 1 ? `step ${count(figure.step)}, ${current + 1} of ${figures.length}; arrow keys for the others` : "";
    };
    const shown = dialog(`${name}, ${list.shortName(run)}`, image, words);
    shown.classList.add("wide");
    shown.addEventListener("keydown", (event) => {
      if (event.key === "ArrowLeft") show(current - 1);
      if (event.key === "ArrowRight") show(current + 1);
    });
    show(start);
  }

  function update(keys) {
    chips.update();
    const running = list.drawn().filter((run) => run.status === "running");
    want(running.map((run) => run.id), [], state.x);
    if (!keys || keys.has("selected")) load();
  }

  const end = onLive((event) => {
    if (event.kind === "hello" && !event.resumed) load();
  });
  update(null);
  return {
    update,
    runsChanged: (ids) => {
      chips.update();
      if (list.drawn().some((run) => ids.has(run.id))) soon();
    },
    repaint: () => {
      chips.update();
      last = "";
      load();
    },
    destroy: () => {
      end();
      request?.abort();
    },
  };
}
