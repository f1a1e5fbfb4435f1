// How runs are told apart: colour and dash together, so that neither has to be seen alone.
//
// The hues follow M. Okabe and K. Ito, "Color Universal Design" (2008), in a darker and a lighter
// set, each with a contrast of at least 3 to the cards they are drawn on (WCAG 2.2, 1.4.11); they
// were moved apart until any two differ without red or without green cones too. Six colours and
// five dashes have no common divisor, so thirty runs differ.

import { s } from "./dom.js";

export const COLOURS = {
  light: ["#0060c0", "#e55a00", "#0a9960", "#b07ab5", "#7a3b00", "#20242b"],
  dark: ["#62c4fb", "#ff7050", "#1fd896", "#c47fcb", "#dfd74a", "#eef4ea"],
};

export const DASHES = [[], [7, 3], [2, 2.5], [9, 3, 2, 3], [12, 3]];

/** "light" or "dark": what is on the screen now. */
export function theme() {
  const chosen = document.documentElement.dataset.theme;
  if (chosen) return chosen;
  return matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
}

/** Colour and dash of a slot, a number from 0. */
export function look(slot) {
  const colours = COLOURS[theme()];
  return { colour: colours[slot % colours.length], dash: DASHES[slot % DASHES.length] };
}

/** A colour with some of its opacity. */
export function faded(colour, alpha) {
  return colour + Math.round(alpha * 255).toString(16).padStart(2, "0");
}

/** A short piece of the line of a slot. */
export function swatch(slot) {
  const { colour, dash } = look(slot);
  return s(
    "svg",
    { class: "swatch", viewBox: "0 0 26 10", "aria-hidden": "true" },
    s("line", { x1: 1, x2: 25, y1: 5, y2: 5, stroke: colour, "stroke-width": 3, "stroke-dasharray": dash.join(" ") }),
  );
}

// Viridis (S. van der Walt and N. Smith, 2015) at nine places: even steps of lightness, so that it
// reads without colour as well.
const VIRIDIS = ["#440154", "#472d7b", "#3b528b", "#2c728e", "#21918c", "#28ae80", "#5ec962", "#addc30", "#fde725"];
const STOPS = VIRIDIS.map((hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16)));

/** Red, green and blue of a number from 0 to 1. */
export function shade(share) {
  const place = Math.max(0, Math.min(1, share)) * (STOPS.length - 1);
  const below = Math.min(STOPS.length - 2, Math.floor(place));
  const part = place - below;
  return STOPS[below].map((value, i) => Math.round(value + part * (STOPS[below + 1][i] - value)));
}

/** The scale as a CSS gradient. */
export const SHADES = `linear-gradient(to right, ${VIRIDIS.join(", ")})`;
