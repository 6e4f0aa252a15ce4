// Hands a Blob to the browser as a download.
// Not here: what is in it.

/** Saves `blob` under `name`; characters that file systems refuse are replaced. */
export function save(blob: Blob, name: string): void {
  const url = URL.createObjectURL(blob);
  const link = document.createElement('a');
  link.href = url;
  link.download = name.replaceAll(/[\\/:*?"<>|]/g, '-');
  link.click();
  // The download has its own hold on the bytes once it has started.
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
