/*
 * Load generator of the benchmarks: one loop of system calls, timed from the inside, so that neither the
 * start of a process nor an interpreter is measured. Prints the seconds it took, one number.
 *
 *   load seqread FILE              reads to the end, 1 MiB at a time
 *   load seqwrite FILE BYTES [fsync]    writes a new file, 1 MiB at a time, (fsyncs,) and closes it
 *   load randread FILE COUNT       4 KiB at random aligned offsets
 *   load append FILE COUNT         opens a new file O_APPEND, writes 4 KiB at a time, closes it
 *   load create DIR COUNT BYTES    creates, writes, closes DIR/f00000 ...
 *   load open|unlink|mkdir|rmdir|mknod DIR COUNT    on DIR/f00000 ... (mkdir, rmdir: DIR/d00000 ...)
 *   load stat DIR COUNT [PASSES]   on DIR/f00000 ..., from the first to the last, as often
 *   load rename DIR COUNT          DIR/f00000 to DIR/g00000 ..., and back again: 2 COUNT renames
 *   load list DIR                  readdir, and lstat of each entry, as `ls -l` does
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define CHUNK (1024 * 1024)
#define PAGE 4096
/* What is written in sequence repeats itself after this: farther away than a compressor looks back for 4 MiB. */
#define WRITTEN (8 * CHUNK)

static char buffer[WRITTEN] __attribute__((aligned(PAGE)));

static void fail(const char *what) {
  fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
  exit(1);
}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec / 1e9;
}

/* xorshift64*. Content differs from run to run: what is there already would not have to be stored again. */
static uint64_t state;
static uint64_t next_random(void) {
  state ^= state >> 12;
  state ^= state << 25;
  state ^= state >> 27;
  return state * 0x2545f4914f6cdd1du;
}

static void fill(size_t length) {
  struct timespec t;
  clock_gettime(CLOCK_REALTIME, &t);
  state = (((uint64_t)t.tv_sec << 30) ^ (uint64_t)t.tv_nsec ^ ((uint64_t)getpid() << 48)) | 1;
  for (size_t i = 0; i < length / 8; i++) ((uint64_t *)buffer)[i] = next_random();
}

static void write_all(int fd, const char *data, size_t length) {
  while (length > 0) {
    ssize_t n = write(fd, data, length);
    if (n <= 0) fail("write");
    data += n;
    length -= (size_t)n;
  }
}

static void seqread(const char *file) {
  int fd = open(file, O_RDONLY);
  ssize_t n;
  if (fd < 0) fail(file);
  while ((n = read(fd, buffer, CHUNK)) > 0) continue;
  if (n < 0) fail("read");
  close(fd);
}

static void seqwrite(const char *file, long bytes, int sync) {
  int fd = open(file, O_WRONLY | O_CREAT | O_EXCL, 0644);
  if (fd < 0) fail(file);
  for (long at = 0; at < bytes; at += CHUNK) {
    char *chunk = buffer + at % WRITTEN;
    *(long *)chunk = at; /* no two chunks alike: nothing is deduplicated */
    write_all(fd, chunk, bytes - at < CHUNK ? (size_t)(bytes - at) : CHUNK);
  }
  if (sync && fsync(fd) != 0) fail("fsync");
  if (close(fd) != 0) fail("close");
}

static void randread(const char *file, long count) {
  int fd = open(file, O_RDONLY);
  struct stat st;
  if (fd < 0 || fstat(fd, &st) != 0) fail(file);
  uint64_t pages = (uint64_t)st.st_size / PAGE;
  for (long i = 0; i < count; i++)
    if (pread(fd, buffer, PAGE, (off_t)(next_random() % pages * PAGE)) != PAGE) fail("pread");
  close(fd);
}

static void append(const char *file, long count) {
  int fd = open(file, O_WRONLY | O_CREAT | O_APPEND, 0644);
  if (fd < 0) fail(file);
  for (long i = 0; i < count; i++) write_all(fd, buffer + i % 256 * PAGE, PAGE);
  if (close(fd) != 0) fail("close");
}

static void create(const char *path, long i, size_t bytes) {
  int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0644);
  if (fd < 0) fail(path);
  if (bytes > 0) {
    *(long *)buffer = i;
    write_all(fd, buffer, bytes);
  }
  if (close(fd) != 0) fail("close");
}

static void list(void) {
  DIR *d = opendir(".");
  struct dirent *entry;
  struct stat st;
  if (d == NULL) fail("opendir");
  while ((entry = readdir(d)) != NULL)
    if (fstatat(dirfd(d), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0) fail(entry->d_name);
  closedir(d);
}

static void one(const char *command, long i, size_t bytes) {
  char path[32], other[32];
  struct stat st;
  int bad = 0;
  int is_dir = strcmp(command, "mkdir") == 0 || strcmp(command, "rmdir") == 0;
  snprintf(path, sizeof path, "%c%05ld", is_dir ? 'd' : 'f', i);
  if (strcmp(command, "create") == 0) create(path, i, bytes);
  else if (strcmp(command, "stat") == 0) bad = lstat(path, &st);
  else if (strcmp(command, "unlink") == 0) bad = unlink(path);
  else if (strcmp(command, "mkdir") == 0) bad = mkdir(path, 0755);
  else if (strcmp(command, "rmdir") == 0) bad = rmdir(path);
  else if (strcmp(command, "mknod") == 0) bad = mknod(path, S_IFREG | 0644, 0);
  else if (strcmp(command, "open") == 0) {
    int fd = open(path, O_RDONLY);
    bad = fd < 0 ? -1 : close(fd);
  } else if (strcmp(command, "rename") == 0) {
    snprintf(other, sizeof other, "g%05ld", i);
    bad = rename(path, other) != 0 ? -1 : rename(other, path);
  } else {
    fprintf(stderr, "load: unknown command %s\n", command);
    exit(2);
  }
  if (bad != 0) fail(path);
}

static const char *const on_files[] = {"seqread", "seqwrite", "randread", "append"};

int main(int argc, char **argv) {
  if (argc < 3) {
    fprintf(stderr, "usage: load COMMAND PATH [COUNT [BYTES, PASSES or fsync]]\n");
    return 2;
  }
  const char *command = argv[1], *path = argv[2];
  long count = argc > 3 ? atol(argv[3]) : 0;
  size_t bytes = argc > 4 ? (size_t)atol(argv[4]) : 0;
  if (bytes > CHUNK) {
    fprintf(stderr, "load: at most 1 MiB for each file\n");
    return 2;
  }
  fill(strcmp(command, "seqwrite") == 0 ? WRITTEN : CHUNK);
  int on_file = 0;
  for (size_t i = 0; i < sizeof on_files / sizeof on_files[0]; i++) on_file |= strcmp(command, on_files[i]) == 0;
  /* Names are relative, as `find`, `git` and `make` use them: the walk to the directory is not measured. */
  if (!on_file && chdir(path) != 0) fail(path);
  double start = now();
  if (strcmp(command, "seqread") == 0) seqread(path);
  else if (strcmp(command, "seqwrite") == 0) seqwrite(path, count, argc > 4 && strcmp(argv[4], "fsync") == 0);
  else if (strcmp(command, "randread") == 0) randread(path, count);
  else if (strcmp(command, "append") == 0) append(path, count);
  else if (strcmp(command, "list") == 0) list();
  else if (strcmp(command, "stat") == 0)
    for (long i = 0; i < count * (argc > 4 ? (long)bytes : 1); i++) one(command, i % count, 0);
  else
    for (long i = 0; i < count; i++) one(command, i, bytes);
  printf("%.6f\n", now() - start);
  return 0;
}
