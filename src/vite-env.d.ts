// What the build puts in place of names: see `define` in vite.config.ts.
// Not here: types that cross the worker boundary (contract.ts).

/** The version in package.json. */
declare const __APP_VERSION__: string;
