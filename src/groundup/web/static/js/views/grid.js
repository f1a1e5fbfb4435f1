// A grid of charts with the numbers they need: asked for when a chart comes into sight, appended to
// as events come, asked for again in more detail when the reader looks closer.

import * as api from "../api.js";
import { Chart } from "../chart.js";
import * as curves from "../curves.js";
import { afterPause, atMost, fill, h } from "../dom.js";
import { onLive, want } from "../live.js";
import * as list from "../runs.js";
import { state, update } from "../state.js";

/** One chart and its numbers. */
class Feed {
  constructor(grid, name) {
    this.grid = grid;
    this.name = name;
    this.seen = false;
    this.overview = null;
    this.detail = null;
    this.overviewKey = "";
    this.detailKey = "";
    this.stale = false;
    this.logY = null;
    this.requests = { overview: null, detail: null };
    this.chart = new Chart(name, {
      zoom: (range) => update({ range }),
      toggleLog: () => {
        this.logY = !this.isLog();
        this.show();
      },
      grow: () => {
        this.chart.setLarge(!this.chart.large);
        if (this.chart.large) this.chart.element.scrollIntoView({ block: "nearest" });
      },
    });
    this.again = atMost(800, () => {
      this.stale = true;
      this.refresh();
    });
    this.closer = afterPause(120, () => this.loadDetail());
  }

  destroy() {
    this.requests.overview?.abort();
    this.requests.detail?.abort();
    this.chart.destroy();
  }

  isLog() {
    return this.logY ?? state.logY;
  }

  /** The runs that are drawn: selected ones that have this series, as far as is known. */
  runs() {
    return this.grid.runs();
  }

  /** Ask for what is missing, and draw what is there. */
  refresh() {
    if (!this.seen) return;
    const key = JSON.stringify([this.runs().map((run) => run.id), state.x, state.logX]);
    if (key !== this.overviewKey || this.stale) this.loadOverview(key);
    else if (state.range) this.closer();
    else this.detail = null;
    this.show();
  }

  show() {
    if (!this.seen || !this.overview) return;
    const range = state.range && state.logX && state.range[0] <= 0 ? null : state.range;
    this.chart.update(this.runs(), this.overview, this.detail, {
      x: state.x,
      logX: state.logX,
      logY: this.isLog(),
      smoothing: state.smoothing,
      range,
    });
    const missing = this.runs().length > 0 && !this.runs().some((run) => this.overview.get(run.id)?.x.length);
    if (missing) this.chart.say(state.x === "epoch" ? "No epochs were logged with this." : "Nothing logged yet.");
  }

  async loadOverview(key) {
    this.overviewKey = key;
    this.stale = false;
    const answer = await this.ask("overview", {});
    if (!answer) return;
    this.overview = curves.received(answer);
    this.detail = null;
    this.detailKey = "";
    if (state.range) this.closer();
    this.show();
  }

  async loadDetail() {
    if (!state.range || !this.overview || !this.seen) return;
    const needed = this.runs().some((run) => this.overview.has(run.id) && curves.isCoarse(this.overview.get(run.id)));
    if (!needed) return;
    const [low, high] = state.range;
    // As much again on either side, so that a small move has something to show.
    const wide = state.logX && low > 0 ? [low * Math.sqrt(low / high), high * Math.sqrt(high / low)] : [low - (high - low) / 2, high + (high - low) / 2];
    const key = JSON.stringify([this.overviewKey, wide]);
    if (key === this.detailKey) return;
    this.detailKey = key;
    const answer = await this.ask("detail", { low: wide[0], high: wide[1], buckets: 2 * curves.MOST });
    if (!answer || !state.range) return;
    this.detail = curves.received(answer);
    this.show();
  }

  /** The server's answer, or null if it is no longer wanted or there is none. */
  async ask(which, values) {
    this.requests[which]?.abort();
    const ids = this.runs().map((run) => run.id);
    if (!ids.length) return null;
    const request = new AbortController();
    this.requests[which] = request;
    this.chart.element.setAttribute("aria-busy", "true");
    try {
      const answer = await api.series(
        { run: ids, name: this.name, x: state.x, log: state.logX ? 1 : 0, buckets: curves.MOST, ...values },
        request.signal,
      );
      this.grid.failed(null);
      return answer;
    } catch (error) {
      if (!api.isAbort(error)) {
        this.overviewKey = which === "overview" ? "" : this.overviewKey;
        this.detailKey = "";
        this.chart.say(error.message);
        this.grid.failed(error);
      }
      return null;
    } finally {
      if (this.requests[which] === request) this.chart.element.removeAttribute("aria-busy");
    }
  }

  /** New points of this series. */
  append(event) {
    const columns = this.overview?.get(event.run);
    if (!this.seen || !this.overview) return;
    if (!columns) {
      if (this.runs().some((run) => run.id === event.run)) this.again();
      return;
    }
    const done = curves.append(columns, event);
    const close = this.detail?.get(event.run);
    // The range that is looked at has its own count of points, so it follows by its last x.
    if (close) {
      const end = close.x.at(-1) ?? -Infinity;
      const from = event.x.findIndex((x) => x > end);
      if (from >= 0 && state.range && event.x[from] <= state.range[1]) this.detailKey = "";
    }
    if (done !== "done") this.again();
  }
}

