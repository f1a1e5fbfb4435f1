"""The look of a report: what its head declares, and its style sheet.

One column, as wide as a line of text should be; tables and listings that are wider scroll by
themselves, so the page never does. Colours have a contrast of at least 4.5 in both themes (WCAG
2.2, criterion 1.4.3).
"""

from __future__ import annotations

HEAD = """\
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" \
content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<link rel="icon" href="data:,">"""

STYLE = """\
:root {
  color-scheme: light dark;
  --paper: #ffffff; --ink: #1d1e20; --quiet: #55595f; --line: #d5d8dc; --tint: #f4f5f7;
  --link: #00579c;
}
@media screen and (prefers-color-scheme: dark) {
  :root {
    --paper: #15171b; --ink: #e7e8ea; --quiet: #a9aeb6; --line: #3a3f47; --tint: #1e2127;
    --link: #7fc0f2;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100%; }
body {
  margin: 0 auto; max-width: 62rem; padding: 2rem 1.25rem 4rem;
  background: var(--paper); color: var(--ink);
  font: 1rem/1.6 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
  overflow-wrap: break-word;
}
h1, h2 { line-height: 1.25; text-wrap: balance; }
h1 { margin: 0; font-size: clamp(1.6rem, 1.2rem + 2vw, 2.2rem); }
h2 { margin: 3rem 0 0.75rem; font-size: 1.35rem; }
p { margin: 0.75rem 0; max-width: 44rem; }
a { color: var(--link); }
:focus-visible { outline: 3px solid var(--link); outline-offset: 2px; }
main:focus { outline: none; }
.skip { position: absolute; left: -100vw; padding: 0.5rem 1rem; background: var(--paper); }
.skip:focus { left: 0.5rem; top: 0.5rem; z-index: 1; }
.subtitle { margin: 0.4rem 0 0; color: var(--quiet); font-size: 1.1rem; }
nav {
  margin: 1.75rem 0 0; padding: 0.9rem 1.25rem;
  background: var(--tint); border-radius: 0.5rem;
}
nav h2 { margin: 0; font-size: 1rem; }
nav ol { margin: 0.4rem 0 0; padding-left: 1.4rem; columns: 16rem; }
nav li { padding: 0.15rem 0; break-inside: avoid; }
.scroll, pre { overflow-x: auto; max-width: 100%; margin: 1.25rem 0; }
.scroll {
  --shade: rgb(128 128 128 / 0.45);
  background:
    linear-gradient(to left, var(--paper), var(--paper)) 100% 0 / 1.5rem 100% no-repeat local,
    linear-gradient(to left, var(--shade), transparent) 100% 0 / 0.8rem 100% no-repeat scroll;
}
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
.caption, figcaption { color: var(--quiet); font-size: 0.92rem; }
th, td { max-width: 22rem; padding: 0.4rem 0.9rem; vertical-align: top; }
th, td { border-bottom: 1px solid var(--line); }
thead th { border-bottom: 2px solid var(--quiet); vertical-align: bottom; }
tbody th { font-weight: 500; }
ul { max-width: 44rem; margin: 0.75rem 0; padding-left: 1.4rem; }
li { margin: 0.3rem 0; }
.formula { overflow-x: auto; margin: 1.1rem 0; padding-left: 1.4rem; }
.formula svg { display: block; }
.l { text-align: left; }
.r { text-align: right; }
.c { text-align: center; }
.caption { margin: 1.5rem 0 0.4rem; }
.caption + * { margin-top: 0; }
pre { padding: 0.9rem 1rem; background: var(--tint); border-radius: 0.5rem; line-height: 1.45; }
code { font: 0.875rem ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; }
.plots { display: flex; flex-wrap: wrap; gap: 1.5rem 2rem; margin: 1.25rem 0; align-items: start; }
figure { margin: 0; min-width: min(100%, 14rem); max-width: 100%; }
figure svg { display: block; max-width: 100%; height: auto; }
figcaption { margin-top: 0.5rem; }
@media (min-width: 40rem) {
  .whole { white-space: nowrap; }
}
@media (max-width: 40rem) {
  body { padding: 1.25rem 1rem 3rem; }
  th, td { max-width: 14rem; padding: 0.4rem 0.5rem; font-size: 0.92rem; line-height: 1.4; }
  th:first-child { padding-left: 0; }
}
@page { margin: 1.6cm; }
@media print {
  body { max-width: none; padding: 0; font-size: 10pt; }
  nav, .skip { display: none; }
  h2 { break-after: avoid; }
  figure, tr { break-inside: avoid; }
  .scroll, pre, .formula { overflow: visible; }
  .scroll { background: none; }
  .caption { break-after: avoid; }
  table { width: auto; max-width: 100%; }
  pre { font-size: 0.8em; white-space: pre-wrap; border: 1px solid var(--line); }
  thead { display: table-header-group; }
}
"""
