/** The API as a page to read: one section a resource, one entry a message. No script, nothing loaded from elsewhere. */
import type { AnyField, Field } from '../kernel/field.ts';
import { formatSize } from '../kernel/format.ts';
import type { Message } from '../kernel/message.ts';
import { nativeRoute } from '../kernel/native-route.ts';
import { inventoryRelations, type Resource } from '../kernel/resource.ts';

export function documentationPage(messages: readonly Message[], version: string): string {
  const groups = Map.groupBy(messages, (message) => message.resource);
  const sections = [...groups].map(([resource, group]) => section(resource, group));
  const index = [...groups].map(
    ([resource, group]) =>
      `<h4>${escapeHtml(resource?.name ?? 'Service')}</h4><ul>${group.map((message) => `<li><a href="#${message.name}">${message.name}</a></li>`).join('')}</ul>`,
  );
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Ingot API</title><style>${STYLE}</style></head>
<body><nav><h3>Ingot ${escapeHtml(version)}</h3>${index.join('')}<p><a href="/v1/openapi.json">OpenAPI</a>, <a href="/openapi.json">as ZStack has it</a></p></nav>
<main><h1>Ingot API</h1>
<p>Every call is a message. On the command line it is <code>ingot Name key=value …</code>; over HTTP it has a route
below <code>/v1</code>, and as ZStack has it below <code>/zstack/v1</code>. In <code>/v1</code> a body is the parameters,
dates are ISO 8601, and what works for long answers <code>202</code> with a job to ask for. In <code>/zstack/v1</code>, calls other than queries answer <code>202 {"location": …}</code>: poll that address,
<code>202</code> while the call is under way, then <code>200</code> with the answer or <code>503</code> with an error.
Send <code>Authorization: OAuth &lt;session uuid&gt;</code>, which <a href="#LogInByAccount">LogInByAccount</a> gives.</p>
${sections.join('\n')}</main></body></html>`;
}

function section(resource: Resource | undefined, messages: Message[]): string {
  if (!resource) return `<section>${messages.map(entry).join('')}</section>`;
  const lists = inventoryRelations(resource).map(
    ([name, relation]) =>
      `<tr><td><code>${name}</code></td><td>list of ${relation.to.name}</td><td>${escapeHtml(relation.doc)}</td><td></td></tr>`,
  );
  const expanded = [...Object.keys(resource.relations), ...Object.keys(resource.aliases)];
  return `<section id="${resource.name}"><h2>${resource.name}</h2><p>${escapeHtml(resource.doc)} <small>${escapeHtml(resource.source)}</small></p>
${messages.map(entry).join('')}
<h3>${resource.name} inventory</h3>${table(resource.fields, lists)}
${expanded.length > 0 ? `<p>In queries these lead on to other resources: ${expanded.map((name) => `<code>${name}</code>`).join(', ')}.</p>` : ''}
</section>`;
}

function entry(message: Message): string {
  const { method, path, also } = message.route;
  const routes = [path, ...also].map(
    (each) => `<code class="route"><b>${method}</b> /zstack/v1${escapeHtml(each)}</code>`,
  );
  const native = nativeRoute(message);
  routes.unshift(`<code class="route"><b>${native.method}</b> /v1${escapeHtml(native.path)}</code>`);
  const who = { anyone: 'anyone, without a session', account: 'any account', admin: 'administrators' }[
    message.caller
  ];
  return `<article id="${message.name}"><h3>${message.name}</h3><p>${escapeHtml(message.doc)}</p>
<p>${routes.join('<br>')}</p>
<p><small>${message.kind === 'sync' ? 'Answers at once' : 'Asynchronous'} · for ${who} · ${escapeHtml(message.source)}</small></p>
${Object.keys(message.parameters).length > 0 ? table(message.parameters, []) : ''}</article>`;
}

function table(fields: Readonly<Record<string, Field>>, more: string[]): string {
  const rows = Object.entries(fields).map(
    ([name, field]) =>
      `<tr><td><code>${name}</code>${field.presence === 'required' ? '' : ' <small>optional</small>'}</td><td>${type(field)}</td><td>${escapeHtml(field.doc)}${choices(field)}${field.default === undefined ? '' : `<br><small>default ${escapeHtml(String(field.default))}</small>`}</td><td><small>${escapeHtml(field.since)}</small></td></tr>`,
  );
  return `<table><tr><th>Name</th><th>Type</th><th>Meaning</th><th>Since</th></tr>${rows.join('')}${more.join('')}</table>`;
}

function type(field: AnyField): string {
  switch (field.kind) {
    case 'text':
      return `text, at most ${field.max}`;
    case 'integer':
      return field.unit === 'bytes'
        ? `bytes${field.min > 0 ? `, at least ${formatSize(field.min)}` : ''}`
        : `number${field.unit ? `, ${field.unit}` : ''}`;
    case 'list':
      return `list of ${type(field.element)}`;
    default:
      return field.references ? `${field.kind} of ${field.references}` : field.kind;
  }
}

function choices(field: AnyField): string {
  if (field.kind !== 'choice') return '';
  return `<ul>${Object.entries(field.choices)
    .map(([value, meaning]) => `<li><code>${value}</code> ${escapeHtml(meaning)}</li>`)
    .join('')}</ul>`;
}

function escapeHtml(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');
}

const STYLE = `
body{margin:0;font:15px/1.5 system-ui,sans-serif;color:#1d2330;display:flex}
nav{position:sticky;top:0;height:100vh;overflow:auto;width:17rem;flex:none;background:#f4f5f7;padding:0 1rem;box-sizing:border-box}
nav ul{list-style:none;padding:0;margin:0}nav h4{margin:1rem 0 .2rem}nav a,main a{color:#1f5fbf;text-decoration:none}nav a{overflow-wrap:anywhere}
main{padding:0 2.5rem 4rem;max-width:60rem;min-width:0}
h2{margin-top:3rem;border-bottom:2px solid #d9dce3}article{margin:2rem 0;padding-left:1rem;border-left:3px solid #c9d6ea}
table{border-collapse:collapse;width:100%}th,td{text-align:left;vertical-align:top;padding:.35rem .6rem;border-bottom:1px solid #e4e6eb}
th{background:#f4f5f7}td ul{margin:.2rem 0;padding-left:1.2rem}small{color:#5c6576}
code{background:#f0f1f4;padding:.05rem .3rem;border-radius:3px}.route{display:inline-block;padding:.2rem .5rem}
@media (max-width:50rem){body{display:block}nav{position:static;height:auto;width:auto}}
@media (prefers-color-scheme:dark){body{background:#15181e;color:#dde1e8}nav,th{background:#1d2129}code{background:#262b35}
th,td{border-color:#2c323d}h2{border-color:#2c323d}nav a,main a{color:#7fb0ff}small{color:#98a1b2}}`;
