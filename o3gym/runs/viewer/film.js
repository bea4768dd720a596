
/* ---- a video of an episode ---- */

/** "1:02.5": a time in minutes and seconds, or "7.5 s" below a minute. */
function clock(seconds) {
  const rounded = Math.round(seconds * 10) / 10;
  if (rounded < 60) return `${rounded} s`;
  const rest = (rounded % 60).toFixed(1).padStart(4, "0").replace(".0", "");
  return `${Math.floor(rounded / 60)}:${rest}`;
}

const spanText = ([start, end]) => `${clock(start)} – ${clock(end)}`;

/** What was looked at in a video, as {turn, span, views}, in the order of turns: a clip is one look, frames are several. */
function looksAt(episode, at) {
  const looks = new Map();
  for (const view of episode.views.filter((one) => one.video === at && one.time)) {
    const key = episode.turns[view.turn]?.tool === "clip" ? view.turn : `view ${view.index}`;
    const look = looks.get(key) || { turn: view.turn, span: [...view.time], views: 0 };
    look.span = [Math.min(look.span[0], view.time[0]), Math.max(look.span[1], view.time[1])];
    look.views += 1;
    looks.set(key, look);
  }
  return [...looks.values()].sort((a, b) => a.turn - b.turn || a.span[0] - b.span[0]);
}

/** Puts each look into the first row in which it touches no other; returns the row of each. */
function rowsOf(looks, room) {
  const ends = [];
  return looks.map(({ span }) => {
    const width = Math.max(span[1] - span[0], room);
    const found = ends.findIndex((end) => end <= span[0]);
    const row = found < 0 ? ends.length : found;
    ends[row] = span[0] + width;
    return row;
  });
}

const LOOK_ROOM = 0.05; // share of the time line that a look's number takes at least

/** The time line: first frames as ticks, looks as numbered bars by turn, targets and the answer as bands. */
function timeline(episode, at, film, prefix, seek) {
  const share = (time) => `${Math.min(Math.max(time / film.duration, 0), 1) * 100}%`;
  const place = (element, [start, end]) => { element.style.left = share(start); element.style.width = `max(3px, ${Math.min(Math.max((end - start) / film.duration, 0), 1) * 100}%)`; return element; };
  const looks = looksAt(episode, at);
  const rows = rowsOf(looks, LOOK_ROOM * film.duration);
  const bars = looks.map((look, i) => {
    const bar = h("a", { class: `bar look hue${look.turn % HUES}`, href: `#${prefix}-turn-${look.turn}`, title: spanText(look.span), "aria-label": `Turn ${look.turn + 1} looks at ${spanText(look.span)}, ${look.views} frame${look.views === 1 ? "" : "s"}` }, h("b", {}, String(look.turn + 1)));
    bar.style.top = `${rows[i] * 24}px`;
    bar.addEventListener("click", (event) => { event.preventDefault(); seek(look.span[0]); document.getElementById(`${prefix}-turn-${look.turn}`)?.scrollIntoView({ block: "center", behavior: "smooth" }); });
    return place(bar, look.span);
  });
  const targets = episode.targets.filter((one) => one.picture === at && one.time);
  const bands = targets.map((one) => place(h("span", { class: "band target", role: "img", title: `target ${spanText(one.time)}`, "aria-label": `Target: ${spanText(one.time)}` }), one.time));
  const answered = episode.span && at === episode.timed ? [place(h("span", { class: "band located", role: "img", title: `answered ${spanText(episode.span)}`, "aria-label": `Answered: ${spanText(episode.span)}` }), episode.span)] : [];
  const ticks = film.frames.map((frame) => place(h("i", {}), [frame.time[0], frame.time[0]]));
  const track = h("div", { class: "track" }, bands, answered, bars);
  track.style.height = `${Math.max(...rows, 0) * 24 + 22}px`;
  return h("div", { class: "timeline" }, track, h("div", { class: "ticks", "aria-hidden": "true" }, ticks), h("div", { class: "ends" }, h("span", {}, "0 s"), h("span", {}, clock(film.duration))));
}

/** A video: the player if it is a file, the frames that were shown first, and the time line. */
function filmBoard(episode, at, prefix) {
  const film = episode.pictures[at];
  const player = film.address && h("video", { src: film.address, controls: true, preload: "none", "aria-label": `Video ${at} of ${episode.task}` });
  if (player) player.addEventListener("error", () => player.replaceWith(h("p", { class: "note" }, `The browser cannot play ${film.name}.`)));
  const seek = (time) => { if (player?.isConnected) player.currentTime = time; };
  const frames = film.frames.map((frame) => {
    const shown = h("figure", { class: "cell" }, picture(frame.thumb, `Frame at ${clock(frame.time[0])}`, 150), h("figcaption", {}, clock(frame.time[0])));
    shown.addEventListener("click", () => seek(frame.time[0]));
    return shown;
  });
  const left = film.shown - film.frames.length;
  const note = film.note || (left > 0 ? `${left} of the ${film.shown} frames that were shown first are left out here.` : "");
  const name = episode.pictures.length > 1 ? h("h3", {}, `Video ${at + 1}`) : null;
  return h("section", { class: "film" }, name, player, film.duration > 0 && timeline(episode, at, film, prefix, seek), h("div", { class: "reel" }, frames), note && h("p", { class: "note" }, note));
}
