// For each op: which version runs on this backend, decided here once.
// Not here: any arithmetic.

export * from './activation';
export * from './adamw';
export * from './attention';
export * from './crossEntropy';
export * from './embedding';
export * from './matmul';
export * from './norm';
