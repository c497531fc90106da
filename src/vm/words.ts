/** Words with `*` for anything, looked for in text that a guest decides on: in time that only grows with its length. */

/** The first piece of a line that the words are, from the first of them to the last; undefined where there is none. */
export function findWords(words: string, text: string): string | undefined {
  const pieces = words.split('*').filter((piece) => piece !== '');
  for (const line of text.split('\n')) {
    const found = findInLine(pieces, line);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** What follows the earliest place of a piece is all that a later place could offer, and more: no way back is needed. */
function findInLine(pieces: readonly string[], line: string): string | undefined {
  let begin: number | undefined;
  let end = 0;
  for (const piece of pieces) {
    const at = line.indexOf(piece, end);
    if (at < 0) return undefined;
    begin ??= at;
    end = at + piece.length;
  }
  return line.slice(begin, end);
}
