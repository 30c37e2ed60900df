// Comes after the first figure, which is drawn while the rest of a large page is still loading.
const figureConfig = JSON.parse(document.getElementById("figure-config").textContent);

function themed(layout) {
  const style = getComputedStyle(document.documentElement);
  const color = (name) => style.getPropertyValue(name).trim();
  const change = {"font.color": color("--text"), "hoverlabel.bgcolor": color("--card"),
    "hoverlabel.bordercolor": color("--line"), "hoverlabel.font.color": color("--text")};
  for (const name of Object.keys(layout).filter((key) => /^[xy]axis\d*$/.test(key)))
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
