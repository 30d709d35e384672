/* Commands on attributes: mode, owner, times, sizes, extended attributes. */
#include "probe.h"
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#define MARKS 256
#define XATTR_ROOM 70000

/* chmod PATH MODE, fchmod SLOT MODE */
static void do_chmod(char **a) {
  answer(chmod(a[0], (mode_t)number(a[1])));
}
static void do_fchmod(char **a) {
  answer(fchmod(fd_of(a[0]), (mode_t)number(a[1])));
}

/* chown PATH UID GID, lchown PATH UID GID, fchown SLOT UID GID; -1 leaves one alone */
static void do_chown(char **a) {
  answer(chown(a[0], (uid_t)number(a[1]), (gid_t)number(a[2])));
}
static void do_lchown(char **a) {
  answer(lchown(a[0], (uid_t)number(a[1]), (gid_t)number(a[2])));
}
static void do_fchown(char **a) {
  answer(fchown(fd_of(a[0]), (uid_t)number(a[1]), (gid_t)number(a[2])));
}

/* utimens PATH ATIME MTIME [FLAGS], futimens SLOT ATIME MTIME */
static void do_utimens(char **a) {
  struct timespec t[2] = {time_of(a[1]), time_of(a[2])};
  answer(utimensat(AT_FDCWD, a[0], t, a[3] == NULL ? 0 : (int)flags_of(a[3])));
}
static void do_futimens(char **a) {
  struct timespec t[2] = {time_of(a[1]), time_of(a[2])};
  answer(futimens(fd_of(a[0]), t));
}

/* truncate PATH LENGTH */
static void do_truncate(char **a) {
  answer(truncate(a[0], number(a[1])));
}

/* access PATH MODE, with the effective ids */
static void do_access(char **a) {
  answer(faccessat(AT_FDCWD, a[0], (int)flags_of(a[1]), AT_EACCESS));
}

/* What stat(2) says that two filesystems must agree on: not the size of a directory, nor its blocks. */
static void answer_stat(int r, const struct stat *st) {
  if (r < 0) return answer(-1);
  emit("= 0 mode=%06o nlink=%lu uid=%u gid=%u", st->st_mode, (unsigned long)st->st_nlink, st->st_uid, st->st_gid);
  if (!S_ISDIR(st->st_mode)) emit(" size=%lld", (long long)st->st_size);
  if (S_ISCHR(st->st_mode) || S_ISBLK(st->st_mode)) emit(" dev=%u,%u", major(st->st_rdev), minor(st->st_rdev));
  end_line();
}

/* stat PATH, lstat PATH, fstat SLOT */
static void do_stat(char **a) {
  struct stat st;
  answer_stat(stat(a[0], &st), &st);
}
static void do_lstat(char **a) {
  struct stat st;
  answer_stat(lstat(a[0], &st), &st);
}
static void do_fstat(char **a) {
  struct stat st;
  answer_stat(fstat(fd_of(a[0]), &st), &st);
}

