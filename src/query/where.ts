/**
 * The `where` expression:
 *
 *     expression = all { OR all }
 *     all        = one { AND one }
 *     one        = NOT one | "(" expression ")" | condition
 *     condition  = name sign value
 *                | name ( "?=" | "!?=" ) items
 *                | name [NOT] LIKE value
 *                | name [NOT] IN ( "(" items ")" | items )
 *                | name ( IS NULL | IS NOT NULL | NOT NULL )
 *     sign       = "=" | "!=" | ">" | ">=" | "<" | "<=" | "~=" | "!~="
 *     items      = value { "," value }
 *     value      = quoted | bare
 *
 * Quoted values stand in '…' or "…", in which the quote itself is written twice. Bare ones end at a blank or a
 * parenthesis, and in lists at a comma, which a backslash keeps. A bare `null` after = or != is the null test.
 * Words are taken in any case.
 */
import { IngotError } from '../kernel/errors.ts';
import { type Condition, escapeItem, operatorOf } from './condition.ts';
import { type Expression, pointAt } from './expression.ts';

/** Parentheses and NOTs inside each other. */
const DEEPEST = 100;

const BLANKS = /\s*/y;
const NAME = /[A-Za-z_][A-Za-z0-9_.]*/y;
const SIGN = /\s*(!\?=|!~=|\?=|~=|!=|>=|<=|=|>|<)\s*/y;
const WORD_OPERATOR =
  /\s+(is\s+not\s+null|is\s+null|not\s+null|not\s+in|not\s+like|in|like)(?![A-Za-z0-9_.])\s*/iy;
const BARE = /[^\s()]+/y;
const BARE_ITEM = /(?:\\[\\,()]|[^\s(),])+/y;
const QUOTED = /'(?:[^']|'')*'|"(?:[^"]|"")*"/y;

/** @throws {IngotError} SYS.1007 that says where it can't be read; what `tooMany` gives, above `most` conditions. */
export function parseWhere(text: string, most: number, tooMany: (found: number) => IngotError): Expression {
  return new Parser(text, most, tooMany).parse();
}

class Parser {
  readonly #text: string;
  readonly #most: number;
  readonly #tooMany: (found: number) => IngotError;
  #at = 0;
  #depth = 0;
  #conditions = 0;

  constructor(text: string, most: number, tooMany: (found: number) => IngotError) {
    this.#text = text;
    this.#most = most;
    this.#tooMany = tooMany;
  }

  parse(): Expression {
    const expression = this.#expression();
    if (this.#at < this.#text.length) {
      throw this.#text[this.#at] === ')'
        ? this.#problem('this ) closes nothing')
        : this.#problem('AND, OR or the end is expected here');
    }
    return expression;
  }

  #expression(): Expression {
    return this.#joined('any', 'or', () => this.#joined('all', 'and', () => this.#one()));
  }

  #joined(kind: 'all' | 'any', word: string, next: () => Expression): Expression {
    const first = next();
    const parts = [first];
    while (this.#word(word)) parts.push(next());
    return parts.length === 1 ? first : { kind, parts };
  }

  #one(): Expression {
    this.#blanks();
    const start = this.#at;
    if (this.#word('not')) return this.#inside(start, () => ({ kind: 'not', part: this.#one() }));
    if (this.#text[this.#at] !== '(') return this.#condition();
    this.#at++;
    return this.#inside(start, () => {
      const expression = this.#expression();
      if (this.#text[this.#at] !== ')') {
        throw this.#at < this.#text.length
          ? this.#problem('AND, OR or ) is expected here')
          : this.#problem('this ( is never closed', start);
      }
      this.#at++;
      this.#blanks();
      return expression;
    });
  }

  #inside(start: number, read: () => Expression): Expression {
    if (++this.#depth > DEEPEST) throw this.#problem(`more than ${DEEPEST} levels are nested here`, start);
    const expression = read();
    this.#depth--;
    return expression;
  }

  #condition(): Expression {
    const offset = this.#at;
    const name = this.#match(NAME)?.[0];
    if (name === undefined) throw this.#problem('a field name, NOT or ( is expected here');
    if (++this.#conditions > this.#most) throw this.#tooMany(Number.POSITIVE_INFINITY);
    const condition = { name, ...this.#test() };
    this.#blanks();
    return { kind: 'condition', condition, place: { text: this.#text, offset } };
  }

  #test(): Omit<Condition, 'name'> {
    const written =
      this.#match(SIGN)?.[1] ?? this.#match(WORD_OPERATOR)?.[1]?.toLowerCase().replace(/\s+/g, ' ');
    if (written === undefined) {
      throw this.#problem('an operator such as =, !=, >, ~=, ?=, in, like or is null is expected here');
    }
    const op = operatorOf(written);
    if (op === 'is null' || op === 'is not null') return { op };
    if (op === 'in' || op === 'not in') {
      const values = this.#list();
      return { op, value: values.map(escapeItem).join(','), values };
    }
    if ((op === '=' || op === '!=') && this.#word('null'))
      return { op: op === '=' ? 'is null' : 'is not null' };
    return { op, value: this.#value(BARE) };
  }

  #list(): string[] {
    if (this.#text[this.#at] !== '(') return this.#items();
    const start = this.#at++;
    this.#blanks();
    const items = this.#text[this.#at] === ')' ? [] : this.#items();
    if (this.#text[this.#at] !== ')') {
      throw this.#at < this.#text.length
        ? this.#problem('a comma or ) is expected here')
        : this.#problem('this ( is never closed', start);
    }
    this.#at++;
    return items;
  }

  #items(): string[] {
    const items: string[] = [];
    for (;;) {
      items.push(this.#value(BARE_ITEM));
      this.#blanks();
      if (this.#text[this.#at] !== ',') return items;
      this.#at++;
      this.#blanks();
    }
  }

  #value(bare: RegExp): string {
    const quote = this.#text[this.#at];
    if (quote === "'" || quote === '"') {
      const quoted = this.#match(QUOTED)?.[0];
      if (quoted === undefined) throw this.#problem(`this ${quote} is never closed`);
      return quoted.slice(1, -1).replaceAll(quote + quote, quote);
    }
    const word = this.#match(bare)?.[0];
    if (word === undefined) throw this.#problem("a value is expected here; '' is the empty one");
    return bare === BARE_ITEM ? word.replace(/\\([\\,()])/g, '$1') : word;
  }

  /** Takes the word, and the blanks around it, where it stands here as a whole. */
  #word(word: string): boolean {
    const end = this.#at + word.length;
    if (this.#text.slice(this.#at, end).toLowerCase() !== word) return false;
    if (/[^\s()]/.test(this.#text[end] ?? ' ')) return false;
    this.#at = end;
    this.#blanks();
    return true;
  }

  #blanks(): void {
    this.#match(BLANKS);
  }

  #match(pattern: RegExp): RegExpExecArray | undefined {
    pattern.lastIndex = this.#at;
    const match = pattern.exec(this.#text);
    if (match) this.#at = pattern.lastIndex;
    return match ?? undefined;
  }

  #problem(problem: string, offset = this.#at): IngotError {
    return new IngotError(
      'SYS.1007',
      `the where expression can't be read: at position ${offset + 1}, ${problem}`,
      {
        elaboration: pointAt({ text: this.#text, offset }),
        opaque: { parameter: 'where', position: offset + 1 },
      },
    );
  }
}
