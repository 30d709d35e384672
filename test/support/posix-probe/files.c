/* Commands on open files: content, size, mappings, locks. */
#include "probe.h"
#include <setjmp.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/time.h>

#define IO_ALIGN 4096

static struct {
  unsigned char *at;
  size_t length;
} maps[SLOTS];
static sigjmp_buf on_bus;

static void bus(int signal) {
  siglongjmp(on_bus, signal);
}

static unsigned char *buffer_of(size_t length) {
  static unsigned char *buffer;
  static size_t room;
  if (length > room || buffer == NULL) {
    free(buffer);
    room = (length + IO_ALIGN) & ~(size_t)(IO_ALIGN - 1);
    buffer = aligned_alloc(IO_ALIGN, room);
  }
  return buffer;
}

/* open SLOT PATH FLAGS [MODE] */
static void do_open(char **a) {
  int fd = open(a[1], (int)flags_of(a[2]), a[3] == NULL ? 0 : (mode_t)number(a[3]));
  if (fd >= 0) put_slot(a[0], fd);
  answer(fd < 0 ? -1 : 0);
}

/* close SLOT */
static void do_close(char **a) {
  int r = close(fd_of(a[0]));
  slots[number(a[0])] = -1;
  answer(r);
}

static void answer_bytes(ssize_t count, const unsigned char *bytes) {
  if (count < 0) answer(-1);
  else answer_text("%zd hash=%016llx", count, (unsigned long long)hash_bytes(HASH_START, bytes, (size_t)count));
}

/* read SLOT LENGTH */
static void do_read(char **a) {
  unsigned char *to = buffer_of((size_t)number(a[1]));
  answer_bytes(read(fd_of(a[0]), to, (size_t)number(a[1])), to);
}

/* pread SLOT OFFSET LENGTH */
static void do_pread(char **a) {
  unsigned char *to = buffer_of((size_t)number(a[2]));
  answer_bytes(pread(fd_of(a[0]), to, (size_t)number(a[2]), number(a[1])), to);
}

/* write SLOT SEED LENGTH */
static void do_write(char **a) {
  unsigned char *from = buffer_of((size_t)number(a[2]));
  fill(from, (size_t)number(a[2]), number(a[1]), 0);
  answer(write(fd_of(a[0]), from, (size_t)number(a[2])));
}

/* pwrite SLOT OFFSET SEED LENGTH */
static void do_pwrite(char **a) {
  unsigned char *from = buffer_of((size_t)number(a[3]));
  fill(from, (size_t)number(a[3]), number(a[2]), number(a[1]));
  answer(pwrite(fd_of(a[0]), from, (size_t)number(a[3]), number(a[1])));
}

/* ftruncate SLOT LENGTH */
static void do_ftruncate(char **a) {
  answer(ftruncate(fd_of(a[0]), number(a[1])));
}

/* fallocate SLOT MODE OFFSET LENGTH */
static void do_fallocate(char **a) {
  answer(fallocate(fd_of(a[0]), (int)flags_of(a[1]), number(a[2]), number(a[3])));
}

/* posix_fallocate SLOT OFFSET LENGTH */
static void do_posix_fallocate(char **a) {
  errno = posix_fallocate(fd_of(a[0]), number(a[1]), number(a[2]));
  answer(errno == 0 ? 0 : -1);
}

/* seek SLOT OFFSET WHENCE */
static void do_seek(char **a) {
  answer(lseek(fd_of(a[0]), number(a[1]), (int)flags_of(a[2])));
}

/* copy SLOT OFFSET SLOT OFFSET LENGTH: copy_file_range(2) until it ends */
static void do_copy(char **a) {
  loff_t in = number(a[1]), out = number(a[3]);
  size_t left = (size_t)number(a[4]);
  long long done = 0;
  while (left > 0) {
    ssize_t n = copy_file_range(fd_of(a[0]), &in, fd_of(a[2]), &out, left, 0);
    if (n < 0 && done == 0) return answer(-1);
    if (n <= 0) break;
    done += n;
    left -= (size_t)n;
  }
  answer(done);
}

/* fsync SLOT, fdatasync SLOT, syncfs SLOT */
static void do_fsync(char **a) {
  answer(fsync(fd_of(a[0])));
}
static void do_fdatasync(char **a) {
  answer(fdatasync(fd_of(a[0])));
}
static void do_syncfs(char **a) {
  answer(syncfs(fd_of(a[0])));
}

/* map MAP SLOT OFFSET LENGTH [private|read]: a shared, writable mapping unless said otherwise */
static void do_map(char **a) {
  long long m = number(a[0]);
  int private = a[4] != NULL && strcmp(a[4], "private") == 0;
  int read_only = a[4] != NULL && strcmp(a[4], "read") == 0;
  void *at = mmap(NULL, (size_t)number(a[3]), read_only ? PROT_READ : PROT_READ | PROT_WRITE,
                  private ? MAP_PRIVATE : MAP_SHARED, fd_of(a[1]), number(a[2]));
  if (at == MAP_FAILED) return answer(-1);
  maps[m].at = at;
  maps[m].length = (size_t)number(a[3]);
  answer(0);
}

/* Whether this range of a map can be touched at all; what lies beyond the file's end is SIGBUS's affair. */
static int mapped(const char *map, const char *offset, const char *length) {
  long long m = number(map);
  errno = EFAULT;
  return maps[m].at != NULL && (size_t)(number(offset) + number(length)) <= maps[m].length;
}

