/** What is wrong with a text that is no JSON, without the piece of it that V8 repeats: that may hold a password. */
export function jsonFault(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.replace(/,? (?:\.\.\.)?".*$/s, '');
}
