// One chart whose axes, colour and split a reader chooses; every mark is a configuration.
const PALETTE = ["#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#808890"];
const JITTER = 0.16;  // of the distance between two levels, so that equal ones do not hide each other
const choices = {};  // x, y, color: name of a factor or metric, "" for none; split

const metricNamed = (name) => study.metrics.find((metric) => metric.name === name);
const chartedMetrics = () => study.metrics.filter((metric) => metric.isDescribed && metric.means.some((value) => value !== null));

function startExplorer() {
  const metrics = chartedMetrics(), names = new Set(metrics.map((metric) => metric.name));
  const own = metrics.filter((metric) => !(metric.split === "test" && names.has(metric.twin)));
  const form = document.getElementById("axes");
  if (!form) return;  // no trial has results
  for (const select of form.querySelectorAll("select.variable")) {
    const group = (label, options) => make("optgroup", {label},
      ...options.map(({name, label}) => make("option", {value: name}, label ?? name)));
    if (select.name === "color") select.append(make("option", {value: ""}, "the front"));
    select.append(group("Metrics", own.map(({name, plain}) => ({name, label: plain}))), group("Factors", study.factors));
  }
  form.elements.split.closest("label").hidden = own.length === metrics.length;
  const objectives = own.filter((metric) => metric.isObjective), costs = objectives.filter((metric) => metric.kind === "cost");
  const [first, second] = [...objectives.filter((metric) => metric.kind !== "cost"), ...costs, ...own];
  Object.assign(choices, {x: costs[0]?.name ?? second?.name ?? study.factors[0]?.name ?? "", y: first?.name ?? "", color: "", split: "val"});
  if (choices.x === choices.y) choices.x = study.factors[0]?.name ?? choices.y;
  showChoices();
  form.addEventListener("change", ({target}) => { choices[target.name] = target.value; redrawExplorer(); writeFragment(); });
}

function showChoices() {
  for (const [name, value] of Object.entries(choices)) document.getElementById("axes").elements[name].value = value;
}

function redrawExplorer() {
  const place = document.getElementById("explorer");
  if (!place?.isLinked) return;
  const {data, layout} = explorerFigure();
  for (const [path, value] of Object.entries(themed(layout))) put(layout, path, value);
  Plotly.react(place, data, layout);
}

// A factor or metric as numbers to place marks by, texts to show, and settings of an axis.
function variable(name) {
  const facet = study.facets.find((one) => one.key === "where:" + name);
  if (facet) return factorVariable(facet);
  const own = metricNamed(name), twin = choices.split === "test" && metricNamed(own.twin);
  const metric = twin && twin.means.some((value) => value !== null) ? twin : own;
  const values = metric.means.map((value) => value === null ? null : value / metric.axis.size);
  return {values, texts: metric.means.map((value) => valueText(metric, value)), label: metric.words,
    axis: {title: {text: metric.kind === "cost" ? metric.axis.label : metric.words}, type: metric.axis.isLog ? "log" : "linear"}};
}

function factorVariable({name, values, texts, choices: levels, isRange}) {
  if (isRange) {
    const known = values.filter((value) => value !== null), low = Math.min(...known), high = Math.max(...known);
    return {values, texts, label: name, axis: {title: {text: name}, type: low > 0 && high > 50 * low ? "log" : "linear"}};
  }
  const shift = (place) => ((place * 0.618034) % 1 * 2 - 1) * JITTER;
  return {values: texts.map((text, place) => levels.indexOf(text) + shift(place)), texts, label: name, levels,
    axis: {title: {text: name}, type: "linear", tickvals: levels.map((_, index) => index), ticktext: levels.map(escaped),
      range: [-0.5, levels.length - 0.5]}};
}

function explorerFigure() {
  const x = variable(choices.x), y = variable(choices.y), color = choices.color ? variable(choices.color) : null;
  const places = study.configurations.map((_, place) => place).filter((place) =>
    [x, y].every(({values}) => values[place] !== null));
  const hover = (place) => [study.configurations[place].uid, study.configurations[place].recipe,
    ...[x, y, ...(color ? [color] : [])].map(({label, texts}) => `${label}: ${texts[place]}`)].map(escaped).join("<br>");
  const trace = (own, name, marker) => ({
    type: "scatter", mode: "markers", name: escaped(name), x: own.map((place) => x.values[place]),
    y: own.map((place) => y.values[place]), customdata: own.map((place) => study.configurations[place].uid),
    hovertext: own.map(hover), hovertemplate: "%{hovertext}<extra></extra>",
    marker: {size: own.map((place) => study.configurations[place].isOnFront ? 12 : 8), line: {width: 1, color: "#808890"},
      symbol: own.map((place) => study.configurations[place].isOnFront ? "diamond" : "circle"), ...marker}});
  const axis = {showline: true, zeroline: false, ticks: "outside", linecolor: "#808890", tickcolor: "#808890", automargin: true};
  const layout = {
    height: 560, autosize: true, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", hovermode: "closest",
    font: {family: "system-ui, sans-serif", size: 13}, hoverlabel: {align: "left"}, margin: {l: 64, r: 16, t: 24, b: 64},
    legend: {orientation: "h", y: -0.2, yanchor: "top"}, modebar: {bgcolor: "rgba(0,0,0,0)", color: "#808890"}, xaxis: {...axis, ...x.axis}, yaxis: {...axis, ...y.axis}};
  return {data: explorerTraces(places, color, trace), layout};
}

function explorerTraces(places, color, trace) {
  const isOn = (place) => study.configurations[place].isOnFront;
  if (!color) return [trace(places.filter((place) => !isOn(place)), "not on the front", {color: PALETTE[0]}),
    trace(places.filter(isOn), "on the front", {color: PALETTE[1]})];
  if (color.levels) return color.levels.map((level, index) => trace(
    places.filter((place) => color.texts[place] === level), level, {color: PALETTE[index % PALETTE.length]}));
  const own = places.filter((place) => color.values[place] !== null), isLog = color.axis.type === "log";
  const numbers = own.map((place) => isLog ? Math.log10(color.values[place]) : color.values[place]);
  const title = {text: escaped(color.axis.title.text) + (isLog ? ", log10" : ""), side: "right"};
  return [trace(own, color.label, {color: numbers, colorscale: "Viridis", showscale: true, colorbar: {title, thickness: 12}})];
}
