/**
 * Hard links per inode, and subdirectories per directory. `st_nlink` travels as 32 bits in FUSE, and some
 * programs read it as a signed int. (ext4 stops at 65,000 for files, and does not count for directories.)
 */
export const LINK_MAX = 2 ** 31 - 1;

/** Largest file: sizes are JavaScript numbers, exact to 2^53 - 1 bytes (8 PiB). Beyond is EFBIG. */
export const FILE_BYTES_MAX = Number.MAX_SAFE_INTEGER;

/** Longest symlink target: PATH_MAX (4096) less the terminating NUL, as Linux has it. */
export const TARGET_BYTES_MAX = 4095;

/** XATTR_NAME_MAX, XATTR_SIZE_MAX and XATTR_LIST_MAX of `<linux/limits.h>`. */
export const XATTR_NAME_BYTES_MAX = 255;
export const XATTR_VALUE_BYTES_MAX = 65_536;
export const XATTR_LIST_BYTES_MAX = 65_536;
