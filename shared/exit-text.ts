/** What a help text ends with. */
export function exitText(statuses: Readonly<Record<number, string>>): string {
  const told = Object.entries(statuses).map(([status, meaning]) => `${status} ${meaning}`);
  return `Exit: ${told.join(", ")}.`;
}
