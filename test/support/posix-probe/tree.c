/* The whole of a tree as text: what two filesystems must agree on after the same operations. */
#include "probe.h"
#include <dirent.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#define FIRSTS 20000
#define HASHED_MAX (64LL << 20)
/* Times before this second were set by a test, and are compared to the nanosecond; later ones are stamps. */
#define SET_TIME_BEFORE 1000000000LL

static struct {
  ino_t ino;
  char path[512];
} firsts[FIRSTS];
static size_t first_count;

static void emit_hash(const char *path, long long size) {
  static unsigned char part[1 << 17];
  uint64_t hash = HASH_START;
  int fd = open(path, O_RDONLY | O_NOATIME);
  if (fd < 0) {
    emit(" unreadable=%s", strerrorname_np(errno));
    return;
  }
  ssize_t n;
  long long left = size > HASHED_MAX ? (long long)sizeof part : size + 1;
  while (left > 0 && (n = read(fd, part, sizeof part)) > 0) {
    hash = hash_bytes(hash, part, (size_t)n);
    left -= n;
  }
  if (size > HASHED_MAX && (n = pread(fd, part, sizeof part, size - (long long)sizeof part)) > 0)
    hash = hash_bytes(hash, part, (size_t)n);
  close(fd);
  emit(" hash=%016llx", (unsigned long long)hash);
}

static int by_text(const void *left, const void *right) {
  return strcmp(*(char *const *)left, *(char *const *)right);
}

static void emit_xattrs(const char *path) {
  static char list[70000], value[70000];
  char *names[1000];
  size_t count = 0;
  ssize_t n = llistxattr(path, list, sizeof list);
  for (char *at = list; n > 0 && at < list + n && count < 1000; at += strlen(at) + 1) names[count++] = at;
  qsort(names, count, sizeof *names, by_text);
  for (size_t i = 0; i < count; i++) {
    ssize_t v = lgetxattr(path, names[i], value, sizeof value);
    emit(" x:");
    emit_name(names[i], strlen(names[i]));
    emit("=%zd/%016llx", v, (unsigned long long)(v < 0 ? 0 : hash_bytes(HASH_START, (unsigned char *)value, (size_t)v)));
  }
}

/* A hard-linked file names the first of its names that the walk met. */
static void emit_first(const struct stat *st, const char *path) {
  if (st->st_nlink < 2 || S_ISDIR(st->st_mode)) return;
  for (size_t i = 0; i < first_count; i++) {
    if (firsts[i].ino != st->st_ino) continue;
    emit(" is=");
    emit_name(firsts[i].path, strlen(firsts[i].path));
    return;
  }
  if (first_count == FIRSTS) return;
  firsts[first_count].ino = st->st_ino;
  snprintf(firsts[first_count++].path, sizeof firsts[0].path, "%s", path);
}

static void walk(const char *path) {
  struct stat st;
  emit("\t");
  emit_name(path, strlen(path));
  if (lstat(path, &st) < 0) {
    emit(" %s", strerrorname_np(errno));
    return;
  }
  emit(" %06o n=%lu u=%u g=%u", st.st_mode, (unsigned long)st.st_nlink, st.st_uid, st.st_gid);
  /* A write to a FIFO stamps it on a local filesystem; through FUSE no filesystem hears of it. */
  if (st.st_mtim.tv_sec < SET_TIME_BEFORE && !S_ISFIFO(st.st_mode))
    emit(" m=%lld.%09ld", (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
  if (S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode)) emit(" dev=%u,%u", major(st.st_rdev), minor(st.st_rdev));
  emit_first(&st, path);
  emit_xattrs(path);
  if (S_ISREG(st.st_mode)) {
    emit(" size=%lld", (long long)st.st_size);
    emit_hash(path, st.st_size);
  }
  if (S_ISLNK(st.st_mode)) {
    char target[LINK_MAX_TEXT + 1];
    ssize_t n = readlink(path, target, sizeof target);
    emit(" -> ");
    if (n > 0) emit_name(target, (size_t)n);
  }
  if (!S_ISDIR(st.st_mode)) return;
  DIR *d = opendir(path);
  if (d == NULL) {
    emit(" unlistable=%s", strerrorname_np(errno));
    return;
  }
  char **names = NULL;
  size_t count = 0;
  for (struct dirent *e; (e = readdir(d)) != NULL;) {
    if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) continue;
    names = realloc(names, (count + 1) * sizeof *names);
    names[count] = malloc(strlen(path) + strlen(e->d_name) + 2);
    sprintf(names[count++], "%s/%s", path, e->d_name);
  }
  closedir(d);
  qsort(names, count, sizeof *names, by_text);
  for (size_t i = 0; i < count; i++) {
    walk(names[i]);
    free(names[i]);
  }
  free(names);
}

/* tree PATH: every entry below, separated by tabs */
static void do_tree(char **a) {
  first_count = 0;
  emit("= 0");
  walk(a[0]);
  end_line();
}

/* many PATH FROM TO [link|node]: makes files (or links to PATH/f0, or FIFOs) f<FROM>..f<TO-1> */
static void do_many(char **a) {
  char path[512], first[512];
  snprintf(first, sizeof first, "%s/f0", a[0]);
  for (long long i = number(a[1]); i < number(a[2]); i++) {
    snprintf(path, sizeof path, "%s/f%lld", a[0], i);
    int r;
    if (a[3] != NULL && strcmp(a[3], "link") == 0) r = link(first, path);
    else if (a[3] != NULL && strcmp(a[3], "node") == 0) r = mknod(path, S_IFIFO | 0600, 0);
    else {
      r = open(path, O_CREAT | O_EXCL | O_WRONLY, 0644);
      if (r >= 0) close(r);
    }
    if (r < 0) return answer(-1);
  }
  answer(0);
}

/* drop PATH FROM TO STEP: unlinks f<FROM>, f<FROM+STEP>, ... */
static void do_drop(char **a) {
  char path[512];
  for (long long i = number(a[1]); i < number(a[2]); i += number(a[3])) {
    snprintf(path, sizeof path, "%s/f%lld", a[0], i);
    if (unlink(path) < 0) return answer(-1);
  }
  answer(0);
}

/* check PATH SEED LENGTH: whether the file begins with these made bytes; answers its size */
static void do_check(char **a) {
  static unsigned char got[1 << 16], made[1 << 16];
  long long length = number(a[2]), at = 0;
  struct stat st;
  int fd = open(a[0], O_RDONLY);
  if (fd < 0 || fstat(fd, &st) < 0) return answer(-1);
  while (at < length) {
    size_t part = length - at < (long long)sizeof got ? (size_t)(length - at) : sizeof got;
    ssize_t n = pread(fd, got, part, at);
    if (n < 0) {
      int saved = errno;
      close(fd);
      errno = saved;
      return answer(-1);
    }
    fill(made, part, strtoll(a[1], NULL, 10), at);
    size_t i = 0;
    while (i < (size_t)n && got[i] == made[i]) i++;
    if (i < part) {
      close(fd);
      return answer_text("wrong at=%lld size=%lld", at + (long long)i, (long long)st.st_size);
    }
    at += (long long)part;
  }
  close(fd);
  answer_text("good size=%lld", (long long)st.st_size);
}

const command tree_commands[] = {
    {"check", 3, do_check},
    {"tree", 1, do_tree},
    {"many", 3, do_many},
    {"drop", 4, do_drop},
    {NULL, 0, NULL},
};
