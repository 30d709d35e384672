/*
 * crash-writer DIR SEED: changes files in DIR until it is killed or a call fails, and says on standard
 * output, one line each, what has become durable. What it wrote is made from a seed (fill(), the same as
 * posix-probe's), so that a reader can check every byte.
 *
 *   synced NAME SEED LENGTH     create, write, fsync, rename, fsync of the directory: must be there whole
 *   closed NAME SEED LENGTH     create, write, close: must be there once the flush interval has passed
 *   grown NAME SEED LENGTH      appended and fsynced: at least this much
 *   removing NAME               may be gone from here on
 *   removed NAME                unlinked, and the directory fsynced: must be gone
 *   made NAME                   a directory tree with a synced file in it
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BYTES_MAX (5 << 20) /* more than one block of 4 MiB */
#define KEPT 64

static unsigned char bytes[BYTES_MAX];
static const char *dir;
static long kept[KEPT];

static void fill(unsigned char *to, size_t length, long long seed, long long offset) {
  for (size_t i = 0; i < length; i++) {
    uint64_t x = (uint64_t)(offset + (long long)i) * 0x9E3779B97F4A7C15ULL + (uint64_t)seed * 0xC2B2AE3D27D4EB4FULL;
    to[i] = (unsigned char)((x >> 32) | 1);
  }
}

static void must(long result) {
  if (result >= 0) return;
  fprintf(stderr, "%s\n", strerrorname_np(errno));
  exit(0); /* the mount is gone, as it should be */
}

static void sync_dir(const char *path) {
  int fd = open(path, O_RDONLY | O_DIRECTORY);
  must(fd);
  must(fsync(fd));
  close(fd);
}

static void write_all(int fd, size_t length) {
  for (size_t done = 0; done < length;) {
    ssize_t n = write(fd, bytes + done, length - done);
    must(n);
    done += (size_t)n;
  }
}

static const char *path_of(const char *kind, long number) {
  static char paths[4][512];
  static int next;
  char *path = paths[next++ & 3];
  snprintf(path, 512, "%s/%s%ld", dir, kind, number);
  return path;
}

static size_t some_length(void) {
  if (rand() % 40 == 0) return (size_t)(rand() % BYTES_MAX);
  return (size_t)(rand() % 40000);
}

static void replace(long number) {
  size_t length = some_length();
  const char *from = path_of("tmp", number), *to = path_of("r", number);
  int fd = open(from, O_CREAT | O_TRUNC | O_WRONLY, 0644);
  must(fd);
  fill(bytes, length, number, 0);
  write_all(fd, length);
  must(fsync(fd));
  must(close(fd));
  must(rename(from, to));
  sync_dir(dir);
  printf("synced r%ld %ld %zu\n", number, number, length);
  kept[number % KEPT] = number;
}

static void create(long number) {
  size_t length = some_length();
  int fd = open(path_of("c", number), O_CREAT | O_EXCL | O_WRONLY, 0644);
  must(fd);
  fill(bytes, length, number, 0);
  write_all(fd, length);
  must(close(fd));
  printf("closed c%ld %ld %zu\n", number, number, length);
}

static void append(long number) {
  static size_t sizes[4];
  size_t length = (size_t)(1 + rand() % 5000);
  int which = (int)(number % 4);
  char name[64];
  snprintf(name, sizeof name, "log%d.", which);
  int fd = open(path_of(name, getpid()), O_CREAT | O_APPEND | O_WRONLY, 0644);
  must(fd);
  fill(bytes, length, which, (long long)sizes[which]);
  write_all(fd, length);
  must(fsync(fd));
  must(close(fd));
  if (sizes[which] == 0) sync_dir(dir);
  sizes[which] += length;
  printf("grown log%d.%d %d %zu\n", which, getpid(), which, sizes[which]);
}

static void tree(long number) {
  char path[1024];
  const char *top = path_of("m", number);
  must(mkdir(top, 0755));
  snprintf(path, sizeof path, "%s/a", top);
  must(mkdir(path, 0755));
  snprintf(path, sizeof path, "%s/a/f", top);
  int fd = open(path, O_CREAT | O_WRONLY, 0644);
  must(fd);
  fill(bytes, 1000, number, 0);
  write_all(fd, 1000);
  must(fsync(fd));
  must(close(fd));
  snprintf(path, sizeof path, "%s/a", top);
  sync_dir(path);
  sync_dir(top);
  sync_dir(dir);
  printf("synced m%ld/a/f %ld 1000\n", number, number);
}

static void drop(long number) {
  long victim = kept[number % KEPT];
  if (victim == 0) return;
  kept[number % KEPT] = 0;
  printf("removing r%ld\n", victim);
  fflush(stdout);
  must(unlink(path_of("r", victim)));
  sync_dir(dir);
  printf("removed r%ld\n", victim);
}

int main(int count, char **words) {
  if (count < 3) return 2;
  dir = words[1];
  srand((unsigned)atol(words[2]));
  for (long number = atol(words[2]) * 1000000L + 1;; number++) {
    switch (rand() % 6) {
    case 0: case 1: replace(number); break;
    case 2: create(number); break;
    case 3: append(number); break;
    case 4: tree(number); break;
    default: drop(rand()); break;
    }
    fflush(stdout);
  }
}
