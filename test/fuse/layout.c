/*
 * Prints what this machine's <linux/fuse.h> says, for the tests to compare with: a line each of
 *   size STRUCT BYTES
 *   field STRUCT NAME OFFSET BYTES
 *   const NAME VALUE
 *   dirent NAME_BYTES ENTRY_BYTES ENTRY_PLUS_BYTES
 * Debian 12's header is 7.38; what came later is printed where the header knows it.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/fuse.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/xattr.h>

#define SIZE(s) printf("size %s %zu\n", #s, sizeof(struct s))
#define F(s, f) printf("field %s %s %zu %zu\n", #s, #f, offsetof(struct s, f), sizeof(((struct s *)0)->f))
#define C(name) printf("const %s %llu\n", #name, (unsigned long long)(name))

static void headers(void) {
  SIZE(fuse_in_header);
  F(fuse_in_header, len), F(fuse_in_header, opcode), F(fuse_in_header, unique), F(fuse_in_header, nodeid);
  F(fuse_in_header, uid), F(fuse_in_header, gid), F(fuse_in_header, pid);
  SIZE(fuse_out_header);
  F(fuse_out_header, len), F(fuse_out_header, error), F(fuse_out_header, unique);
}

static void replies(void) {
  SIZE(fuse_attr);
  F(fuse_attr, ino), F(fuse_attr, size), F(fuse_attr, blocks), F(fuse_attr, atime), F(fuse_attr, mtime);
  F(fuse_attr, ctime), F(fuse_attr, atimensec), F(fuse_attr, mtimensec), F(fuse_attr, ctimensec);
  F(fuse_attr, mode), F(fuse_attr, nlink), F(fuse_attr, uid), F(fuse_attr, gid), F(fuse_attr, rdev);
  F(fuse_attr, blksize), F(fuse_attr, flags);
  SIZE(fuse_attr_out);
  F(fuse_attr_out, attr_valid), F(fuse_attr_out, attr_valid_nsec), F(fuse_attr_out, attr);
  SIZE(fuse_entry_out);
  F(fuse_entry_out, nodeid), F(fuse_entry_out, generation), F(fuse_entry_out, entry_valid);
  F(fuse_entry_out, attr_valid), F(fuse_entry_out, entry_valid_nsec), F(fuse_entry_out, attr_valid_nsec);
  F(fuse_entry_out, attr);
  SIZE(fuse_open_out);
  /* 7.40 calls the padding backing_id. */
  F(fuse_open_out, fh), F(fuse_open_out, open_flags);
  SIZE(fuse_kstatfs);
  F(fuse_kstatfs, blocks), F(fuse_kstatfs, bfree), F(fuse_kstatfs, bavail), F(fuse_kstatfs, files);
  F(fuse_kstatfs, ffree), F(fuse_kstatfs, bsize), F(fuse_kstatfs, namelen), F(fuse_kstatfs, frsize);
  SIZE(fuse_statfs_out);
  SIZE(fuse_file_lock);
  F(fuse_file_lock, start), F(fuse_file_lock, end), F(fuse_file_lock, type), F(fuse_file_lock, pid);
  SIZE(fuse_lk_out);
  SIZE(fuse_write_out), F(fuse_write_out, size);
  SIZE(fuse_getxattr_out), F(fuse_getxattr_out, size);
  SIZE(fuse_lseek_out), F(fuse_lseek_out, offset);
  F(fuse_dirent, ino), F(fuse_dirent, off), F(fuse_dirent, namelen), F(fuse_dirent, type);
  printf("size fuse_dirent %zu\n", (size_t)FUSE_NAME_OFFSET);
  SIZE(fuse_direntplus);
  F(fuse_direntplus, entry_out), F(fuse_direntplus, dirent);
  SIZE(fuse_init_out);
  F(fuse_init_out, major), F(fuse_init_out, minor), F(fuse_init_out, max_readahead), F(fuse_init_out, flags);
  F(fuse_init_out, max_background), F(fuse_init_out, congestion_threshold), F(fuse_init_out, max_write);
  F(fuse_init_out, time_gran), F(fuse_init_out, max_pages), F(fuse_init_out, flags2);
  SIZE(fuse_notify_inval_inode_out);
  F(fuse_notify_inval_inode_out, ino), F(fuse_notify_inval_inode_out, off), F(fuse_notify_inval_inode_out, len);
  SIZE(fuse_notify_inval_entry_out);
  F(fuse_notify_inval_entry_out, parent), F(fuse_notify_inval_entry_out, namelen);
  SIZE(fuse_notify_delete_out);
  F(fuse_notify_delete_out, parent), F(fuse_notify_delete_out, child), F(fuse_notify_delete_out, namelen);
}

