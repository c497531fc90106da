/** Lines of the shell as words: quotes and backslashes as in a POSIX shell, and nothing else of one. */
import { usageError } from './exit-codes.ts';

const BLANK = /\s/;

/** The words of a line. A `#` that begins a word begins a comment. Ending(usage) with the position of an open quote. */
export function splitLine(line: string): string[] {
  const words: string[] = [];
  let word: string | undefined;
  for (let i = 0; i < line.length; i++) {
    const char = line.charAt(i);
    if (BLANK.test(char)) {
      if (word !== undefined) words.push(word);
      word = undefined;
    } else if (char === '#' && word === undefined) {
      break;
    } else if (char === '\\') {
      if (i + 1 === line.length) throw usageError(`the backslash at position ${i + 1} has nothing behind it`);
      i++;
      word = (word ?? '') + line.charAt(i);
    } else if (char === "'" || char === '"') {
      const [text, end] = quoted(line, i, char);
      word = (word ?? '') + text;
      i = end;
    } else word = (word ?? '') + char;
  }
  if (word !== undefined) words.push(word);
  return words;
}

/** What stands between the quote at `start` and its partner, and where the partner is. */
function quoted(line: string, start: number, quote: string): [string, number] {
  let text = '';
  for (let i = start + 1; i < line.length; i++) {
    const char = line.charAt(i);
    const next = line.charAt(i + 1);
    if (char === quote) return [text, i];
    if (quote === '"' && char === '\\' && (next === '"' || next === '\\')) {
      text += next;
      i++;
    } else text += char;
  }
  throw usageError(`the quote ${quote} at position ${start + 1} is not closed`);
}

/** The word as it is typed, so that our shell and a POSIX one read it as `text`. */
export function quoteWord(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

/** `key=value` taken apart; Ending(usage) that names a word without `=`. */
export function splitAssignment(word: string): [string, string] {
  const at = word.indexOf('=');
  if (at < 0) throw usageError(`'${word}' has no '='; parameters are given as name=value`);
  if (at === 0) throw usageError(`'${word}' has no name before its '='`);
  return [word.slice(0, at), word.slice(at + 1)];
}
