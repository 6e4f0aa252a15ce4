// SHA-256 in plain arithmetic (FIPS 180-4), for pages where the browser withholds its own.
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

const rotate = (x: number, by: number) => (x >>> by) | (x << (32 - by));

/** The 32 bytes of the digest. */
export function sha256(message: Uint8Array): Uint8Array<ArrayBuffer> {
  const k = primeRoots(64, Math.cbrt);
  const state = primeRoots(8, Math.sqrt);
  const padded = new Uint8Array(Math.ceil((message.length + 9) / 64) * 64);
  padded.set(message);
  padded[message.length] = 0x80;
  const view = new DataView(padded.buffer);
  view.setBigUint64(padded.length - 8, BigInt(message.length) * 8n);

  const w = new Uint32Array(64);
  for (let block = 0; block < padded.length; block += 64) {
    for (let i = 0; i < 16; i++) w[i] = view.getUint32(block + 4 * i);
    for (let i = 16; i < 64; i++) {
      const a = w[i - 15] as number;
      const b = w[i - 2] as number;
      const s0 = rotate(a, 7) ^ rotate(a, 18) ^ (a >>> 3);
      const s1 = rotate(b, 17) ^ rotate(b, 19) ^ (b >>> 10);
      w[i] = (w[i - 16] as number) + s0 + (w[i - 7] as number) + s1;
    }
    let [a, b, c, d, e, f, g, h] = state as unknown as [
      number,
      number,
      number,
      number,
      number,
      number,
      number,
      number,
    ];
    for (let i = 0; i < 64; i++) {
      const s1 = rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25);
      const choice = (e & f) ^ (~e & g);
      const t1 = (h + s1 + choice + (k[i] as number) + (w[i] as number)) | 0;
      const s0 = rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22);
      const majority = (a & b) ^ (a & c) ^ (b & c);
      [h, g, f, e, d, c, b, a] = [g, f, e, (d + t1) | 0, c, b, a, (t1 + s0 + majority) | 0];
    }
    for (const [i, value] of [a, b, c, d, e, f, g, h].entries()) state[i] = (state[i] as number) + value;
  }
  const digest = new DataView(new ArrayBuffer(32));
  for (const [i, word] of state.entries()) digest.setUint32(4 * i, word);
  return new Uint8Array(digest.buffer);
}

const toHex = (digest: Uint8Array) =>
  Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('');

/** SHA-256 of the text's UTF-8 bytes, in hex, at once: for texts of a few megabytes. */
export const textHash = (text: string): string => toHex(sha256(new TextEncoder().encode(text)));

/** The digest in hex: by the browser's own SHA-256 where there is one (a page served over plain http in a local network has none). */
export async function digestHex(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  const subtle: SubtleCrypto | undefined = globalThis.crypto?.subtle;
  const digest = subtle ? new Uint8Array(await subtle.digest('SHA-256', bytes)) : sha256(bytes);
  return toHex(digest);
}

/** SHA-256 of the text's UTF-8 bytes, in hex. */
export async function contentHash(text: string): Promise<string> {
  return digestHex(new TextEncoder().encode(text));
}
