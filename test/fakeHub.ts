// A hub on this machine: the addresses, redirects, ranges and headers of huggingface.co, and the faults a real one has, on request.
// Not here: what the page makes of them (hub.test.ts, e2e/hub.spec.ts).

import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

export const COMMIT = '0123456789abcdef0123456789abcdef01234567';

export interface HubModel {
  files: Map<string, Buffer>;
  gated?: boolean;
  licence?: string;
}

/** What one response sent: bytes `from` to `to` of a file's content. */
export interface Sent {
  file: string;
  from: number;
  to: number;
}

/** What goes wrong, by file name. */
export interface Faults {
  /** The next responses end without warning after so many bytes of their own, one entry a response. */
  dropAfter: Map<string, number[]>;
  /** One byte of the content is another. */
  corrupt: Set<string>;
  /** So many bytes are missing at the end, and the server does not know. */
  shorten: Map<string, number>;
  /** The connection stays open and gives nothing after so many bytes. */
  hangAfter: Map<string, number>;
  /** Every request for this model, or only for its files, is answered so. */
  refuse: { status: number; code?: string; filesOnly?: boolean } | null;
  /** The server sends the whole file whatever range is asked for. */
  ignoreRanges: boolean;
  /** The listing says nothing of checksums. */
  noChecksums: boolean;
}

const fixtures = fileURLToPath(new URL('./fixtures/engine/', import.meta.url));

/** A fixture as a repository would have it: with a README, and weights of other programs that nobody should fetch. */
export function fixtureModel(name: string, extra: Record<string, Buffer> = {}): HubModel {
  const folder = path.join(fixtures, name);
  const kept = readdirSync(folder).filter(
    (f) => /\.(json|jinja|safetensors)$/.test(f) && !/^(expected|config\.old)/.test(f),
  );
  const files = new Map<string, Buffer>(kept.map((f) => [f, readFileSync(path.join(folder, f))]));
  files.set('README.md', Buffer.from('# A model\n'));
  files.set('pytorch_model.bin', Buffer.alloc(5000, 7));
  files.set('onnx/model.onnx', Buffer.alloc(3000, 8));
  for (const [f, content] of Object.entries(extra)) files.set(f, content);
  return { files, licence: 'apache-2.0' };
}

/** Large files lie elsewhere (LFS) and are named by their SHA-256, as on the real hub. */
const isLarge = (file: string) => /\.(safetensors|bin|onnx)$/.test(file);
const sha256 = (b: Buffer) => createHash('sha256').update(b).digest('hex');
const gitOid = (b: Buffer) => createHash('sha1').update(`blob ${b.length}\0`).update(b).digest('hex');

export class FakeHub {
  readonly models = new Map<string, HubModel>();
  /** Every request, hub and CDN alike: `GET /org/name/…`. */
  requests: string[] = [];
  sent: Sent[] = [];
  /** What `main` points to. */
  commit = COMMIT;
  faults: Faults = noFaults();
  /** Bytes a response sends before it waits for `pieceMs`. */
  pieceBytes = 16_384;
  pieceMs = 0;
  #hub: Server;
  #cdn: Server;
  address = '';
  #cdnAddress = '';

  constructor() {
    this.#hub = createServer((request, response) => this.#answerHub(request, response));
    this.#cdn = createServer((request, response) => this.#answerCdn(request, response));
  }

  async start(): Promise<this> {
    this.address = await listen(this.#hub);
    // Another port is another origin, as the real CDN is.
    this.#cdnAddress = await listen(this.#cdn);
    return this;
  }

  async stop(): Promise<void> {
    for (const server of [this.#hub, this.#cdn]) {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
  }

  reset(): void {
    this.requests = [];
    this.sent = [];
    this.faults = noFaults();
    this.commit = COMMIT;
    this.pieceMs = 0;
  }

  #answerHub(request: IncomingMessage, response: ServerResponse): void {
    const url = this.#arrive(request, response);
    if (!url) return;
    const { refuse } = this.faults;
    const [, id = '', rest = ''] =
      /^\/api\/models\/([^/]+\/[^/]+)\/(.*)$/.exec(url.pathname) ??
      /^\/([^/]+\/[^/]+)\/(resolve\/.*)$/.exec(url.pathname) ??
      [];
    const stored = /^\/api\/resolve-cache\/models\/([^/]+\/[^/]+)\/[^/]+\/(.+)$/.exec(url.pathname);
    const model = this.models.get(stored?.[1] ?? id);
    const fileAsked = stored !== null || rest.startsWith('resolve/');
    if (refuse && (fileAsked || !refuse.filesOnly)) {
      fail(response, refuse.status, refuse.code);
      return;
    }
    if (!model) {
      fail(response, 404, 'RepoNotFound');
      return;
    }
    if (stored?.[2]) {
      void this.#sendFile(request, response, model, decodeURIComponent(stored[2]));
      return;
    }

    const [verb, revision = '', ...parts] = rest.split('/');
    if (revision !== 'main' && revision !== this.commit) {
      fail(response, 404, 'RevisionNotFound');
      return;
    }
    if (verb === 'revision') {
      sendJson(response, {
        _id: '1',
        id,
        sha: this.commit,
        private: false,
        gated: model.gated ? 'auto' : false,
        downloads: 1,
        likes: 1,
        lastModified: '2025-01-01T00:00:00.000Z',
        tags: [`license:${model.licence ?? 'mit'}`],
        safetensors: { parameters: { F32: 12_345 }, total: 12_345 },
      });
    } else if (verb === 'tree') this.#sendTree(response, url, model);
    else if (verb === 'resolve') this.#redirect(response, id, model, decodeURIComponent(parts.join('/')));
    else fail(response, 404);
  }

  /** Two entries a page, the next one named in the Link header. */
  #sendTree(response: ServerResponse, url: URL, model: HubModel): void {
    const entries = [...model.files]
      .filter(([file]) => !file.includes('/'))
      .map(([file, content]) => this.#entry(file, content));
    const at = Number(url.searchParams.get('cursor') ?? 0);
    if (at + 2 < entries.length) {
      url.searchParams.set('cursor', String(at + 2));
      response.setHeader('Link', `<${this.address}${url.pathname}${url.search}>; rel="next"`);
    }
    sendJson(response, entries.slice(at, at + 2));
  }

  #entry(file: string, content: Buffer) {
    const size = content.length;
    if (this.faults.noChecksums) return { type: 'file', path: file, size };
    if (!isLarge(file)) return { type: 'file', path: file, size, oid: gitOid(content) };
    return {
      type: 'file',
      path: file,
      size,
      oid: gitOid(Buffer.from('pointer')),
      lfs: { oid: sha256(content), size, pointerSize: 134 },
      xetHash: 'abc',
    };
  }

  #redirect(response: ServerResponse, id: string, model: HubModel, file: string): void {
    const content = model.files.get(file);
    if (!content) {
      fail(response, 404, 'EntryNotFound');
      return;
    }
    const large = isLarge(file);
    response.writeHead(large ? 302 : 307, {
      Location: large
        ? `${this.#cdnAddress}/repos/${id}/${encodeURIComponent(file)}?X-Signature=${this.requests.length}`
        : `/api/resolve-cache/models/${id}/${this.commit}/${encodeURIComponent(file)}`,
      'X-Repo-Commit': this.commit,
      'X-Linked-Size': content.length,
      'X-Linked-Etag': `"${large ? sha256(content) : gitOid(content)}"`,
    });
    response.end();
  }

