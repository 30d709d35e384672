/**
 * Loaded into a process that is measured (`node --expose-gc --import`): on SIGUSR2 it collects its garbage, so
 * that what it has of its own can be told from what it has not collected yet.
 */
process.on('SIGUSR2', () => globalThis.gc?.());
