
/* ---- one episode ---- */

const HUES = 8; // number of turn colours in the style sheet
const CROP_SIDE = 320; // longer side in pixels at which views are shown beside their turn
const SMALL_SIDE = 150; // the same, with a short caption, if a turn has many, such as the frames of a clip

/** "0.25 0.50 – 0.40 0.65": a unit box with two decimals, or three if it is small. */
function boxText(box) {
  const digits = Math.min(box[2] - box[0], box[3] - box[1]) < 0.1 ? 3 : 2;
  const [x0, y0, x1, y1] = box.map((value) => Number(value).toFixed(digits));
  return `${x0} ${y0} – ${x1} ${y1}`;
}

function callText(turn) {
  if (turn.tool === "code" && typeof turn.args.source === "string") return codeListing(turn.args.source);
  const value = (v) => Array.isArray(v) && v.length === 4 && v.every((n) => typeof n === "number") ? boxText(v) : typeof v === "string" ? v : JSON.stringify(v);
  const parts = Object.entries(turn.args).map(([name, v]) => h("span", {}, h("i", {}, name), " ", value(v)));
  return h("p", { class: "call" }, h("b", {}, turn.tool), parts);
}

/** A thumbnail, shown with at most `side` pixels on its longer side. */
function picture(thumb, alt, side = Infinity) {
  if (!thumb.file) return h("div", { class: "nopicture", role: "img", "aria-label": `${alt}: ${thumb.note}` }, thumb.note);
  const scale = Math.min(1, side / Math.max(...thumb.size));
  const [width, height] = thumb.size.map((value) => Math.max(1, Math.round(value * scale)));
  const image = h("img", { src: imageAddress(thumb.file), alt, loading: "lazy", width, height });
  image.addEventListener("error", () => image.replaceWith(h("div", { class: "nopicture" }, `thumbs/${thumb.file} is not beside this page`)));
  return image;
}

let embedded = null;

function imageAddress(file) {
  embedded ||= new Map($("thumbs").textContent.split("\n").filter(Boolean).map((line) => line.split(" ")));
  return embedded.has(file) ? `data:image/jpeg;base64,${embedded.get(file)}` : `thumbs/${file}`;
}

function rectangle(box, kind) {
  const shape = document.createElementNS("http://www.w3.org/2000/svg", "rect");
  const [x0, y0, x1, y1] = box;
  for (const [name, value] of Object.entries({ x: x0, y: y0, width: Math.max(0, x1 - x0), height: Math.max(0, y1 - y0), class: kind })) shape.setAttribute(name, value);
  return shape;
}

const BADGE = [22, 20]; // width and height of a badge in pixels, as in the style sheet
const FRAME = 420; // width in pixels at which badges must not overlap; a wider picture leaves more room

/**
 * Where the number of a view is written: in the corner of a large view, and outside of a small one, of which it would
 * cover too much; but never on a target or another badge if there is room elsewhere. Returns [left, top, shift x,
 * shift y]: the corner as a share of the picture, and the shift from there in badges.
 */
function badgeSpot(view, targets, taken, [width, height]) {
  const [x0, y0, x1, y1] = view.box;
  const scale = Math.min(1, FRAME / width);
  const [w, tall] = [BADGE[0] / (width * scale), BADGE[1] / (height * scale)];
  const outside = [[x0, y0, 0, -1], [x0, y1, 0, 0], [x0, y0, -1, 0], [x1, y0, 0, 0], [x1, y1, -1, 0], [x1, y0, -1, -1]];
  const rect = ([left, top, dx, dy]) => [left + dx * w, top + dy * tall, left + (dx + 1) * w, top + (dy + 1) * tall];
  const meets = (a, b) => a[0] < b[2] && b[0] < a[2] && a[1] < b[3] && b[1] < a[3];
  const inside = ([a, b, c, d]) => a >= 0 && b >= 0 && c <= 1 && d <= 1;
  const steps = [...Array(12).keys()].map((step) => [x0, y0, step, 0]); // one badge beside the other
  const within = steps.filter(([, , step]) => x0 + (step + 1) * w <= x1);
  const free = (spot, others) => inside(rect(spot)) && !others.some((other) => meets(rect(spot), other));
  const spots = x1 - x0 > 4 * w && y1 - y0 > 4 * tall ? [...within, ...outside] : [...outside, ...within];
  const spot = spots.find((one) => free(one, [...targets, ...taken])) || steps.find((one) => free(one, taken)) || steps[0];
  taken.push(rect(spot));
  return spot;
}

