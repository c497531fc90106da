import type { Head } from './head.ts';
import { quotable, refusal } from './refusal.ts';

/**
 * Refuses text: the page that a server, a proxy or a login wall sends in place of an image, and text files.
 * @param head may end anywhere, also within a character
 * @param isWhole whether that is the whole file
 */
export function refuseText(head: Head, isWhole: boolean): void {
  const text = decode(head);
  if (text === undefined) return;
  const start = text.replace(/^[\uFEFF\s]+/u, '');
  if (/^<(?:!doctype\s+html|html|head|body|script)[\s>]/i.test(skipProlog(start))) {
    const title = quotable(unescapeEntities(/<title[^>]*>([^<]*)/i.exec(start)?.[1] ?? ''));
    throw refusal(
      'html',
      `The image looks like a web page${title && ` with the title "${title}"`}, not like a disk. Open the address in a browser to see what the server says, and use the address of the file itself`,
    );
  }
  if (/^<\?xml\s/i.test(start) || (/^<[a-z!]/i.test(start) && isPlain(text))) {
    const words = quotable(unescapeEntities(start.replace(/<[^>]*>?/g, ' ')));
    throw refusal('xml', `The image is an XML document${words && `: "${words}"`}, not a disk. ${CHECK}`);
  }
  if (!isPlain(text) || start === '') return;
  if (/^[{[]/.test(start)) {
    throw refusal('json', `The image is a JSON document: "${quotable(start)}", not a disk. ${CHECK}`);
  }
  // A disk filled with one printable byte, as tests of disks do it, has no lines.
  if (!isWhole && !/[\r\n]/.test(text)) return;
  throw refusal('text', `The image is a text file: "${quotable(start)}", not a disk. ${CHECK}`);
}

const CHECK = 'Check the address: it should be that of the disk image itself';

/** What follows the XML declaration and the comments that may stand before a page's first tag. */
function skipProlog(text: string): string {
  let rest = text;
  for (;;) {
    const end = rest.startsWith('<!--')
      ? rest.indexOf('-->') + 2
      : rest.startsWith('<?')
        ? rest.indexOf('>')
        : 0;
    if (end < 2) return rest;
    rest = rest.slice(end + 1).trimStart();
  }
}

/** The text that the bytes may be; undefined where they can not be text. */
function decode(head: Head): string | undefined {
  if (head.holds('\xff\xfe')) return new TextDecoder('utf-16le').decode(head.bytes);
  if (head.holds('\xfe\xff')) return new TextDecoder('utf-16be').decode(head.bytes);
  if (head.bytes.includes(0)) return undefined;
  // A page that says in ASCII that it is UTF-16 is wrong: no charset= would be found in it.
  const charset = /charset=["']?(?!utf-16)([\w-]{1,20})/i.exec(head.latin1(0, 1024))?.[1];
  try {
    return new TextDecoder(charset ?? 'utf-8').decode(head.bytes, { stream: true });
  } catch {
    return new TextDecoder().decode(head.bytes, { stream: true }); // a charset that doesn't exist
  }
}

/** No control character but those that text has (tab, line ends, form feed, escape), nothing undecodable. */
function isPlain(text: string): boolean {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: it is control characters that are looked for
  return !/[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f\x7f\uFFFD]/.test(text);
}

const ENTITIES: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', nbsp: ' ' };

function unescapeEntities(text: string): string {
  return text.replace(/&(amp|lt|gt|quot|nbsp);/g, (_, name: string) => ENTITIES[name] ?? ' ');
}