/* times PATH: atime and mtime to the nanosecond */
static void do_times(char **a) {
  struct stat st;
  if (lstat(a[0], &st) < 0) return answer(-1);
  answer_text("0 atime=%lld.%09ld mtime=%lld.%09ld", (long long)st.st_atim.tv_sec, st.st_atim.tv_nsec,
              (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
}

/* fresh PATH SECONDS: whether each time lies within so many seconds of now */
static void do_fresh(char **a) {
  struct stat st;
  struct timespec now;
  if (lstat(a[0], &st) < 0) return answer(-1);
  clock_gettime(CLOCK_REALTIME, &now);
  long long most = number(a[1]);
  answer_text("0 %s%s%s", llabs(now.tv_sec - st.st_atim.tv_sec) <= most ? "a" : "",
              llabs(now.tv_sec - st.st_mtim.tv_sec) <= most ? "m" : "",
              llabs(now.tv_sec - st.st_ctim.tv_sec) <= most ? "c" : "");
}

/* sparse PATH: whether the file takes less than a sixteenth of its size */
static void do_sparse(char **a) {
  struct stat st;
  if (lstat(a[0], &st) < 0) return answer(-1);
  answer_text("0 %s", st.st_blocks * 512 < st.st_size / 16 ? "sparse" : "dense");
}

/* same PATH PATH: whether both are one inode */
static void do_same(char **a) {
  struct stat l, r;
  if (lstat(a[0], &l) < 0 || lstat(a[1], &r) < 0) return answer(-1);
  answer_text("0 %s", l.st_dev == r.st_dev && l.st_ino == r.st_ino ? "same" : "different");
}

/* statfs PATH: the longest name */
static void do_statfs(char **a) {
  struct statfs fs;
  if (statfs(a[0], &fs) < 0) return answer(-1);
  answer_text("0 name_max=%ld space=%d", (long)fs.f_namelen, fs.f_blocks > 0 && fs.f_bavail <= fs.f_blocks);
}

static struct {
  char *path;
  struct stat st;
} marks[MARKS];

void forget_marks(void) {
  for (int i = 0; i < MARKS; i++) {
    free(marks[i].path);
    marks[i].path = NULL;
  }
}

/*
 * Waits until the clock that stamps files has passed every stamp given so far, so that a later one differs.
 * Stamps come from the coarse clock, or are as fine as now (multigrain timestamps, Linux 6.13).
 */
static void tick(void) {
  struct timespec start, now, pause = {0, 500000};
  clock_gettime(CLOCK_REALTIME, &start);
  do {
    nanosleep(&pause, NULL);
    clock_gettime(CLOCK_REALTIME_COARSE, &now);
  } while (now.tv_sec < start.tv_sec || (now.tv_sec == start.tv_sec && now.tv_nsec <= start.tv_nsec));
}

/* mark PATH ...: remembers the times of up to eight paths; moved PATH [NOW]: which of a, m, c differ since,
 * or `other` when the name is now another inode's */
static void do_mark(char **a) {
  for (int w = 0; w < 8 && a[w] != NULL; w++) {
    int i = 0;
    while (i < MARKS - 1 && marks[i].path != NULL && strcmp(marks[i].path, a[w]) != 0) i++;
    if (marks[i].path == NULL) marks[i].path = strdup(a[w]);
    if (lstat(a[w], &marks[i].st) < 0) memset(&marks[i].st, 0, sizeof marks[i].st);
  }
  tick();
  answer(0);
}
static int differ(struct timespec l, struct timespec r) {
  return l.tv_sec != r.tv_sec || l.tv_nsec != r.tv_nsec;
}
static void do_moved(char **a) {
  struct stat st;
  if (lstat(a[1] == NULL ? a[0] : a[1], &st) < 0) return answer(-1);
  for (int i = 0; i < MARKS && marks[i].path != NULL; i++) {
    if (strcmp(marks[i].path, a[0]) != 0) continue;
    if (st.st_ino != marks[i].st.st_ino) return answer_text("0 other");
    return answer_text("0 %s%s%s", differ(st.st_atim, marks[i].st.st_atim) ? "a" : "",
                       differ(st.st_mtim, marks[i].st.st_mtim) ? "m" : "",
                       differ(st.st_ctim, marks[i].st.st_ctim) ? "c" : "");
  }
  answer_text("0 unmarked");
}

/* A value is SEED:LENGTH (made bytes), 0x and hex digits, or the bytes themselves. */
static size_t value_of(const char *word, unsigned char *to) {
  if (strncmp(word, "0x", 2) == 0) {
    size_t length = 0;
    for (const char *at = word + 2; at[0] != 0 && at[1] != 0; at += 2) {
      char pair[3] = {at[0], at[1], 0};
      to[length++] = (unsigned char)strtol(pair, NULL, 16);
    }
    return length;
  }
  const char *colon = strchr(word, ':');
  if (colon != NULL && strspn(word, "0123456789") == (size_t)(colon - word) && colon > word) {
    size_t length = (size_t)number(colon + 1);
    fill(to, length, strtoll(word, NULL, 10), 0);
    return length;
  }
  memcpy(to, word, strlen(word));
  return strlen(word);
}

/* setxattr PATH NAME VALUE [FLAGS], fsetxattr SLOT ..., lsetxattr PATH ... */
static unsigned char room[XATTR_ROOM];
static void do_setxattr(char **a) {
  size_t n = value_of(a[2], room);
  answer(setxattr(a[0], a[1], room, n, a[3] == NULL ? 0 : (int)flags_of(a[3])));
}
static void do_lsetxattr(char **a) {
  size_t n = value_of(a[2], room);
  answer(lsetxattr(a[0], a[1], room, n, a[3] == NULL ? 0 : (int)flags_of(a[3])));
}
static void do_fsetxattr(char **a) {
  size_t n = value_of(a[2], room);
  answer(fsetxattr(fd_of(a[0]), a[1], room, n, a[3] == NULL ? 0 : (int)flags_of(a[3])));
}

static void answer_value(ssize_t n, size_t asked) {
  if (n < 0) return answer(-1);
  if (asked == 0) return answer(n);
  emit("= %zd ", n);
  if (n <= 64) emit_name((char *)room, (size_t)n);
  else emit("hash=%016llx", (unsigned long long)hash_bytes(HASH_START, room, (size_t)n));
  end_line();
}

/* getxattr PATH NAME SIZE, lgetxattr PATH NAME SIZE, fgetxattr SLOT NAME SIZE */
static void do_getxattr(char **a) {
  answer_value(getxattr(a[0], a[1], room, (size_t)number(a[2])), (size_t)number(a[2]));
}
static void do_lgetxattr(char **a) {
  answer_value(lgetxattr(a[0], a[1], room, (size_t)number(a[2])), (size_t)number(a[2]));
}
static void do_fgetxattr(char **a) {
  answer_value(fgetxattr(fd_of(a[0]), a[1], room, (size_t)number(a[2])), (size_t)number(a[2]));
}

static int by_text(const void *left, const void *right) {
  return strcmp(*(char *const *)left, *(char *const *)right);
}

/* listxattr PATH SIZE (0 asks for the size only): names, sorted */
static void do_listxattr(char **a) {
  static char list[XATTR_ROOM];
  char *names[1000];
  size_t count = 0, size = (size_t)number(a[1]);
  ssize_t n = llistxattr(a[0], list, size);
  if (n < 0 || size == 0) return answer(n);
  for (char *at = list; at < list + n && count < 1000; at += strlen(at) + 1) names[count++] = at;
  qsort(names, count, sizeof *names, by_text);
  emit("= %zd", n);
  for (size_t i = 0; i < count; i++) {
    emit(" ");
    emit_name(names[i], strlen(names[i]));
  }
  end_line();
}

/* removexattr PATH NAME, lremovexattr PATH NAME */
static void do_removexattr(char **a) {
  answer(removexattr(a[0], a[1]));
}
static void do_lremovexattr(char **a) {
  answer(lremovexattr(a[0], a[1]));
}

const command attr_commands[] = {
    {"chmod", 2, do_chmod},         {"fchmod", 2, do_fchmod},       {"chown", 3, do_chown},
    {"lchown", 3, do_lchown},       {"fchown", 3, do_fchown},       {"utimens", 3, do_utimens},
    {"futimens", 3, do_futimens},   {"truncate", 2, do_truncate},   {"access", 2, do_access},
    {"stat", 1, do_stat},           {"lstat", 1, do_lstat},         {"fstat", 1, do_fstat},
    {"times", 1, do_times},         {"fresh", 2, do_fresh},         {"sparse", 1, do_sparse},
    {"same", 2, do_same},           {"statfs", 1, do_statfs},       {"mark", 1, do_mark},
    {"moved", 1, do_moved},         {"setxattr", 3, do_setxattr},   {"lsetxattr", 3, do_lsetxattr},
    {"fsetxattr", 3, do_fsetxattr}, {"getxattr", 3, do_getxattr},   {"lgetxattr", 3, do_lgetxattr},
    {"fgetxattr", 3, do_fgetxattr}, {"listxattr", 2, do_listxattr}, {"removexattr", 2, do_removexattr},
    {"lremovexattr", 2, do_lremovexattr}, {NULL, 0, NULL},
};
