// Puts the page together: the diagrams, the table of everything, the files to save.

/** A chunk's row: its place, its bytes, and the milliseconds that it spent in each stage. */
function chunkRow(data, plot, i) {
  const [first, frames, chain, position] = data.chunks[i], spans = plot.byChunk[i];
  let bytes = 0;
  for (let frame = first; frame < first + frames; frame++) bytes += data.frames.bytes[frame] || 0;
  const row = [["chunk", count(i)], ["chain", count(chain)], ["place", String(position)], ["first frame", count(first)],
    ["frames", count(frames)], ["bytes", count(bytes)]];
  for (const stage of data.stages) {
    const spent = spans.filter((span) => span.stage === stage);
    row.push([`${stage}, ms`, spent.length ? spent.reduce((sum, span) => sum + span.ended - span.began, 0).toFixed(1) : "\u2013"]);
  }
  const own = spans.find((span) => span.stage === "rebase") || spans[0];
  row.push(["done by", own ? data.processes[own.process] : ""]);
  return row;
}

const text = document.getElementById("data").textContent, data = JSON.parse(text);
const framesPlot = new FramesPlot(data), timelinePlot = new TimelinePlot(data);
const kinds = {
  frames: { length: data.frames.bytes.length, row: (i) => frameRow(data, i, framesPlot.chunkOf(i)) },
  chunks: { length: data.chunks.length, row: (i) => chunkRow(data, timelinePlot, i) },
};
new Table("numbers", kinds);
for (const button of document.querySelectorAll("[data-save]")) {
  const kind = button.dataset.save;
  button.onclick = () => (kind === "json" ? save("report.json", "application/json", text) : save(`${kind}.csv`, "text/csv", csv(kinds[kind])));
}
for (const part of document.querySelectorAll("[data-grow]")) part.style.flexGrow = part.dataset.grow;
document.documentElement.dataset.ready = "yes";