/* mput MAP OFFSET SEED LENGTH; mget MAP OFFSET LENGTH. A SIGBUS is an answer. */
static void do_mput(char **a) {
  if (!mapped(a[0], a[1], a[3])) return answer(-1);
  signal(SIGBUS, bus);
  if (sigsetjmp(on_bus, 1) != 0) return answer_text("SIGBUS");
  fill(maps[number(a[0])].at + number(a[1]), (size_t)number(a[3]), number(a[2]), number(a[1]));
  answer(0);
}
static void do_mget(char **a) {
  if (!mapped(a[0], a[1], a[2])) return answer(-1);
  signal(SIGBUS, bus);
  if (sigsetjmp(on_bus, 1) != 0) return answer_text("SIGBUS");
  answer_bytes((ssize_t)number(a[2]), maps[number(a[0])].at + number(a[1]));
}

/* msync MAP; unmap MAP */
static void do_msync(char **a) {
  if (!mapped(a[0], "0", "0")) return answer(-1);
  answer(msync(maps[number(a[0])].at, maps[number(a[0])].length, MS_SYNC));
}
static void do_unmap(char **a) {
  long long m = number(a[0]);
  int r = maps[m].at == NULL ? 0 : munmap(maps[m].at, maps[m].length);
  maps[m].at = NULL;
  answer(r);
}
void unmap_all(void) {
  for (int m = 0; m < SLOTS; m++) {
    if (maps[m].at != NULL) munmap(maps[m].at, maps[m].length);
    maps[m].at = NULL;
  }
}

static void woken(int signal) {
  (void)signal;
}

/* lock SLOT COMMAND TYPE START LENGTH [WAIT_MS]: fcntl(2); a wait that is over is EINTR */
static void do_lock(char **a) {
  struct flock lock = {.l_type = (short)flags_of(a[2]), .l_whence = SEEK_SET, .l_start = number(a[3]),
                       .l_len = number(a[4])};
  int how = (int)flags_of(a[1]);
  struct sigaction act = {.sa_handler = woken};
  struct itimerval wait = {{0, 0}, {0, 0}};
  if (a[5] != NULL) {
    wait.it_value.tv_usec = (int)number(a[5]) % 1000 * 1000;
    wait.it_value.tv_sec = (int)number(a[5]) / 1000;
    sigaction(SIGALRM, &act, NULL);
    setitimer(ITIMER_REAL, &wait, NULL);
  }
  int r = fcntl(fd_of(a[0]), how, &lock);
  int saved = errno;
  struct itimerval off = {{0, 0}, {0, 0}};
  setitimer(ITIMER_REAL, &off, NULL);
  errno = saved;
  if (r == 0 && (how == F_GETLK || how == F_OFD_GETLK)) {
    if (lock.l_type == F_UNLCK) return answer_text("0 free");
    return answer_text("0 type=%s start=%lld length=%lld owner=%s", lock.l_type == F_RDLCK ? "read" : "write",
                       (long long)lock.l_start, (long long)lock.l_len, lock.l_pid > 0 ? "process" : "ofd");
  }
  answer(r);
}

/* flock SLOT OPERATION */
static void do_flock(char **a) {
  answer(flock(fd_of(a[0]), (int)flags_of(a[1])));
}

/* readall PATH: opens, reads to the end, closes */
static void do_readall(char **a) {
  static unsigned char part[1 << 17];
  uint64_t hash = HASH_START;
  long long total = 0;
  ssize_t n;
  int fd = open(a[0], O_RDONLY);
  if (fd < 0) return answer(-1);
  while ((n = read(fd, part, sizeof part)) > 0) {
    hash = hash_bytes(hash, part, (size_t)n);
    total += n;
  }
  int saved = errno;
  close(fd);
  errno = saved;
  if (n < 0) return answer(-1);
  answer_text("%lld hash=%016llx", total, (unsigned long long)hash);
}

/* put PATH SEED LENGTH: creates or replaces a file with these bytes */
static void do_put(char **a) {
  unsigned char *from = buffer_of((size_t)number(a[2]));
  fill(from, (size_t)number(a[2]), number(a[1]), 0);
  int fd = open(a[0], O_WRONLY | O_CREAT | O_TRUNC, 0644);
  if (fd < 0) return answer(-1);
  ssize_t n = write(fd, from, (size_t)number(a[2]));
  int saved = errno;
  close(fd);
  errno = saved;
  answer(n);
}

const command file_commands[] = {
    {"open", 3, do_open},           {"close", 1, do_close},         {"read", 2, do_read},
    {"pread", 3, do_pread},         {"write", 3, do_write},         {"pwrite", 4, do_pwrite},
    {"ftruncate", 2, do_ftruncate}, {"fallocate", 4, do_fallocate}, {"posix_fallocate", 3, do_posix_fallocate},
    {"seek", 3, do_seek},           {"copy", 5, do_copy},           {"fsync", 1, do_fsync},
    {"fdatasync", 1, do_fdatasync}, {"syncfs", 1, do_syncfs},       {"map", 4, do_map},
    {"mput", 4, do_mput},           {"mget", 3, do_mget},           {"msync", 1, do_msync},
    {"unmap", 1, do_unmap},         {"lock", 5, do_lock},           {"flock", 2, do_flock},
    {"readall", 1, do_readall},     {"put", 3, do_put},             {NULL, 0, NULL},
};
