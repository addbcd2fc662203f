/*
 * string-width as the bundles see it: what is plain ASCII is as wide as it is long. The package itself, which
 * loads the tables of Unicode with its import, is asked for the rest only.
 */
type StringWidth = (text: string) => number;

function stringWidth(text: string): number {
  return /^[ -~]*$/.test(text) ? text.length : exact()(text);
}

function exact(): StringWidth {
  return require("../node_modules/string-width/index.js").default;
}

// biome-ignore lint/style/noDefaultExport: it stands in for a package that has one
export { stringWidth as default };