/** Charts in sections. */
export class ChartGrid {
  /**
   * @param {HTMLElement} root where the charts go
   * @param {(run: object) => Iterable<string>} namesOf the series of a run that belong here
   * @param {(name: string) => string} sectionOf under which heading a series stands
   * @param {(name: string) => number} rankOf what comes first; equal ones are in alphabetical order
   */
  constructor(root, namesOf, sectionOf, rankOf) {
    this.root = root;
    this.namesOf = namesOf;
    this.sectionOf = sectionOf;
    this.rankOf = rankOf;
    this.feeds = new Map();
    this.folded = new Set();
    this.layout = "";
    this.filter = "";
    this.failure = 0;
    this.sight = new IntersectionObserver((entries) => this.sighted(entries), { rootMargin: "200px 0px" });
    this.end = [onLive((event) => this.live(event))];
    this.onfocusrun = (event) => this.feeds.forEach((feed) => feed.chart.focus(event.detail));
    document.addEventListener("focusrun", this.onfocusrun);
  }

  destroy() {
    clearTimeout(this.failure);
    document.removeEventListener("focusrun", this.onfocusrun);
    this.end.forEach((end) => end());
    this.sight.disconnect();
    this.feeds.forEach((feed) => feed.destroy());
    this.feeds.clear();
    want([], [], state.x);
  }

  runs() {
    return list.drawn();
  }

  names() {
    const names = new Set(this.runs().flatMap((run) => [...this.namesOf(run)]));
    const wanted = this.filter.toLowerCase();
    const order = (a, b) => this.rankOf(a) - this.rankOf(b) || a.localeCompare(b, "en", { numeric: true });
    return [...names].filter((name) => name.toLowerCase().includes(wanted)).sort(order);
  }

  /** Make the charts that are needed, and bring all of them up to date. Returns how many there are. */
  refresh() {
    const names = this.names();
    const layout = JSON.stringify(names);
    if (layout !== this.layout) {
      this.layout = layout;
      this.arrange(names);
    }
    this.feeds.forEach((feed) => feed.refresh());
    this.subscribe();
    return names.length;
  }

  /** Draw anew without asking, after a change of colours. */
  repaint() {
    for (const feed of this.feeds.values()) {
      feed.chart.shape = "";
      feed.show();
    }
  }

  arrange(names) {
    for (const [name, feed] of this.feeds) {
      if (names.includes(name)) continue;
      this.sight.unobserve(feed.chart.element);
      feed.destroy();
      this.feeds.delete(name);
    }
    const sections = new Map();
    for (const name of names) {
      const heading = this.sectionOf(name);
      if (!sections.has(heading)) sections.set(heading, []);
      sections.get(heading).push(name);
      if (this.feeds.has(name)) continue;
      const feed = new Feed(this, name);
      this.feeds.set(name, feed);
      this.sight.observe(feed.chart.element);
    }
    fill(
      this.root,
      [...sections].map(([heading, inside]) => {
        const charts = h("div", { class: "charts" }, inside.map((name) => this.feeds.get(name).chart.element));
        if (sections.size === 1) return charts;
        const details = h(
          "details",
          { class: "fold", open: !this.folded.has(heading) },
          h("summary", {}, h("h2", {}, heading), h("span", { class: "quiet" }, inside.length)),
          charts,
        );
        details.addEventListener("toggle", () => this.folded[details.open ? "delete" : "add"](heading));
        return details;
      }),
    );
  }

  sighted(entries) {
    for (const entry of entries) {
      const feed = this.feeds.get(entry.target.dataset.chart);
      if (!feed) continue;
      feed.seen = entry.isIntersecting;
      if (feed.seen) feed.refresh();
    }
    this.subscribe();
  }

  subscribe() {
    const running = this.runs().filter((run) => run.status === "running" || run.status === "queued");
    const names = [...this.feeds.values()].filter((feed) => feed.seen).map((feed) => feed.name);
    want(running.map((run) => run.id), running.length ? names : [], state.x);
  }

  live(event) {
    if (event.kind === "hello" && !event.resumed) this.reload();
    if (event.kind !== "change") return;
    for (const points of event.points) this.feeds.get(points.name)?.append(points);
    const chosen = new Set(this.runs().map((run) => run.id));
    if (event.reload.some((id) => chosen.has(id))) this.reload();
    const grown = new Set(event.points.map((points) => points.name));
    this.feeds.forEach((feed) => grown.has(feed.name) && feed.show());
  }

  /** Ask for everything again. */
  reload() {
    this.feeds.forEach((feed) => {
      feed.stale = true;
      feed.refresh();
    });
  }

  /** After an error, try again in a while. */
  failed(error) {
    clearTimeout(this.failure);
    if (error) this.failure = setTimeout(() => this.refresh(), 3000);
  }
}
