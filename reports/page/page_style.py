"""The style sheet and the small script that every report page carries inline.

The script comes after the first figure, which is drawn while the rest of a large page is still loading.
"""

STYLE = """
:root { --bg: #ffffff; --card: #f7f8fa; --text: #1d2329; --muted: #59636e; --line: #d8dde3; --accent: #0072B2;
  --warn: #b34700; --active: #dcebf5; color-scheme: light dark; }
@media (prefers-color-scheme: dark) { :root { --bg: #14181d; --card: #1b2127; --text: #e3e8ed; --muted: #9aa5b1;
  --line: #343c45; --accent: #56B4E9; --warn: #ff9d5c; --active: #24455c; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--bg); color: var(--text); line-height: 1.5;
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", sans-serif; }
main { max-width: 1240px; margin: 0 auto; padding: 28px 24px 64px; }
h1 { font-size: 1.75rem; margin: 0; line-height: 1.25; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin: 0 0 6px; }
h3 { font-size: 0.95rem; font-weight: 600; margin: 20px 0 0; max-width: 88ch; }
section { margin-top: 44px; }
p { margin: 6px 0; max-width: 88ch; }
.question { font-size: 1.1rem; color: var(--muted); }
.note { border-left: 4px solid var(--warn); padding: 8px 14px; background: var(--card); margin: 16px 0; }
.states { display: flex; flex-wrap: wrap; gap: 8px; margin: 16px 0; padding: 0; list-style: none; }
.states li { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 6px 14px; }
.states b { font-size: 1.25rem; margin-right: 4px; font-variant-numeric: tabular-nums; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 4px 18px; margin: 16px 0; }
dt { color: var(--muted); }
dd { margin: 0; overflow-wrap: anywhere; }
.caption { color: var(--muted); font-size: 0.93rem; }
.pair { display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 16px; }
@media (max-width: 1000px) { .pair { grid-template-columns: minmax(0, 1fr); } }
.figure { border: 1px solid var(--line); border-radius: 10px; padding: 10px; margin-top: 12px; min-width: 0; }
.scroll { overflow-x: auto; border: 1px solid var(--line); border-radius: 10px; margin-top: 12px; }
.scroll.tall, .scroll:has(#front) { max-height: 720px; overflow-y: auto; }
.scroll.long { content-visibility: auto; contain-intrinsic-height: auto 720px; }
table { border-collapse: collapse; width: 100%; font-size: 0.88rem; }
th, td { padding: 6px 10px; text-align: left; vertical-align: top; border-bottom: 1px solid var(--line); }
thead th { background: var(--card); position: sticky; top: 0; z-index: 1; font-weight: 600; vertical-align: bottom;
  min-width: 78px; }
tbody th { font-family: ui-monospace, monospace; font-weight: 500; white-space: nowrap; }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.number small { display: block; color: var(--muted); line-height: 1.3; }
tbody th small { display: block; font-family: system-ui, sans-serif; color: var(--muted); }
.cell { white-space: nowrap; font-variant-numeric: tabular-nums; }
.factors { white-space: nowrap; }
.reason { min-width: 220px; overflow-wrap: anywhere; }
pre { white-space: pre-wrap; margin: 6px 0; font-size: 0.82rem; }
#front tbody tr:first-child > * { border-bottom: 0; }
tr.command td { padding-top: 0; }
tr.command div { display: flex; gap: 10px; align-items: flex-start; }
tr.command code { font: 0.82rem/1.5 ui-monospace, monospace; color: var(--muted); overflow-wrap: anywhere; }
button { font: inherit; color: inherit; }
button.copy { border: 1px solid var(--line); border-radius: 6px; background: var(--card); cursor: pointer;
  padding: 0 10px; flex: none; font-size: 0.82rem; min-width: 66px; }
button.sort { all: unset; cursor: pointer; font-weight: 600; }
button.sort:hover, button.sort:focus-visible { color: var(--accent); text-decoration: underline; }
th[aria-sort="ascending"] button::after { content: " ▲"; }
th[aria-sort="descending"] button::after { content: " ▼"; }
.sheet { display: grid; grid-template-columns: repeat(auto-fill, minmax(340px, 1fr)); gap: 14px; margin-top: 12px; }
.sheet figure { display: grid; grid-template-columns: repeat(3, minmax(0, 1fr)); gap: 6px 10px; margin: 0;
  padding: 10px; background: var(--card); border: 1px solid var(--line); border-radius: 10px; }
.sheet img { display: block; width: 100%; aspect-ratio: 1; border-radius: 4px; }
.sheet.pixelated img { image-rendering: pixelated; }
.sheet small { display: block; line-height: 1.35; overflow-wrap: anywhere; }
.sheet figcaption { grid-column: 1 / -1; color: var(--muted); font-size: 0.88rem; }
.state { white-space: nowrap; }
.state.failed, .doubt { color: var(--warn); }
.state.stopped { color: var(--muted); font-style: italic; }
.updatemenu-item-rect { fill: var(--bg) !important; }
.updatemenu-item-rect[style*="244, 250, 255"] { fill: var(--active) !important; }
@media (max-width: 640px) { main { padding: 18px 12px 48px; } dl, .sheet { grid-template-columns: 1fr; }
  dt { margin-top: 6px; } }
"""

