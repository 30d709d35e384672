#include "worker.h"
#include <dirent.h>
#include <sys/mman.h>

char result[RESULT_MAX];
static char bytes[CONTENT_MAX + CELL];

/* Four paths at a time are enough for every operation. */
static const char *path_of(const char *name) {
  static char paths[4][1024];
  static int next;
  char *path = paths[next++ & 3];
  snprintf(path, sizeof paths[0], "%s/%s", root, name);
  return path;
}

/* `kept`: the descriptor that stays open; `fresh`: opened here. */
static int open_as(const char *how, const char *name, int flags) {
  if (strcmp(how, "kept") == 0) return kept_fd(path_of(name), (flags & O_APPEND) | O_RDWR);
  return open(path_of(name), flags | O_CLOEXEC, 0644);
}

/* Ends what open_as began; keeps errno, and gives back `done`. After an error nothing is kept. */
static int close_as(const char *how, const char *name, int fd, long long done) {
  int error = errno;
  if (strcmp(how, "kept") != 0) {
    if (close(fd) != 0 && done >= 0) return -1;
  } else if (done < 0) drop(path_of(name));
  errno = error;
  return done < 0 ? -1 : 0;
}

static void fill_cells(const char *value, size_t length) {
  for (size_t i = 0; i * CELL < length; i++) snprintf(bytes + i * CELL, CELL + 1, "%15s %15zu\n", value, i);
}

static int pwrite_all(int fd, size_t length, off_t at) {
  for (size_t done = 0; done < length;) {
    ssize_t n = pwrite(fd, bytes + done, length - done, at + (off_t)done);
    if (n < 0) return -1;
    done += (size_t)n;
  }
  return 0;
}

static ssize_t pread_all(int fd) {
  size_t done = 0;
  for (;;) {
    ssize_t n = pread(fd, bytes + done, CONTENT_MAX - done, (off_t)done);
    if (n < 0) return -1;
    if (n == 0) return (ssize_t)done;
    done += (size_t)n;
  }
}

/* The value of the cell at an index, without blanks; `?` for what is no such cell. */
static const char *cell_value(size_t index) {
  static char value[CELL];
  char expected[CELL];
  const char *cell = bytes + index * CELL;
  memcpy(value, cell, 15);
  value[15] = 0;
  snprintf(expected, sizeof expected, " %15zu\n", index);
  if (memcmp(cell + 15, expected, CELL - 15) != 0) return "?";
  return value + strspn(value, " ");
}

/* `VALUE`, `nothing` for an empty file, or `torn:` with every run of cells of one value. */
static void tell_content(size_t length) {
  if (length == 0) {
    strcpy(result, "nothing");
    return;
  }
  char first[CELL], last[CELL] = "";
  size_t runs = 0, used = 0;
  used += (size_t)sprintf(result, "torn:");
  for (size_t i = 0; i < length / CELL; i++) {
    const char *value = cell_value(i);
    if (strcmp(value, last) == 0) continue;
    if (runs++ == 0) strcpy(first, value);
    if (runs < 50) used += (size_t)sprintf(result + used, "%s@%zu,", value, i);
    strcpy(last, value);
  }
  if (length % CELL != 0) sprintf(result + used, "length=%zu", length);
  else if (runs == 1) strcpy(result, first);
}

/* write HOW NAME VALUE LENGTH: the whole content, in place. */
static int do_write(char **w) {
  size_t length = strtoul(w[3], NULL, 10);
  int fd = open_as(w[0], w[1], O_WRONLY | O_CREAT);
  if (fd < 0) return -1;
  fill_cells(w[2], length);
  return close_as(w[0], w[1], fd, pwrite_all(fd, length, 0));
}

/* write-sync HOW NAME VALUE LENGTH: and its fsync. */
static int do_write_sync(char **w) {
  size_t length = strtoul(w[3], NULL, 10);
  int fd = open_as(w[0], w[1], O_WRONLY | O_CREAT);
  if (fd < 0) return -1;
  fill_cells(w[2], length);
  int done = pwrite_all(fd, length, 0);
  return close_as(w[0], w[1], fd, done < 0 ? -1 : fsync(fd));
}

static int replace(char **w, int sync) {
  size_t length = strtoul(w[2], NULL, 10);
  int fd = open(path_of(w[3]), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd < 0) return -1;
  fill_cells(w[1], length);
  int done = pwrite_all(fd, length, 0);
  if (close_as("", w[3], fd, done >= 0 && sync ? fsync(fd) : done) != 0) return -1;
  return rename(path_of(w[3]), path_of(w[0]));
}

