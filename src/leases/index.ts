/**
 * Who may do what, among all holders: file locks. Pure; imports core.
 */
export * from './lock-table.js';
