#include "probe.h"
#include <signal.h>
#include <stdarg.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/xattr.h>
#include <linux/falloc.h>
#include <linux/fs.h>

int slots[SLOTS];
static const command *const groups[] = {file_commands, name_commands, attr_commands, tree_commands,
                                        process_commands};

#define FLAG(name) {#name, name}
static const struct {
  const char *name;
  long value;
} flag_names[] = {
    FLAG(O_RDONLY), FLAG(O_WRONLY), FLAG(O_RDWR), FLAG(O_CREAT), FLAG(O_EXCL), FLAG(O_TRUNC), FLAG(O_APPEND),
    FLAG(O_DIRECT), FLAG(O_TMPFILE), FLAG(O_NOFOLLOW), FLAG(O_DIRECTORY), FLAG(O_NONBLOCK), FLAG(O_SYNC),
    FLAG(O_DSYNC), FLAG(O_PATH), FLAG(O_NOATIME), FLAG(RENAME_NOREPLACE), FLAG(RENAME_EXCHANGE),
    FLAG(RENAME_WHITEOUT), FLAG(AT_EMPTY_PATH), FLAG(AT_SYMLINK_FOLLOW), FLAG(AT_SYMLINK_NOFOLLOW),
    FLAG(AT_REMOVEDIR), FLAG(FALLOC_FL_KEEP_SIZE), FLAG(FALLOC_FL_PUNCH_HOLE), FLAG(FALLOC_FL_ZERO_RANGE),
    FLAG(FALLOC_FL_COLLAPSE_RANGE), FLAG(FALLOC_FL_INSERT_RANGE), FLAG(XATTR_CREATE), FLAG(XATTR_REPLACE),
    FLAG(R_OK), FLAG(W_OK), FLAG(X_OK), FLAG(F_OK), FLAG(SEEK_SET), FLAG(SEEK_CUR), FLAG(SEEK_END),
    FLAG(SEEK_DATA), FLAG(SEEK_HOLE), FLAG(LOCK_SH), FLAG(LOCK_EX), FLAG(LOCK_UN), FLAG(LOCK_NB),
    FLAG(S_IFREG), FLAG(S_IFIFO), FLAG(S_IFCHR), FLAG(S_IFBLK), FLAG(S_IFSOCK), FLAG(S_IFDIR),
    FLAG(F_SETLK), FLAG(F_SETLKW), FLAG(F_GETLK), FLAG(F_OFD_SETLK), FLAG(F_OFD_SETLKW), FLAG(F_OFD_GETLK),
    FLAG(F_RDLCK), FLAG(F_WRLCK), FLAG(F_UNLCK), FLAG(MS_SYNC), FLAG(MS_ASYNC),
};

static void die(const char *what, const char *word) {
  fprintf(stderr, "posix-probe: %s: %s\n", what, word);
  exit(2);
}

long long number(const char *word) {
  char *end;
  long long value = strtoll(word, &end, 0);
  switch (*end) {
  case 'T': value *= 1024; /* fall through */
  case 'G': value *= 1024; /* fall through */
  case 'M': value *= 1024; /* fall through */
  case 'K': value *= 1024; end++; break;
  default: break;
  }
  if (*end != 0 || end == word) die("not a number", word);
  return value;
}

long flags_of(const char *word) {
  long value = 0;
  char copy[512];
  snprintf(copy, sizeof copy, "%s", word);
  for (char *rest = copy, *one; (one = strsep(&rest, "|")) != NULL;) {
    size_t i = 0, count = sizeof flag_names / sizeof flag_names[0];
    while (i < count && strcmp(flag_names[i].name, one) != 0) i++;
    value |= i < count ? flag_names[i].value : number(one);
  }
  return value;
}

int fd_of(const char *word) {
  long long slot = number(word);
  return slot >= 0 && slot < SLOTS ? slots[slot] : -1;
}

void put_slot(const char *word, int fd) {
  long long slot = number(word);
  if (slot < 0 || slot >= SLOTS) die("no such slot", word);
  if (slots[slot] >= 0) close(slots[slot]);
  slots[slot] = fd;
}

struct timespec time_of(const char *word) {
  struct timespec t = {0, 0};
  if (strcmp(word, "now") == 0) t.tv_nsec = UTIME_NOW;
  else if (strcmp(word, "omit") == 0) t.tv_nsec = UTIME_OMIT;
  else {
    char *end;
    t.tv_sec = strtoll(word, &end, 10);
    if (*end == '.') t.tv_nsec = strtol(end + 1, NULL, 10);
  }
  return t;
}

void emit(const char *format, ...) {
  va_list list;
  va_start(list, format);
  vprintf(format, list);
  va_end(list);
}

void emit_name(const char *bytes, size_t length) {
  for (size_t i = 0; i < length; i++) {
    unsigned char c = (unsigned char)bytes[i];
    if (c <= ' ' || c >= 0x7f || c == '%' || c == ';') printf("%%%02X", c);
    else putchar(c);
  }
}

void end_line(void) {
  putchar('\n');
  fflush(stdout);
}

void answer(long long result) {
  if (result == -1) printf("! %s", strerrorname_np(errno));
  else printf("= %lld", result);
  end_line();
}

void answer_text(const char *format, ...) {
  va_list list;
  va_start(list, format);
  printf("= ");
  vprintf(format, list);
  va_end(list);
  end_line();
}

/* Bytes that depend on the seed and the offset, and are never 0, so that they differ from a hole. */
void fill(unsigned char *to, size_t length, long long seed, long long offset) {
  for (size_t i = 0; i < length; i++) {
    uint64_t x = (uint64_t)(offset + (long long)i) * 0x9E3779B97F4A7C15ULL + (uint64_t)seed * 0xC2B2AE3D27D4EB4FULL;
    to[i] = (unsigned char)((x >> 32) | 1);
  }
}

/* FNV-1a, 64 bits. */
uint64_t hash_bytes(uint64_t hash, const unsigned char *bytes, size_t length) {
  for (size_t i = 0; i < length; i++) hash = (hash ^ bytes[i]) * 1099511628211ULL;
  return hash;
}

static void decode(char *word) {
  char *to = word;
  for (char *from = word; *from != 0; from++) {
    if (from[0] == '%' && from[1] != 0 && from[2] != 0) {
      char hex[3] = {from[1], from[2], 0};
      *to++ = (char)strtol(hex, NULL, 16);
      from += 2;
    } else *to++ = *from;
  }
  *to = 0;
}

void run_line(char *line) {
  char *words[16] = {0};
  int count = 0;
  for (char *rest = line, *one; (one = strsep(&rest, " ")) != NULL && count < 15;) {
    decode(one);
    words[count++] = one;
  }
  for (size_t g = 0; g < sizeof groups / sizeof groups[0]; g++) {
    for (const command *c = groups[g]; c->name != NULL; c++) {
      if (strcmp(c->name, words[0]) != 0) continue;
      if (count - 1 < c->words) die("too few words", words[0]);
      errno = 0;
      c->run(words + 1);
      return;
    }
  }
  die("no such command", words[0]);
}

int main(void) {
  signal(SIGPIPE, SIG_IGN); /* a FIFO without a reader is EPIPE */
  char *line = NULL;
  size_t room = 0;
  ssize_t length;
  for (int i = 0; i < SLOTS; i++) slots[i] = -1;
  while ((length = getline(&line, &room, stdin)) > 0) {
    if (line[length - 1] == '\n') line[length - 1] = 0;
    run_line(line);
  }
  return 0;
}
