/*
 * worker DIR: does one operation after the other in DIR (on a mount) and says when each began and ended, in
 * nanoseconds of CLOCK_MONOTONIC, which is one clock for all processes of a machine.
 *
 * Standard input holds one operation a line: `ID WORD ARGUMENTS`. Each is answered by one line:
 * `ID BEGAN ENDED ok|ERRNO [RESULT]`. The operations stand beside their functions. Files that are `kept` stay
 * open between operations, until `drop` or an error.
 */
#include "worker.h"

static struct {
  char name[64];
  int fd;
} kept[KEPT_MAX];

const char *root;

/* A kept descriptor of a file, opened when it is not there yet: reading, writing and appending. */
int kept_fd(const char *name, int flags) {
  char key[64];
  snprintf(key, sizeof key, "%s%s", name, flags & O_APPEND ? "+" : "");
  for (int i = 0; i < KEPT_MAX; i++)
    if (strcmp(kept[i].name, key) == 0) return kept[i].fd;
  for (int i = 0; i < KEPT_MAX; i++) {
    if (kept[i].name[0] != 0) continue;
    int fd = open(name, flags | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0) return -1;
    snprintf(kept[i].name, sizeof kept[i].name, "%s", key);
    return kept[i].fd = fd;
  }
  errno = EMFILE;
  return -1;
}

/* Closes what is kept of a name, or all. */
void drop(const char *name) {
  for (int i = 0; i < KEPT_MAX; i++) {
    if (kept[i].name[0] == 0) continue;
    size_t length = strlen(name != NULL ? name : "");
    if (name != NULL && (strncmp(kept[i].name, name, length) != 0 || strspn(kept[i].name + length, "+") !=
                         strlen(kept[i].name + length))) continue;
    close(kept[i].fd);
    kept[i].name[0] = 0;
  }
}

static long long now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void run_line(char *line) {
  char *words[8] = {0};
  int count = 0;
  for (char *rest = line, *one; count < 8 && (one = strsep(&rest, " \n")) != NULL;)
    if (*one != 0) words[count++] = one;
  if (count < 2) exit(2);
  for (const operation *each = operations; each->name != NULL; each++) {
    if (strcmp(each->name, words[1]) != 0 || count - 2 != each->words) continue;
    result[0] = 0;
    long long began = now_ns();
    errno = 0;
    int done = each->run(words + 2);
    int error = errno;
    long long ended = now_ns();
    printf("%s %lld %lld %s %s\n", words[0], began, ended, done < 0 ? strerrorname_np(error) : "ok", result);
    fflush(stdout);
    return;
  }
  fprintf(stderr, "worker: not understood: %s\n", words[1]);
  exit(2);
}

int main(int count, char **words) {
  static char line[4096];
  if (count != 2 || chdir("/") != 0) return 2;
  root = words[1];
  while (fgets(line, sizeof line, stdin) != NULL) run_line(line);
  return 0;
}
