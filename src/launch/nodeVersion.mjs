// Checks whether this Node can run the tools, and says so in a sentence when it cannot.
// Not here: syntax or imports newer than 2017, so that even an old Node gets the sentence and not a syntax error.

/**
 * 20.19 or a later 20, 22.12 or a later 22, or 24 and up: what Vite and its Svelte plugin ask for.
 * @param {string} version such as `20.19.2`
 */
export function nodeIsFit(version) {
  const [major, minor] = version.split('.').map(Number);
  if (major === undefined || minor === undefined) return false;
  return (major === 20 && minor >= 19) || (major === 22 && minor >= 12) || major >= 24;
}

/** Like `nodeIsFit` for the Node that runs this; when unfit it says what to do and sets the exit code. */
export function checkNode() {
  const version = process.versions.node;
  if (nodeIsFit(version)) return true;
  console.error(
    `This is Node ${version}. Finetune Playground needs Node 20.19 or newer (22.12 in the 22 line, or 24).`,
  );
  console.error(
    'Install a current one from https://nodejs.org, open a new terminal, and run the command again.',
  );
  process.exitCode = 1;
  return false;
}