CONFIG_MARK = "/* figure config */"
SCRIPT = """
const figureConfig = /* figure config */;

function themed(layout) {
  const style = getComputedStyle(document.documentElement);
  const color = (name) => style.getPropertyValue(name).trim();
  const change = {"font.color": color("--text"), "hoverlabel.bgcolor": color("--card"),
    "hoverlabel.bordercolor": color("--line"), "hoverlabel.font.color": color("--text")};
  for (const name of Object.keys(layout).filter((key) => /^[xy]axis\\d*$/.test(key)))
    change[name + ".gridcolor"] = color("--line");
  if (layout.scene) for (const axis of ["xaxis", "yaxis", "zaxis"]) {
    change["scene." + axis + ".gridcolor"] = color("--line");
    change["scene." + axis + ".color"] = color("--text");
  }
  return change;
}

function put(object, path, value) {
  const names = path.split("."), last = names.pop();
  for (const name of names) object = object[name] ??= {};
  object[last] = value;
}

function startPlotly() {
  if (window.Plotly) return;
  const script = document.createElement("script");
  script.textContent = document.getElementById("plotly").textContent;
  document.head.append(script);
}

function draw(place) {
  const source = place.parentElement.querySelector(".figure-data");
  if (!source || place.classList.contains("js-plotly-plot")) return;
  startPlotly();
  const figure = JSON.parse(source.textContent);
  for (const [path, value] of Object.entries(themed(figure.layout))) put(figure.layout, path, value);
  Plotly.newPlot(place, figure.data, figure.layout, figureConfig);
}

function applyTheme() {
  for (const figure of document.querySelectorAll(".js-plotly-plot")) Plotly.relayout(figure, themed(figure.layout));
}

async function copyCommand(button) {
  const text = button.nextElementSibling.textContent;
  try { await navigator.clipboard.writeText(text); } catch (error) {
    const area = document.createElement("textarea");
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  button.textContent = "copied";
  setTimeout(() => { button.textContent = "copy"; }, 1500);
}

function sortBy(button) {
  const head = button.closest("th"), table = head.closest("table"), body = table.tBodies[0];
  const column = head.cellIndex, descending = head.getAttribute("aria-sort") === "ascending";
  const key = (row) => row.cells[column].dataset.sort;
  const rows = [...body.rows], filled = rows.filter((row) => key(row) !== "");
  const numeric = filled.every((row) => Number.isFinite(Number(key(row))));
  const compare = numeric ? (a, b) => Number(key(a)) - Number(key(b))
    : (a, b) => key(a).localeCompare(key(b), undefined, {numeric: true});
  filled.sort(compare);
  if (descending) filled.reverse();
  body.append(...filled, ...rows.filter((row) => key(row) === ""));
  for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", descending ? "descending" : "ascending");
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (button?.matches(".copy")) copyCommand(button);
  if (button?.matches(".sort")) sortBy(button);
});

const figurePlaces = () => document.querySelectorAll(".plotly-graph-div");
const nearFigures = new IntersectionObserver((entries) => {
  for (const entry of entries) if (entry.isIntersecting) {
    nearFigures.unobserve(entry.target);
    draw(entry.target);
  }
}, {rootMargin: "300px"});
const watchFigures = () => figurePlaces().forEach((place) => nearFigures.observe(place));
addEventListener("DOMContentLoaded", watchFigures);
const firstPlace = figurePlaces()[0];  // above this script, drawn wherever the window ends
if (firstPlace) requestAnimationFrame(() => setTimeout(() => draw(firstPlace)));  // after the text above it
addEventListener("beforeprint", () => figurePlaces().forEach(draw));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", applyTheme);

// A page shown inside another one has no newer version where it came from; nothing that a reader did is undone.
const reloadSeconds = Number(document.body.dataset.reload);
if (reloadSeconds && window.top === window) {
  let isUsed = false;
  for (const kind of ["pointerdown", "keydown"]) addEventListener(kind, () => { isUsed = true; }, {capture: true});
  setInterval(() => { if (!isUsed && !document.hidden) location.reload(); }, 1000 * reloadSeconds);
}
"""
