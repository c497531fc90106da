/** Where AddImage may take bytes from: the schemes of its `url`, and what each is read with. */
import { pathToFileURL } from 'node:url';
import { IngotError } from '../kernel/errors.ts';
import { maskedUrl } from '../kernel/masked-url.ts';
import type { Egress } from '../transfer/egress.ts';
import { fileSource, pathOfFileUrl } from '../transfer/file-source.ts';
import { httpSource } from '../transfer/http-source.ts';
import type { KnownHosts } from '../transfer/known-hosts.ts';
import type { LeastPace } from '../transfer/pace.ts';
import type { Source } from '../transfer/source.ts';

export interface TransferSettings {
  /** Milliseconds without a byte after which a connection counts as broken. */
  stallTimeout: number;
  /** What a source has to give at the least. */
  pace?: LeastPace;
  /** Certificates in PEM that are trusted besides the usual authorities'. */
  ca?: string;
  /** What sources may be connected to; everything where absent. */
  egress?: Egress;
  /** Directories of this machine that files may be taken from. */
  importDirectories: readonly string[];
  /** The only SSH servers to be trusted; without it, any is. */
  knownHosts?: KnownHosts;
}

/** The URL that the caller means: a path stands for the file there. */
export function sourceUrl(text: string): URL {
  const url = text.startsWith('/') ? pathToFileURL(text) : URL.parse(text);
  if (!url) throw new IngotError('SYS.1007', `"${maskedUrl(text)}" is not a URL`);
  return url;
}

/** SYS.1007 for what no try is needed to refuse. */
export function requireSource(text: string, { egress }: Pick<TransferSettings, 'egress'>): void {
  const url = sourceUrl(text);
  if (url.protocol === 'file:') return void pathOfFileUrl(url);
  // To this one the bytes are sent.
  if (url.protocol === 'upload:') return;
  egress?.requireScheme(url.protocol.slice(0, -1), `'url' ${maskedUrl(text)} names`, 'url');
  if (url.protocol === 'sftp:' && url.username === '') {
    throw new IngotError(
      'SYS.1007',
      `${maskedUrl(text)} names no user: write sftp://user:password@host/path`,
    );
  }
}

/** The libraries for what few take images from are loaded with the first of these. */
export async function sourceOf(text: string, settings: TransferSettings): Promise<Source> {
  const { stallTimeout, ca, egress, importDirectories, knownHosts } = settings;
  const url = sourceUrl(text);
  const remote = { stallTimeout, ...(egress && { egress }) };
  switch (url.protocol) {
    case 'ftp:':
      return (await import('../transfer/ftp-source.ts')).ftpSource(url, remote);
    case 'sftp:': {
      const { sftpSource } = await import('../transfer/sftp-source.ts');
      return sftpSource(url, { ...remote, ...(knownHosts && { knownHosts }) });
    }
    case 'file:':
      return fileSource(url, importDirectories);
    default:
      return httpSource(text, { ...remote, ...(ca !== undefined && { ca }) });
  }
}
