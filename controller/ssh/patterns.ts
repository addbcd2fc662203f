/** True where a list as ssh(1) writes it, by comma and with `*` and `?`, has this name; those with `!` exclude. */
export function matchesPatterns(patterns: string, name: string): boolean {
  let found = false;
  for (const pattern of patterns.split(",")) {
    if (pattern.startsWith("!")) {
      if (isLike(pattern.slice(1), name)) return false;
    } else if (isLike(pattern, name)) found = true;
  }
  return found;
}

function isLike(pattern: string, name: string): boolean {
  const source = pattern
    .replaceAll(/[\\^$.|+()[\]{}]/g, "\\$&")
    .replaceAll(/\*+/g, ".*")
    .replaceAll("?", ".");
  return new RegExp(`^${source}$`).test(name);
}