/** The picture with every requested view drawn on it, numbered by view and coloured by turn; targets are dashed. */
function canvas(episode, at, prefix) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 1 1");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("aria-hidden", "true");
  const badges = [];
  const taken = [];
  const targets = episode.targets.filter((one) => one.picture === at);
  const size = episode.pictures[at].size || [640, 480];
  for (const view of episode.views.filter((one) => one.picture === at)) {
    const hue = `hue${view.turn % HUES}`;
    svg.append(rectangle(view.box, "casing look"), rectangle(view.box, `look ${hue}`));
    const [left, top, dx, dy] = badgeSpot(view, targets.map((one) => one.box), taken, size);
    const badge = h("a", { class: `badge look ${hue}`, href: `#${prefix}-turn-${view.turn}`, "aria-label": `View ${view.index}, turn ${view.turn + 1}` }, String(view.index));
    badge.style.left = `clamp(0px, ${left * 100}% + ${dx * BADGE[0]}px, 100% - ${BADGE[0]}px)`;
    badge.style.top = `clamp(0px, ${top * 100}% + ${dy * BADGE[1]}px, 100% - ${BADGE[1]}px)`;
    badge.addEventListener("click", (event) => { event.preventDefault(); document.getElementById(`${prefix}-turn-${view.turn}`)?.scrollIntoView({ block: "center", behavior: "smooth" }); });
    badges.push(badge);
  }
  for (const target of targets) svg.append(rectangle(target.box, "casing target"), rectangle(target.box, "target"));
  if (episode.located && at === 0) svg.append(rectangle(episode.located, "located"));
  const frame = h("div", { class: "frame" }, picture(episode.pictures[at], `Picture ${at} of ${episode.task}`), svg, badges);
  return h("figure", { class: "canvas" }, frame);
}

function legend(episode, board) {
  const toggle = (name, label, on) => {
    const box = h("input", { type: "checkbox", name, checked: true });
    box.addEventListener("change", () => board.classList.toggle(`hide-${name}`, !box.checked));
    return on ? h("label", {}, box, h("span", { class: `key ${name}` }), label) : null;
  };
  return h("div", { class: "legend" }, toggle("looks", "views, by turn", episode.views.length), toggle("targets", "target", episode.targets.length), toggle("located", episode.span ? "answered" : "located", episode.located || episode.span));
}

function outcome(episode) {
  if (episode.kind === "box") {
    const gold = episode.targets.length ? "the dashed region" : "not in the picture";
    return h("dl", { class: "answers" }, episode.truth && fact("Wanted", gold), fact("Located", episode.located ? boxText(episode.located) : "nothing"));
  }
  const wanted = episode.targets.filter((one) => one.time && one.picture === episode.timed).map((one) => spanText(one.time)).join(", ");
  const evidence = [wanted && fact("Interval", wanted), episode.span && fact("Answered", spanText(episode.span))];
  if (episode.kind === "span") return h("dl", { class: "answers" }, evidence, !episode.span && fact("Answered", "nothing"));
  const chosen = episode.answer.trim();
  if (!episode.choices.length) return h("dl", { class: "answers" }, fact("Expected", episode.gold), fact("Answered", chosen || "nothing"), evidence);
  const options = episode.choices.map((text, i) => {
    const letter = String.fromCharCode(65 + i);
    const [gold, mine] = [letter === episode.gold, letter === chosen];
    const said = [gold && "right", mine && "answered"].filter(Boolean).join(", ");
    return h("li", { class: [gold && "gold", mine && "mine"].filter(Boolean).join(" ") }, h("b", {}, letter), h("span", {}, text), said && h("em", {}, said));
  });
  const odd = !options.some((option) => option.classList.contains("mine"));
  return [h("ul", { class: "choices" }, options), h("dl", { class: "answers" }, odd && fact("Answered", chosen || "nothing"), evidence)];
}

const fact = (name, value) => h("div", {}, h("dt", {}, name), h("dd", {}, value));
const signed = (value) => typeof value === "number" ? value.toFixed(Math.abs(value) < 0.1 && value ? 3 : 2).replace("-", "−") : String(value);
const terms = (values) => Object.keys(values).length > 0 && h("p", { class: "terms" }, Object.entries(values).map(([name, value]) => h("span", {}, name, " ", h("b", {}, signed(value)))));

function crop(view, side) {
  const where = view.time ? ` at ${clock(view.time[0])}` : view.box ? ` of picture ${view.picture}, ${boxText(view.box)}` : "";
  const made = view.made_by ? ` · ${view.made_by}` : "";
  const scaled = view.shown.join() === view.native.join() ? "native" : `from ${view.native.join("×")}`;
  const caption = side === SMALL_SIDE ? [h("b", {}, String(view.index)), view.time && ` ${clock(view.time[0])}`]
    : [h("b", {}, `View ${view.index}`), view.time && ` ${clock(view.time[0])},`, ` ${view.shown.join("×")} px, ${scaled}${made}`];
  return h("figure", { class: `crop hue${view.turn % HUES}` }, picture(view.thumb, `View ${view.index}${where}`, side), h("figcaption", {}, caption));
}

