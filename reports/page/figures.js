// Figures: drawn when they come near, in the colours of the theme. The scripts stand behind the first figure, which is
// drawn while the rest of a large page is still loading.
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
  const source = place.parentElement.querySelector(".figure-data"), isExplorer = place.id === "explorer";
  if (!(source || isExplorer && study) || place.classList.contains("js-plotly-plot")) return;
  startPlotly();
  const figure = isExplorer ? explorerFigure() : JSON.parse(source.textContent);
  for (const [path, value] of Object.entries(themed(figure.layout))) put(figure.layout, path, value);
  Plotly.newPlot(place, figure.data, figure.layout, figureConfig);
  linkChart(place);
}

function applyTheme() {
  for (const figure of document.querySelectorAll(".js-plotly-plot")) Plotly.relayout(figure, themed(figure.layout));
}

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

