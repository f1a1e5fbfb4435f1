// A chart of shares over the number of requests, drawn by uPlot. Lines differ in colour and dash, so
// that neither has to be seen alone, and the key below says what each is now.

import uPlot from "../shared/vendor/uplot/uPlot.esm.js";
import { axis } from "../shared/js/axes.js";
import { fill, h } from "../shared/js/dom.js";
import { look, swatch } from "../shared/js/palette.js";

const FONT = '11px system-ui, -apple-system, "Segoe UI", Roboto, sans-serif';

/** A chart in an element, with its key in another one. */
export function chart(element, key) {
  let plot = null;
  let shape = "";

  const size = () => ({ width: Math.max(120, element.clientWidth - 14), height: Math.max(120, element.clientHeight) });

  function forget() {
    plot?.destroy();
    plot = null;
  }

  function build(data, lines, most) {
    const style = getComputedStyle(document.documentElement);
    const ink = style.getPropertyValue("--quiet").trim();
    const line = style.getPropertyValue("--line").trim();
    const vertical = axis({ side: 3, log: false, time: false, ink, line, font: FONT });
    plot = new uPlot(
      {
        ...size(),
        padding: [8, 12, 0, 0],
        legend: { show: false },
        cursor: { show: false },
        series: [
          {},
          ...lines.map((_one, i) => {
            const { colour, dash } = look(i);
            return { scale: "y", width: 2, stroke: colour, dash, points: { show: data[0].length < 2, size: 6, fill: colour } };
          }),
        ],
        scales: {
          x: { time: false, range: (_u, low, high) => [0, Math.max(high ?? 0, 10)] },
          y: { range: () => [0, most] },
        },
        axes: [
          axis({ side: 2, log: false, time: false, ink, line, font: FONT, label: "requests" }),
          { ...vertical, values: (_u, splits) => splits.map((value) => `${Number((value * 100).toPrecision(4))} %`) },
        ],
      },
      data,
      element,
    );
  }

  /**
   * Draw lines.
   *
   * @param {number[]} x numbers of requests
   * @param {{ name: string, values: (number | null)[], now: string }[]} lines
   * @param {{ most: number }} options what the vertical axis ends at
   */
  function draw(x, lines, { most }) {
    const data = [x, ...lines.map((one) => one.values)];
    const now = JSON.stringify([most, lines.map((one) => one.name), x.length < 2]);
    if (plot && shape === now) plot.setData(data);
    else {
      forget();
      build(data, lines, most);
      shape = now;
    }
    element.setAttribute("aria-label", lines.map((one) => `${one.name} ${one.now}`).join(", "));
    fill(key, lines.map((one, i) => h("span", {}, swatch(i), one.name, " ", h("b", {}, one.now))));
  }

  new ResizeObserver(() => plot?.setSize(size())).observe(element);
  return { draw, forget };
}