function turnCard(episode, turn, number, prefix) {
  const views = episode.views.filter((view) => turn.views.includes(view.index));
  const said = turn.thought || (turn.tool === "noop" ? turn.text : "");
  const trouble = [turn.error, turn.finish === "stop" ? "" : `finish: ${turn.finish}`, turn.trouble].filter(Boolean);
  const left = turn.dropped && `New segment: ${turn.dropped.length === 1 ? "view" : "views"} ${turn.dropped.join(", ")} left the dialogue`;
  return h("li", { class: `turn hue${number % HUES}`, id: `${prefix}-turn-${number}` },
    left && h("p", { class: "cut" }, left),
    h("h3", {}, h("span", { class: "dot" }), `Turn ${number + 1}`, trouble.map((text) => h("span", { class: "trouble" }, text)), !turn.well_formed && h("span", { class: "trouble soft" }, "format")),
    said && h("p", { class: "thought" }, said),
    turn.tool !== "noop" && callText(turn),
    views.length > 0 && h("div", { class: "crops" }, views.map((view) => crop(view, views.length > 4 ? SMALL_SIDE : CROP_SIDE))),
    turn.feedback && h("p", { class: `feedback${turn.error ? " bad" : ""}${turn.tool === "code" ? " output" : ""}` }, turn.feedback),
    turn.children.map((at) => childCard(episode.children[at], `${prefix}-c${at}`)),
    terms(turn.terms),
    turn.text && h("details", { class: "raw" }, h("summary", {}, "Reply as written"), h("pre", {}, turn.text)));
}

/** A delegated episode, rendered when it is first expanded. */
function childCard(child, prefix) {
  if (!child) return null;
  const came = child.truth ? child.verdict : child.located ? "found" : child.stop === "located" ? "not found" : child.stop;
  const label = `Delegated to ${child.agent}: “${child.question}” – ${came}, ${child.turns.length} turn${child.turns.length === 1 ? "" : "s"}`;
  const card = h("details", { class: "child" }, h("summary", {}, label));
  card.addEventListener("toggle", () => { if (card.open && card.children.length === 1) card.append(body(child, prefix)); });
  return card;
}

function body(episode, prefix) {
  const board = h("div", { class: "board" });
  board.append(...episode.pictures.map((one, at) => (one.duration === undefined ? canvas : filmBoard)(episode, at, prefix)), legend(episode, board));
  const linked = new Set(episode.turns.flatMap((turn) => turn.children));
  const rest = episode.children.map((child, at) => linked.has(at) ? null : childCard(child, `${prefix}-c${at}`));
  return h("div", { class: "body" },
    h("div", { class: "left" }, board, outcome(episode), terms(episode.terms)),
    h("div", { class: "right" }, h("ol", { class: "turns" }, episode.turns.map((turn, i) => turnCard(episode, turn, i, prefix))), rest));
}

function showEpisode(place, row, episode) {
  const at = state.matches.indexOf(row);
  const button = (text, label, by, off) => {
    const element = h("button", { type: "button", "aria-label": label, disabled: off }, text);
    element.addEventListener("click", () => step(by));
    return element;
  };
  const back = h("a", { class: "back", href: address("") }, "← Run");
  const facts = h("details", { class: "facts" }, h("summary", {}, "Details"), h("dl", {}, [["group", row.group], ["sample", String(row.sample)], ...episode.facts].map(([name, value]) => fact(name, value))));
  const rated = episode.facts.filter(([name]) => ["score", "reward"].includes(name)).map(([name, value]) => h("span", { class: "chip" }, `${name} ${value}`));
  place.replaceChildren(
    h("nav", { "aria-label": "Episodes" }, back, h("span", { class: "where" }, at < 0 ? "" : `${at + 1} of ${state.matches.length}`), button("‹", "Previous episode", -1, at <= 0), button("›", "Next episode", 1, at === state.matches.length - 1)),
    h("h2", { class: "asked" }, episode.question),
    h("p", { class: "chips" }, h("span", { class: `chip ${episode.verdict}` }, `${MARKS[episode.verdict]} ${episode.verdict}`), h("span", { class: "chip" }, episode.stop), h("span", { class: "chip" }, row.arm), row.sample > 0 && h("span", { class: "chip" }, `sample ${row.sample}`), row.family !== NO_FAMILY && h("span", { class: "chip" }, row.family), rated),
    body(episode, "e"),
    facts);
}
