/**
 * What a session may do with an inode. Each includes the ones before it.
 * - `known`: nothing is kept, but the session may have the inode open, or its kernel knows it: an unlinked
 *   file's content stays as long as anybody knows it;
 * - `read` (shared): record, xattrs, entries (of a directory) and content may be kept until told otherwise;
 * - `write` (exclusive, regular files): content may be changed here first, and committed later.
 */
export type LeaseMode = 'known' | 'read' | 'write';