static void requests(void) {
  SIZE(fuse_init_in);
  F(fuse_init_in, major), F(fuse_init_in, minor), F(fuse_init_in, max_readahead), F(fuse_init_in, flags);
  F(fuse_init_in, flags2);
  SIZE(fuse_forget_in), F(fuse_forget_in, nlookup);
  SIZE(fuse_batch_forget_in), F(fuse_batch_forget_in, count);
  SIZE(fuse_forget_one), F(fuse_forget_one, nodeid), F(fuse_forget_one, nlookup);
  SIZE(fuse_setattr_in);
  F(fuse_setattr_in, valid), F(fuse_setattr_in, fh), F(fuse_setattr_in, size), F(fuse_setattr_in, atime);
  F(fuse_setattr_in, mtime), F(fuse_setattr_in, atimensec), F(fuse_setattr_in, mtimensec);
  F(fuse_setattr_in, mode), F(fuse_setattr_in, uid), F(fuse_setattr_in, gid);
  SIZE(fuse_mknod_in), F(fuse_mknod_in, mode), F(fuse_mknod_in, rdev), F(fuse_mknod_in, umask);
  SIZE(fuse_mkdir_in), F(fuse_mkdir_in, mode), F(fuse_mkdir_in, umask);
  SIZE(fuse_rename_in), F(fuse_rename_in, newdir);
  SIZE(fuse_rename2_in), F(fuse_rename2_in, newdir), F(fuse_rename2_in, flags);
  SIZE(fuse_link_in), F(fuse_link_in, oldnodeid);
  SIZE(fuse_open_in), F(fuse_open_in, flags), F(fuse_open_in, open_flags);
  SIZE(fuse_create_in);
  F(fuse_create_in, flags), F(fuse_create_in, mode), F(fuse_create_in, umask), F(fuse_create_in, open_flags);
  SIZE(fuse_read_in), F(fuse_read_in, fh), F(fuse_read_in, offset), F(fuse_read_in, size);
  SIZE(fuse_write_in);
  F(fuse_write_in, fh), F(fuse_write_in, offset), F(fuse_write_in, size), F(fuse_write_in, write_flags);
  SIZE(fuse_flush_in), F(fuse_flush_in, fh), F(fuse_flush_in, lock_owner);
  SIZE(fuse_release_in);
  F(fuse_release_in, fh), F(fuse_release_in, flags), F(fuse_release_in, release_flags);
  F(fuse_release_in, lock_owner);
  SIZE(fuse_fsync_in), F(fuse_fsync_in, fh), F(fuse_fsync_in, fsync_flags);
  SIZE(fuse_setxattr_in);
  F(fuse_setxattr_in, size), F(fuse_setxattr_in, flags), F(fuse_setxattr_in, setxattr_flags);
  SIZE(fuse_getxattr_in), F(fuse_getxattr_in, size);
  SIZE(fuse_lk_in), F(fuse_lk_in, fh), F(fuse_lk_in, owner), F(fuse_lk_in, lk), F(fuse_lk_in, lk_flags);
  SIZE(fuse_interrupt_in), F(fuse_interrupt_in, unique);
  SIZE(fuse_fallocate_in);
  F(fuse_fallocate_in, fh), F(fuse_fallocate_in, offset), F(fuse_fallocate_in, length);
  F(fuse_fallocate_in, mode);
  SIZE(fuse_lseek_in), F(fuse_lseek_in, fh), F(fuse_lseek_in, offset), F(fuse_lseek_in, whence);
  SIZE(fuse_copy_file_range_in);
  F(fuse_copy_file_range_in, fh_in), F(fuse_copy_file_range_in, off_in);
  F(fuse_copy_file_range_in, nodeid_out), F(fuse_copy_file_range_in, fh_out);
  F(fuse_copy_file_range_in, off_out), F(fuse_copy_file_range_in, len);
}

