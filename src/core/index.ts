/**
 * The vocabulary that every folder shares: branded ids, the one error class, and the ports for time and
 * logging. Imports nothing of the project.
 */
export * from './assert.js';
export * from './clock.js';
export * from './errors.js';
export * from './ids.js';
export * from './logger.js';
export * from './native.js';
export * from './semaphore.js';
