"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const stage = document.getElementById("stage");
  const videos = [...stage.querySelectorAll("video")];
  const master = videos[0];
  const byId = (id) => document.getElementById(id);
  const play = byId("play"), seekBar = byId("seek"), clock = byId("clock");
  const MARGIN = 0.001; // seconds into a frame, so that rounding never shows the one before

  // One clock: the source's. The others follow it.
  let wanted = null;
  function seek(time) {
    wanted = Math.min(Math.max(time, 0), data.duration);
    for (const video of videos) video.currentTime = Math.min(wanted, video.duration || wanted);
    show(wanted);
  }
  function follow() {
    const time = master.currentTime;
    const slack = master.paused ? 0.002 : 0.06;
    for (const video of videos.slice(1)) {
      if (!video.seeking && !master.seeking && Math.abs(video.currentTime - time) > slack && time < (video.duration || Infinity)) {
        video.currentTime = time;
      }
    }
    if (!master.seeking) wanted = null;
    show(wanted === null ? time : wanted);
  }
  function frameAt(time) {
    let low = 0, high = data.times.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (data.times[middle] <= time + MARGIN / 2) low = middle; else high = middle - 1;
    }
    return low;
  }
  function step(by) {
    pause();
    const point = Math.min(Math.max(frameAt(wanted === null ? master.currentTime : wanted) + by, 0), data.times.length - 1);
    seek(data.times[point] + MARGIN);
  }
  function start() {
    if (master.currentTime >= data.duration - 0.02) seek(0);
    return Promise.all(videos.map((video) => video.play())).catch((error) => { clock.textContent = String(error); });
  }
  function pause() { for (const video of videos) video.pause(); }
  play.addEventListener("click", () => { if (master.paused) start(); else { pause(); follow(); } });
  master.addEventListener("play", () => { play.textContent = "Pause"; });
  master.addEventListener("pause", () => { play.textContent = "Play"; for (const video of videos) video.pause(); });
  master.addEventListener("ended", () => { if (byId("loop").checked) { seek(0); start(); } });
  for (const name of ["timeupdate", "seeked", "loadeddata"]) for (const video of videos) video.addEventListener(name, follow);
  (function tick() { if (!master.paused) follow(); requestAnimationFrame(tick); })();
  byId("back").addEventListener("click", () => step(-1));
  byId("forth").addEventListener("click", () => step(1));
  byId("speed").addEventListener("change", (event) => { for (const video of videos) video.playbackRate = Number(event.target.value); });
  seekBar.max = data.duration;
  seekBar.addEventListener("input", () => { pause(); seek(Number(seekBar.value)); });
  document.addEventListener("keydown", (event) => {
    if (/^(INPUT|SELECT|BUTTON)$/.test(event.target.tagName)) return;
    if (event.key === " ") play.click();
    else if (event.key === "ArrowLeft") step(-1);
    else if (event.key === "ArrowRight") step(1);
    else return;
    event.preventDefault();
  });

  // Side by side, or one above the other with a slider.
  const modes = { beside: byId("beside"), wipe: byId("wipe") }, slider = byId("wiper"), chosen = byId("chosen");
  function mode(name) {
    stage.classList.toggle("wipe", name === "wipe");
    for (const [key, button] of Object.entries(modes)) button.setAttribute("aria-pressed", String(key === name));
    byId("wiping").hidden = name !== "wipe";
  }
  function choose() {
    stage.querySelectorAll("figure").forEach((figure, number) => figure.classList.toggle("chosen", number === Number(chosen.value)));
  }
  function wipeTo(percent) {
    slider.value = Math.min(Math.max(percent, 0), 100);
    stage.style.setProperty("--wipe", slider.value + "%");
  }
  for (const name of Object.keys(modes)) modes[name].addEventListener("click", () => mode(name));
  chosen.addEventListener("change", choose);
  slider.addEventListener("input", () => wipeTo(Number(slider.value)));
  stage.addEventListener("pointerdown", (event) => { if (stage.classList.contains("wipe")) { stage.setPointerCapture(event.pointerId); drag(event); } });
  stage.addEventListener("pointermove", (event) => { if (stage.hasPointerCapture(event.pointerId)) drag(event); });
  function drag(event) {
    const box = stage.getBoundingClientRect();
    wipeTo(100 * (event.clientX - box.left) / box.width);
  }
  mode("beside"); choose(); wipeTo(50);

  // Plots: a line for every edit, the source's own dashed, and the player's time as a cursor.
  const WIDTH = 460, HEIGHT = 150, LEFT = 52, RIGHT = 10, TOP = 8, BOTTOM = 20;
  const COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8a6d3b", "#7f5fc4"];
  const cursors = [];
  function svg(name, attributes, parent, text) {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (text !== undefined) made.textContent = text;
    parent.append(made);
    return made;
  }
  function element(name, parent, text) {
    const made = document.createElement(name);
    if (text !== undefined) made.textContent = text;
    parent.append(made);
    return made;
  }
  function number(value, digits = 4) {
    if (value === null || value === undefined) return "–";
    const small = value !== 0 && Math.abs(value) < 0.001;
    return small ? value.toExponential(digits - 2) : String(Number(value.toPrecision(digits)));
  }
  const x = (time) => LEFT + (WIDTH - LEFT - RIGHT) * (data.duration > 0 ? time / data.duration : 0);
  function plot(entry) {
    const box = element("div", byId("plots"));
    box.className = "plot";
    box.dataset.metric = entry.name;
    element("h3", box, entry.name + (entry.unit ? ", " + entry.unit : "") + (entry.model ? " (" + entry.model + ")" : ""));
    const canvas = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": entry.name + " over time" }, box);
    let low = Infinity, high = -Infinity;
    for (const line of entry.lines) for (const value of line.values) if (value !== null) { low = Math.min(low, value); high = Math.max(high, value); }
    if (low > high) { low = 0; high = 1; }
    const pad = high > low ? 0.06 * (high - low) : Math.max(Math.abs(high) * 0.05, 0.5);
    low -= pad; high += pad;
    const y = (value) => HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (value - low) / (high - low);
    for (const share of [0.06, 0.5, 0.94]) {
      const value = low + share * (high - low);
      svg("line", { x1: LEFT, x2: WIDTH - RIGHT, y1: y(value), y2: y(value), class: "axis" }, canvas);
      svg("text", { x: LEFT - 5, y: y(value) + 4, "text-anchor": "end" }, canvas, number(value, 3));
    }
    for (const share of [0, 0.5, 1]) {
      const anchor = share === 0 ? "start" : share === 1 ? "end" : "middle";
      svg("text", { x: x(share * data.duration), y: HEIGHT - 5, "text-anchor": anchor }, canvas, (share * data.duration).toFixed(2) + " s");
    }
    const key = element("div", box), readings = [];
    key.className = "key";
    for (const line of entry.lines) {
      const own = line.edit < 0;
      const colour = own ? "#888" : COLOURS[line.edit % COLOURS.length];
      let path = "", pen = "M";
      line.values.forEach((value, index) => {
        if (value === null) { pen = "M"; return; }
        path += `${pen}${x(data.times[index]).toFixed(2)} ${y(value).toFixed(2)}`;
        pen = "L";
      });
      svg("path", { d: path, fill: "none", stroke: colour, "stroke-width": 1.6, "stroke-linejoin": "round", "stroke-linecap": "round", ...(own ? { "stroke-dasharray": "4 3" } : {}) }, canvas);
      const label = element("span", key);
      const mark = element("i", label);
      mark.style.borderTopColor = colour;
      if (own) mark.style.borderTopStyle = "dashed";
      element("b", label, data.names[line.edit + 1] + " ").style.fontWeight = "normal";
      readings.push([element("output", label), line.values]);
    }
    const cursor = svg("line", { x1: LEFT, x2: LEFT, y1: TOP, y2: HEIGHT - BOTTOM, class: "cursor" }, canvas);
    cursors.push({ cursor, readings });
    canvas.addEventListener("click", (event) => {
      const area = canvas.getBoundingClientRect();
      const at = ((event.clientX - area.left) / area.width * WIDTH - LEFT) / (WIDTH - LEFT - RIGHT);
      pause();
      seek(data.times[frameAt(Math.min(Math.max(at, 0), 1) * data.duration)] + MARGIN);
    });
  }
  function show(time) {
    const point = frameAt(time);
    clock.textContent = `${time.toFixed(3)} s, frame ${point * data.stride} of ${data.frames}`;
    if (document.activeElement !== seekBar || master.paused) seekBar.value = time;
    for (const { cursor, readings } of cursors) {
      cursor.setAttribute("x1", x(time)); cursor.setAttribute("x2", x(time));
      for (const [output, values] of readings) output.textContent = number(values[point]);
    }
  }
  data.plots.forEach(plot);
  show(0);
  document.documentElement.dataset.ready = "yes";
})();