static void opcodes(void) {
  C(FUSE_LOOKUP), C(FUSE_FORGET), C(FUSE_GETATTR), C(FUSE_SETATTR), C(FUSE_READLINK), C(FUSE_SYMLINK);
  C(FUSE_MKNOD), C(FUSE_MKDIR), C(FUSE_UNLINK), C(FUSE_RMDIR), C(FUSE_RENAME), C(FUSE_LINK), C(FUSE_OPEN);
  C(FUSE_READ), C(FUSE_WRITE), C(FUSE_STATFS), C(FUSE_RELEASE), C(FUSE_FSYNC), C(FUSE_SETXATTR);
  C(FUSE_GETXATTR), C(FUSE_LISTXATTR), C(FUSE_REMOVEXATTR), C(FUSE_FLUSH), C(FUSE_INIT), C(FUSE_OPENDIR);
  C(FUSE_READDIR), C(FUSE_RELEASEDIR), C(FUSE_FSYNCDIR), C(FUSE_GETLK), C(FUSE_SETLK), C(FUSE_SETLKW);
  C(FUSE_ACCESS), C(FUSE_CREATE), C(FUSE_INTERRUPT), C(FUSE_DESTROY), C(FUSE_BATCH_FORGET);
  C(FUSE_FALLOCATE), C(FUSE_READDIRPLUS), C(FUSE_RENAME2), C(FUSE_LSEEK), C(FUSE_COPY_FILE_RANGE);
  C(FUSE_SYNCFS), C(FUSE_TMPFILE);
}

static void flags(void) {
  C(FUSE_ASYNC_READ), C(FUSE_POSIX_LOCKS), C(FUSE_ATOMIC_O_TRUNC), C(FUSE_EXPORT_SUPPORT), C(FUSE_BIG_WRITES);
  C(FUSE_DONT_MASK), C(FUSE_FLOCK_LOCKS), C(FUSE_DO_READDIRPLUS), C(FUSE_READDIRPLUS_AUTO), C(FUSE_ASYNC_DIO);
  C(FUSE_PARALLEL_DIROPS), C(FUSE_POSIX_ACL), C(FUSE_MAX_PAGES), C(FUSE_CACHE_SYMLINKS);
  C(FUSE_AUTO_INVAL_DATA), C(FUSE_EXPLICIT_INVAL_DATA), C(FUSE_HANDLE_KILLPRIV_V2), C(FUSE_SETXATTR_EXT), C(FUSE_INIT_EXT);
#ifdef FUSE_PASSTHROUGH
  C(FUSE_PASSTHROUGH);
#endif
  C(FATTR_MODE), C(FATTR_UID), C(FATTR_GID), C(FATTR_SIZE), C(FATTR_ATIME), C(FATTR_MTIME), C(FATTR_FH);
  C(FATTR_ATIME_NOW), C(FATTR_MTIME_NOW), C(FATTR_CTIME), C(FATTR_KILL_SUIDGID);
  C(FOPEN_DIRECT_IO), C(FOPEN_KEEP_CACHE), C(FOPEN_CACHE_DIR), C(FOPEN_NOFLUSH);
#ifdef FOPEN_PASSTHROUGH
  C(FOPEN_PASSTHROUGH);
#endif
  C(FUSE_OPEN_KILL_SUIDGID), C(FUSE_WRITE_CACHE), C(FUSE_WRITE_KILL_SUIDGID), C(FUSE_RELEASE_FLOCK_UNLOCK), C(FUSE_LK_FLOCK);
  C(FUSE_FSYNC_FDATASYNC), C(FUSE_SETXATTR_ACL_KILL_SGID);
  C(FUSE_NOTIFY_INVAL_INODE), C(FUSE_NOTIFY_INVAL_ENTRY), C(FUSE_NOTIFY_DELETE);
#if FUSE_KERNEL_MINOR_VERSION >= 44
  C(FUSE_NOTIFY_INC_EPOCH);
#endif
  C(O_ACCMODE), C(O_RDONLY), C(O_WRONLY), C(O_TRUNC), C(O_DSYNC), C(O_APPEND), C(F_RDLCK), C(F_WRLCK), C(F_UNLCK);
  C(RENAME_NOREPLACE), C(RENAME_EXCHANGE), C(XATTR_CREATE), C(XATTR_REPLACE);
  C(FUSE_KERNEL_VERSION), C(FUSE_KERNEL_MINOR_VERSION), C(FUSE_ROOT_ID);
}

int main(void) {
  headers(), replies(), requests(), opcodes(), flags();
  for (size_t bytes = 1; bytes <= 255; bytes++) {
    size_t entry = FUSE_DIRENT_ALIGN(FUSE_NAME_OFFSET + bytes);
    printf("dirent %zu %zu %zu\n", bytes, entry, FUSE_DIRENT_ALIGN(FUSE_NAME_OFFSET_DIRENTPLUS + bytes));
  }
  return 0;
}
