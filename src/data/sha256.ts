// SHA-256 in plain arithmetic (FIPS 180-4): piece by piece for files that are never whole in memory, and where the browser withholds its own.
// Not here: which hash is used when (batches.ts).

/** Fractional parts of square or cube roots of the first primes, as the standard defines its constants. */
function primeRoots(count: number, root: (n: number) => number): Uint32Array {
  const out: number[] = [];
  for (let n = 2; out.length < count; n++) {
    let prime = true;
    for (let d = 2; d * d <= n; d++) if (n % d === 0) prime = false;
    if (prime) out.push((root(n) % 1) * 2 ** 32);
  }
  return Uint32Array.from(out);
}

const K = primeRoots(64, Math.cbrt);
const BLOCK = 64;

/** The hash of bytes that come one piece after another. Holds one block of 64 bytes, whatever the length. */
export class Sha256 {
  readonly #state = primeRoots(8, Math.sqrt);
  readonly #w = new Uint32Array(BLOCK);
  readonly #rest = new Uint8Array(BLOCK);
  #held = 0;
  #length = 0;

  update(bytes: Uint8Array): void {
    this.#length += bytes.length;
    let at = 0;
    if (this.#held > 0) {
      at = Math.min(BLOCK - this.#held, bytes.length);
      this.#rest.set(bytes.subarray(0, at), this.#held);
      this.#held += at;
      if (this.#held < BLOCK) return;
      this.#block(this.#rest, 0);
      this.#held = 0;
    }
    for (; at + BLOCK <= bytes.length; at += BLOCK) this.#block(bytes, at);
    this.#rest.set(bytes.subarray(at));
    this.#held = bytes.length - at;
  }

  /** The 32 bytes of the digest. Ends the hash: nothing can be added afterwards. */
  digest(): Uint8Array<ArrayBuffer> {
    const bits = BigInt(this.#length) * 8n;
    const padding = new Uint8Array(paddingOf(this.#held));
    padding[0] = 0x80;
    new DataView(padding.buffer).setBigUint64(padding.length - 8, bits);
    this.update(padding);
    const digest = new DataView(new ArrayBuffer(32));
    for (const [i, word] of this.#state.entries()) digest.setUint32(4 * i, word);
    return new Uint8Array(digest.buffer);
  }

  hex(): string {
    return hexOf(this.digest());
  }

  #block(bytes: Uint8Array, start: number): void {
    const w = this.#w;
    const state = this.#state;
    for (let i = 0, at = start; i < 16; i++, at += 4) {
      w[i] =
        ((bytes[at] as number) << 24) |
        ((bytes[at + 1] as number) << 16) |
        ((bytes[at + 2] as number) << 8) |
        (bytes[at + 3] as number);
    }
    for (let i = 16; i < 64; i++) {
      const x = w[i - 15] as number;
      const y = w[i - 2] as number;
      const s0 = ((x >>> 7) | (x << 25)) ^ ((x >>> 18) | (x << 14)) ^ (x >>> 3);
      const s1 = ((y >>> 17) | (y << 15)) ^ ((y >>> 19) | (y << 13)) ^ (y >>> 10);
      w[i] = ((w[i - 16] as number) + s0 + (w[i - 7] as number) + s1) | 0;
    }
    let a = (state[0] as number) | 0;
    let b = (state[1] as number) | 0;
    let c = (state[2] as number) | 0;
    let d = (state[3] as number) | 0;
    let e = (state[4] as number) | 0;
    let f = (state[5] as number) | 0;
    let g = (state[6] as number) | 0;
    let h = (state[7] as number) | 0;
    for (let i = 0; i < 64; i++) {
      const s1 = ((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7));
      const choice = (e & f) ^ (~e & g);
      const t1 = (h + s1 + choice + (K[i] as number) + (w[i] as number)) | 0;
      const s0 = ((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10));
      const majority = (a & b) ^ (a & c) ^ (b & c);
      h = g;
      g = f;
      f = e;
      e = (d + t1) | 0;
      d = c;
      c = b;
      b = a;
      a = (t1 + s0 + majority) | 0;
    }
    for (const [i, value] of [a, b, c, d, e, f, g, h].entries()) state[i] = (state[i] as number) + value;
  }
}

/** Bytes from the end of a message to the end of its last block: one bit, zeros, and 64 bits of length. */
const paddingOf = (held: number) => (held < 56 ? 64 : 128) - held;

/** The 32 bytes of the digest. */
export function sha256(message: Uint8Array): Uint8Array<ArrayBuffer> {
  const hash = new Sha256();
  hash.update(message);
  return hash.digest();
}

const hexOf = (digest: Uint8Array) =>
  Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('');

/** SHA-256 of the text's UTF-8 bytes, in hex, at once: for texts of a few megabytes. */
export const textHash = (text: string): string => hexOf(sha256(new TextEncoder().encode(text)));

/** The digest in hex: by the browser's own SHA-256 where there is one (a page served over plain http in a local network has none). */
export async function digestHex(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  const subtle: SubtleCrypto | undefined = globalThis.crypto?.subtle;
  return hexOf(subtle ? new Uint8Array(await subtle.digest('SHA-256', bytes)) : sha256(bytes));
}

/** SHA-256 of the text's UTF-8 bytes, in hex. */
export async function contentHash(text: string): Promise<string> {
  return digestHex(new TextEncoder().encode(text));
}