/* replace NAME VALUE LENGTH OTHER: a new file OTHER, renamed over NAME when it is closed. */
static int do_replace(char **w) { return replace(w, 0); }
/* replace-sync NAME VALUE LENGTH OTHER: with an fsync before it is closed. */
static int do_replace_sync(char **w) { return replace(w, 1); }

/* read HOW NAME: the value of the whole content. */
static int do_read(char **w) {
  int fd = open_as(w[0], w[1], O_RDONLY);
  if (fd < 0) return -1;
  ssize_t length = pread_all(fd);
  if (length >= 0) tell_content((size_t)length);
  return close_as(w[0], w[1], fd, length);
}

/* map-read NAME LENGTH: the same through a shared mapping; the file has this length. */
static int do_map_read(char **w) {
  size_t length = strtoul(w[1], NULL, 10);
  int fd = open(path_of(w[0]), O_RDONLY | O_CLOEXEC);
  struct stat s;
  if (fd < 0) return -1;
  if (fstat(fd, &s) != 0 || s.st_size < (off_t)length) { /* a page behind the end would be SIGBUS */
    sprintf(result, "torn:length=%lld", (long long)s.st_size);
    return close_as("", w[0], fd, 0);
  }
  void *mapped = mmap(NULL, length, PROT_READ, MAP_SHARED, fd, 0);
  if (mapped == MAP_FAILED) return close_as("", w[0], fd, -1);
  memcpy(bytes, mapped, length);
  munmap(mapped, length);
  tell_content(length);
  return close_as("", w[0], fd, 0);
}

static int append(char **w, int sync) {
  int fd = open_as(w[0], w[1], O_WRONLY | O_CREAT | O_APPEND);
  if (fd < 0) return -1;
  snprintf(bytes, sizeof bytes, "%31s\n", w[2]);
  ssize_t done = write(fd, bytes, CELL);
  if (done >= 0 && done != CELL) {
    errno = EIO;
    done = -1;
  }
  return close_as(w[0], w[1], fd, done >= 0 && sync ? fsync(fd) : done);
}

/* append HOW NAME RECORD: one write with O_APPEND. */
static int do_append(char **w) { return append(w, 0); }
/* append-sync HOW NAME RECORD: and its fsync. */
static int do_append_sync(char **w) { return append(w, 1); }

/* records HOW NAME: all records of a log, `,` between them; `?` for one that is none. */
static int do_records(char **w) {
  int fd = open_as(w[0], w[1], O_RDONLY);
  if (fd < 0) return -1;
  ssize_t length = pread_all(fd);
  size_t used = 0;
  for (ssize_t at = 0; at < length && used + CELL < RESULT_MAX; at += CELL) {
    bytes[at + CELL - 1] = bytes[at + CELL - 1] == '\n' ? 0 : 'x';
    const char *record = bytes + at + strspn(bytes + at, " ");
    int whole = at + CELL <= length && strlen(bytes + at) == CELL - 1 && strlen(record) > 0;
    used += (size_t)sprintf(result + used, "%s%s", used > 0 ? "," : "", whole ? record : "?");
  }
  return close_as(w[0], w[1], fd, length);
}

/* size NAME: of a file, by stat(2). */
static int do_size(char **w) {
  struct stat s;
  if (stat(path_of(w[0]), &s) != 0) return -1;
  sprintf(result, "%lld", (long long)s.st_size);
  return 0;
}

