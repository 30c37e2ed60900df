// The small charts of the panel: measures over the training, and families of metrics such as accuracies over radii.
const CHART = {height: 220, margin: {l: 48, r: 12, t: 8, b: 40}, showlegend: true, autosize: true,
  legend: {orientation: "h", y: 1.02, yanchor: "bottom", font: {size: 11}}, hovermode: "closest",
  paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", font: {family: "system-ui, sans-serif", size: 12}};

function smallChart(title, data, across) {
  const place = make("div", {class: "chart", role: "img", "aria-label": title});
  setTimeout(() => {  // once the panel is shown, which says how wide the chart is
    if (!place.isConnected) return;
    startPlotly();
    const layout = {...CHART, xaxis: {title: {text: across}, zeroline: false}, yaxis: {zeroline: false}};
    for (const [path, value] of Object.entries(themed(layout))) put(layout, path, value);
    Plotly.newPlot(place, data, layout, {...figureConfig, displayModeBar: false});
  });
  return place;
}

const line = (name, x, y, color, dash = "solid") =>
  ({type: "scatter", mode: "lines+markers", name: escaped(name), x, y, line: {color, dash, width: 2}, marker: {size: 5}});

function charts(places) {
  if (!document.getElementById("plotly")) return [];
  return [...curveChart(places), ...familyCharts(places)];
}

// The curves of the trials of ``places``; a select chooses the measure.
function curveChart(places) {
  const trials = places.flatMap((place, index) => trialsOf(place).map((trial) => ({...trial, color: PALETTE[index]})));
  const names = Object.keys(study.measures).filter((name) => trials.some(({curve}) => name in curve));
  if (!names.length) return [];
  const select = make("select", {}, ...names.map((name) => make("option", {value: name}, study.measures[name])));
  const first = study.metrics.find((metric) => metric.isObjective && names.includes(metric.name));
  if (first) select.value = first.name;
  const holder = make("div");
  const draw = () => holder.replaceChildren(smallChart(`${study.measures[select.value]} over ${study.progress}`,
    trials.filter(({curve}) => select.value in curve).map(({uid, curve, color}) => line(uid, ...curve[select.value], color)),
    study.progress));
  select.addEventListener("change", draw);
  draw();
  return [part("While it trained", make("label", {}, "measure ", select), holder)];
}

function familyCharts(places) {
  const labels = [...new Set(study.families.map(({label}) => label))];
  return labels.map((label) => {
    const lines = study.families.filter((one) => one.label === label).flatMap(({split, at, metrics}) =>
      places.map((place, index) => line([places.length > 1 ? study.configurations[place].uid : "", split].join(" ").trim() || label,
        at, metrics.map((name) => metricNamed(name).means[place]), PALETTE[index], split === "val" ? "dot" : "solid")));
    const known = lines.filter(({y}) => y.some((value) => value !== null));
    return known.length ? part(label, smallChart(label, known, "the number in the name of the metric")) : "";
  }).filter((element) => element !== "");
}
