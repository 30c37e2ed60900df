// Marks and lines of charts that stand for configurations: their traces have a uid a point in ``customdata``.
// Classes on what is drawn, as a chart of a thousand marks takes longer to restyle than a reader waits.
const placesOf = new WeakMap();  // customdata -> places; -1 where there is no uid

function tracePlaces(trace) {
  const uids = trace?.customdata;
  if (!Array.isArray(uids)) return null;
  if (!placesOf.has(uids)) placesOf.set(uids, uids.map((uid) => study.placeOf.get(uid) ?? -1));
  return placesOf.get(uids);
}

function highlight(chart) {
  for (const layer of chart.querySelectorAll(".scatterlayer")) {
    const above = svg("g", {class: "overlays"});
    let last = null;  // the last trace that is a line
    layer.querySelector(".overlays")?.remove();
    for (const group of layer.querySelectorAll(".trace")) {
      const trace = group.__data__?.[0]?.trace, places = tracePlaces(trace);
      if (!places) continue;
      for (const mark of group.querySelectorAll("path.point, .errorbar"))
        mark.classList.toggle("unlit", Boolean(lit) && !lit[places[mark.__data__.i]]);
      for (const line of group.querySelectorAll("path.js-line")) {
        line.classList.toggle("unlit", Boolean(lit));
        above.append(svg("path", {style: line.getAttribute("style"), d: litPath(chart, trace)}));
        last = group;
      }
    }
    if (lit) last?.after(above);
  }
}

function svg(tag, attributes) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

// A line trace is one path through many configurations: those that stand out are drawn once more, above all lines.
function litPath(chart, trace) {
  const [x, y] = [trace.xaxis, trace.yaxis].map((name) => chart._fullLayout[`${name[0]}axis${name.slice(1)}`]);
  let path = "M0,0";
  for (const [place, start, end] of lit ? runsOf(trace) : []) if (lit[place]) {
    path += "M";
    for (let point = start; point < end; point++) path += `${x.d2p(trace.x[point]).toFixed(1)},${y.d2p(trace.y[point]).toFixed(1)} `;
  }
  return path;
}

const runs = new WeakMap();  // customdata -> the parts of a line without a gap: place, first point, the one behind the last

function runsOf(trace) {
  const places = tracePlaces(trace), found = [];
  if (runs.has(trace.customdata)) return runs.get(trace.customdata);
  places.forEach((place, point) => {
    const last = found.at(-1);
    if (place < 0 || trace.x[point] === null || trace.y[point] === null) return;
    if (last && last[0] === place && last[2] === point) last[2] += 1; else found.push([place, point, point + 1]);
  });
  runs.set(trace.customdata, found);
  return found;
}

function linkChart(chart) {
  if (!study || chart.isLinked || !chart.data?.some(tracePlaces)) return;
  chart.isLinked = true;
  chart.on("plotly_click", ({points, event}) => {
    const places = points.map((point) => study.placeOf.get(point.customdata)).filter((place) => place !== undefined);
    if (places.length) pick(places.slice(0, 1), isAdding(event));
  });
  chart.on("plotly_selected", (selection) => {
    if (!selection || chart.isClearing) return;
    choose(selectedPlaces(chart, selection));
    setTimeout(() => {  // once it is painted: the box and Plotly's own dimming, in which other views have no part
      chart.isClearing = true;
      Plotly.update(chart, {selectedpoints: null}, {selections: []}).then(() => { chart.isClearing = false; });
    });
  });
  chart.on("plotly_deselect", () => { if (!chart.isClearing) choose([]); });
  views.set(chart, () => highlight(chart));
  chart.on("plotly_afterplot", () => highlight(chart));
  highlight(chart);
}

// The configurations whose marks are within a box or lasso, and those whose lines have a point in a box.
function selectedPlaces(chart, {points, range}) {
  const places = points.map((point) => study.placeOf.get(point.customdata)).filter((place) => place !== undefined);
  if (!range) return places;
  for (const trace of chart._fullData) {
    const within = (values, [a, b]) => (point) => values[point] >= Math.min(a, b) && values[point] <= Math.max(a, b);
    if (trace.mode !== "lines" || trace.visible !== true || !tracePlaces(trace) || !range[trace.xaxis]) continue;
    const [inX, inY] = [within(trace.x, range[trace.xaxis]), within(trace.y, range[trace.yaxis])];
    tracePlaces(trace).forEach((place, point) => { if (place >= 0 && inX(point) && inY(point)) places.push(place); });
  }
  return places;
}
