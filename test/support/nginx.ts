import { mkdirSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { startDaemon, withFreePort } from './program.ts';

export interface Nginx {
  /** URL of a file in the served directory. */
  url(path: string): string;
  stop(): Promise<void>;
}

/**
 * Starts nginx in the foreground on a free port of 127.0.0.1, serving `directory` (sendfile, ETag, ranges: as
 * installed). `state`: an empty directory for its own files. `server` writes what it does instead.
 */
export async function startNginx(
  directory: string,
  state: string,
  server: (port: number) => string = (port) => `server {
    listen 127.0.0.1:${port};
    root "${directory}";
    default_type application/octet-stream;
  }`,
): Promise<Nginx> {
  const { daemon, port } = await withFreePort((port) => startOn(port, state, server(port)));
  return {
    url: (path) => new URL(path, `http://127.0.0.1:${port}/`).href,
    stop: () => daemon.stop(),
  };
}

async function startOn(port: number, state: string, server: string) {
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((kind) => {
    mkdirSync(join(state, kind), { recursive: true });
    return `${kind}_temp_path "${join(state, kind)}";`;
  });
  const file = join(state, 'nginx.conf');
  // One process: it runs as whoever started it, and so can read what a test has made, as root and as others.
  writeFileSync(
    file,
    `daemon off;
master_process off;
pid "${join(state, 'pid')}";
error_log stderr;
events { worker_connections 256; }
http {
  access_log off;
  sendfile on;
  tcp_nopush on;
  ${temporary.join('\n  ')}
  ${server}
}
`,
  );
  const daemon = startDaemon('nginx', ['-e', 'stderr', '-p', state, '-c', file]);
  await daemon.waitUntil(() => canConnect(port));
  return { daemon, port };
}

function canConnect(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.on('connect', () => resolve(true)).on('error', () => resolve(false));
    socket.on('connect', () => socket.destroy());
  });
}
