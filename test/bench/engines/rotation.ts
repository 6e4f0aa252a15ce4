// Tables of the rotary position embedding, for the models that the benchmark writes itself.
// Not here: those models.

/** cos and sin, halves side by side as in Hugging Face's Llama, base 10,000. [time, headDim] */
export function rotation(time: number, headDim: number): { cos: Float32Array; sin: Float32Array } {
  const cos = new Float32Array(time * headDim);
  const sin = new Float32Array(time * headDim);
  const half = headDim / 2;
  for (let t = 0; t < time; t++) {
    for (let i = 0; i < headDim; i++) {
      const angle = t * 10000 ** (-(i % half) / half);
      cos[t * headDim + i] = Math.cos(angle);
      sin[t * headDim + i] = Math.sin(angle);
    }
  }
  return { cos, sin };
}
