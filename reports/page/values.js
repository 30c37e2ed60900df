// Numbers and texts of the study as words, as study/record/measures.py writes them.
const unitOf = (metric, value) => metric.units.find(([size]) => size <= value) ?? metric.units.at(-1) ?? [1, metric.unit];

function shortNumber(value) {
  if (Math.abs(value) >= 1000 && Math.abs(value) < 1e7) return Math.round(value).toLocaleString("en");
  return String(Number(value.toPrecision(3)));
}

function valueText(metric, value) {
  if (value === null || value === undefined) return "–";
  if (metric.kind === "share") return value.toFixed(1);
  if (metric.kind !== "cost") return String(Number(value.toPrecision(4)));
  if (Number.isInteger(value) && metric.units.some(([size, unit]) => size === 1 && !unit)) return value.toLocaleString("en");
  const [size, unit] = unitOf(metric, value);
  return `${shortNumber(value / size)} ${unit}`.trim();
}

// What changes from one value to another: points of shares, factors of costs.
function changeText(metric, from, to) {
  if (from === null || to === null) return "–";
  if (metric.kind === "cost" && from > 0) return "× " + (to / from).toFixed(2);
  const text = metric.kind === "share" ? (to - from).toFixed(1) : String(Number((to - from).toPrecision(3)));
  return text.startsWith("-") ? text.replace("-", "−") : "+" + text;
}

const escaped = (text) => text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");  // for Plotly

const yaml = (config) => Object.entries(config).map(([name, value]) => `${name}: ${JSON.stringify(value)}\n`).join("");
