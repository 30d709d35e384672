/**
 * Who may do what, among all holders: leases on inodes, and file locks. Pure; imports core.
 */
export type * from './lease-effects.js';
export * from './lease-machine.js';
export type * from './lease-mode.js';
export * from './lock-table.js';