  #answerCdn(request: IncomingMessage, response: ServerResponse): void {
    const url = this.#arrive(request, response);
    const [, id = '', file = ''] = /^\/repos\/([^/]+\/[^/]+)\/(.+)$/.exec(url?.pathname ?? '') ?? [];
    const model = this.models.get(id);
    if (!url) return;
    if (!model) {
      fail(response, 403);
      return;
    }
    void this.#sendFile(request, response, model, decodeURIComponent(file));
  }

  async #sendFile(
    request: IncomingMessage,
    response: ServerResponse,
    model: HubModel,
    file: string,
  ): Promise<void> {
    const { faults } = this;
    let content = Buffer.from(model.files.get(file) ?? '');
    if (faults.corrupt.has(file)) content.writeUInt8((content.at(-1) ?? 0) ^ 1, content.length - 1);
    content = content.subarray(0, content.length - (faults.shorten.get(file) ?? 0));
    const asked = faults.ignoreRanges ? null : /^bytes=(\d+)-$/.exec(request.headers.range ?? '');
    const from = Number(asked?.[1] ?? 0);
    if (from >= content.length && asked) {
      response.writeHead(416, { 'Content-Range': `bytes */${content.length}` }).end();
      return;
    }
    response.writeHead(asked ? 206 : 200, {
      'Content-Length': content.length - from,
      'Accept-Ranges': faults.ignoreRanges ? 'none' : 'bytes',
      ETag: `"${sha256(content)}"`,
      ...(asked ? { 'Content-Range': `bytes ${from}-${content.length - 1}/${content.length}` } : {}),
    });
    const record: Sent = { file, from, to: from };
    this.sent.push(record);
    const drop = faults.dropAfter.get(file)?.shift();
    const hang = faults.hangAfter.get(file);
    const end = Math.min(content.length, from + (drop ?? hang ?? content.length));
    while (record.to < end && !response.destroyed) {
      const piece = content.subarray(record.to, Math.min(end, record.to + this.pieceBytes));
      if (!(await write(response, piece))) return;
      record.to += piece.length;
      if (this.pieceMs > 0) await new Promise((r) => setTimeout(r, this.pieceMs));
    }
    if (drop !== undefined) {
      // Long enough for the other side to have taken what was sent.
      await new Promise((r) => setTimeout(r, 60));
      response.destroy();
    } else if (record.to === content.length) response.end();
  }

  /** Notes the request and answers what every page of another origin asks first. */
  #arrive(request: IncomingMessage, response: ServerResponse): URL | null {
    response.setHeader('Access-Control-Allow-Origin', '*');
    response.setHeader(
      'Access-Control-Expose-Headers',
      'X-Repo-Commit,X-Error-Code,X-Error-Message,ETag,Link,Accept-Ranges,Content-Range,X-Linked-Size,X-Linked-ETag',
    );
    if (request.method === 'OPTIONS') {
      response.writeHead(204, { 'Access-Control-Allow-Headers': 'range, accept' }).end();
      return null;
    }
    this.requests.push(`${request.method} ${request.url}`);
    return new URL(request.url ?? '/', 'http://localhost');
  }
}

function noFaults(): Faults {
  return {
    dropAfter: new Map(),
    corrupt: new Set(),
    shorten: new Map(),
    hangAfter: new Map(),
    refuse: null,
    ignoreRanges: false,
    noChecksums: false,
  };
}

async function listen(server: Server): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

function write(response: ServerResponse, piece: Buffer): Promise<boolean> {
  return new Promise((resolve) => response.write(piece, (error) => resolve(!error)));
}

function sendJson(response: ServerResponse, value: unknown): void {
  response.setHeader('Content-Type', 'application/json');
  response.end(JSON.stringify(value));
}

function fail(response: ServerResponse, status: number, code?: string): void {
  if (code) response.setHeader('X-Error-Code', code);
  response.writeHead(status, { 'Content-Type': 'application/json' });
  response.end(JSON.stringify({ error: code ?? 'no' }));
}
