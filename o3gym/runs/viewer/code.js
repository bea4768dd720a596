
/* ---- code that a model wrote ---- */

const KEYWORDS = new Set("False None True and as assert async await break class continue def del elif else except finally for from global if import in is lambda nonlocal not or pass raise return try while with yield".split(" "));
const TOKEN = /(#[^\n]*)|((?:\b[rbuf]{1,2})?(?:"""[^]*?(?:"""|$)|'''[^]*?(?:'''|$)|"(?:\\[^]|[^"\\\n]+)*"?|'(?:\\[^]|[^'\\\n]+)*'?))|(\b\d[\w.]*)|([A-Za-z_]\w*)|([^])/giy;
const HIGHLIGHTED = 20000; // characters; longer code is shown in one colour
const KINDS = ["remark", "text", "number"];

/** Splits Python into [kind, text] pairs, which joined are the source again; most of it has the kind "". */
function tokens(source) {
  const found = [];
  for (const [all, ...groups] of source.matchAll(TOKEN)) {
    const at = groups.findIndex((group) => group !== undefined);
    const kind = at === 3 ? (KEYWORDS.has(all) ? "keyword" : "") : KINDS[at] || "";
    const last = found[found.length - 1];
    if (last && last[0] === kind) last[1] += all;
    else found.push([kind, all]);
  }
  return found;
}

/** Python with numbered lines, because tracebacks name them. Like all that a model wrote, it is text and never markup. */
function codeListing(source) {
  const parts = source.length > HIGHLIGHTED ? source : tokens(source).map(([kind, text]) => kind ? h("span", { class: kind }, text) : text);
  const numbers = source.replace(/\n$/, "").split("\n").map((_, at) => at + 1).join("\n");
  return h("div", { class: "lines" }, h("pre", { class: "numbers", "aria-hidden": "true" }, numbers), h("pre", { class: "code", tabindex: "0" }, parts));
}