/* create NAME: O_EXCL; its inode number. */
static int do_create(char **w) {
  struct stat s;
  int fd = open(path_of(w[0]), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  if (fd < 0) return -1;
  int done = fstat(fd, &s);
  sprintf(result, "f%lld", (long long)s.st_ino);
  return close_as("", w[0], fd, done);
}

static void tell_object(const struct stat *s) {
  sprintf(result, "%c%lld", S_ISDIR(s->st_mode) ? 'd' : 'f', (long long)s->st_ino);
}

/* mkdir NAME. */
static int do_mkdir(char **w) { return mkdir(path_of(w[0]), 0755); }

/* look NAME: its type (f, d) and inode number. */
static int do_look(char **w) {
  struct stat s;
  if (lstat(path_of(w[0]), &s) != 0) return -1;
  tell_object(&s);
  return 0;
}

/* list NAME: the entries of a directory, as `name=f12,other=d13`. */
static int do_list(char **w) {
  DIR *dir = opendir(path_of(w[0]));
  if (dir == NULL) return -1;
  size_t used = 0;
  errno = 0;
  for (struct dirent *e; (e = readdir(dir)) != NULL && used + 300 < RESULT_MAX;) {
    if (e->d_name[0] == '.') continue;
    used += (size_t)sprintf(result + used, "%s%s=%c%lld", used > 0 ? "," : "", e->d_name,
                            e->d_type == DT_DIR ? 'd' : 'f', (long long)e->d_ino);
  }
  int failed = errno;
  closedir(dir);
  errno = failed;
  return failed == 0 ? 0 : -1;
}

/* unlink NAME, rmdir NAME, rename FROM TO, exchange ONE OTHER. */
static int do_unlink(char **w) { return unlink(path_of(w[0])); }
static int do_rmdir(char **w) { return rmdir(path_of(w[0])); }
static int do_rename(char **w) { return rename(path_of(w[0]), path_of(w[1])); }
static int do_exchange(char **w) {
  return renameat2(AT_FDCWD, path_of(w[0]), AT_FDCWD, path_of(w[1]), RENAME_EXCHANGE);
}

static int lock_as(const char *name, int command, short type) {
  struct flock range = {.l_type = type, .l_whence = SEEK_SET, .l_start = 0, .l_len = 0};
  int fd = kept_fd(path_of(name), O_RDWR);
  return fd < 0 ? -1 : fcntl(fd, command, &range);
}

/* lock NAME, try-lock NAME, unlock NAME: fcntl's exclusive lock of the whole file, which stays open. */
static int do_lock(char **w) { return lock_as(w[0], F_SETLKW, F_WRLCK); }
static int do_try_lock(char **w) { return lock_as(w[0], F_SETLK, F_WRLCK); }
static int do_unlock(char **w) { return lock_as(w[0], F_SETLK, F_UNLCK); }

/* increment HOW NAME: reads a number, writes the next one in its place; the number before. */
static int do_increment(char **w) {
  char text[CELL + 1] = "";
  int fd = open_as(w[0], w[1], O_RDWR | O_CREAT);
  if (fd < 0) return -1;
  ssize_t done = pread(fd, text, CELL, 0);
  long long before = strtoll(text, NULL, 10);
  if (done >= 0) {
    snprintf(text, sizeof text, "%31lld\n", before + 1);
    done = pwrite(fd, text, CELL, 0);
  }
  sprintf(result, "%lld", before);
  return close_as(w[0], w[1], fd, done);
}

/* sync NAME: fsync of a file. */
static int do_sync(char **w) {
  int fd = open(path_of(w[0]), O_RDONLY | O_CLOEXEC);
  return fd < 0 ? -1 : close_as("", w[0], fd, fsync(fd));
}

/* hold NAME: opens it and keeps it open (see drop). */
static int do_hold(char **w) { return kept_fd(path_of(w[0]), O_RDWR) < 0 ? -1 : 0; }

/* drop NAME: closes what is kept of it; `drop -` closes all. */
static int do_drop(char **w) {
  drop(strcmp(w[0], "-") == 0 ? NULL : path_of(w[0]));
  return 0;
}

const operation operations[] = {
    {"write", 4, do_write},       {"write-sync", 4, do_write_sync},   {"replace", 4, do_replace},
    {"replace-sync", 4, do_replace_sync},
    {"read", 2, do_read},         {"map-read", 2, do_map_read},       {"append", 3, do_append},
    {"append-sync", 3, do_append_sync}, {"records", 2, do_records},   {"size", 1, do_size},
    {"create", 1, do_create},     {"mkdir", 1, do_mkdir},             {"look", 1, do_look},
    {"list", 1, do_list},         {"unlink", 1, do_unlink},           {"rmdir", 1, do_rmdir},
    {"rename", 2, do_rename},     {"exchange", 2, do_exchange},       {"lock", 1, do_lock},
    {"try-lock", 1, do_try_lock}, {"unlock", 1, do_unlock},           {"increment", 2, do_increment},
    {"sync", 1, do_sync},         {"hold", 1, do_hold},               {"drop", 1, do_drop},
    {NULL, 0, NULL},
};
