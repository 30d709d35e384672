/* Commands about the process: who it is, where it is, what runs beside it. */
#include "probe.h"
#include <grp.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define GROUPS 16

static pid_t running; /* started by `spawn` */
static pid_t beside;  /* started by `bg` */
static int beside_out = -1;

static void become_root(void) {
  if (getuid() != 0) return;
  if (seteuid(0) < 0 || setegid(0) < 0 || setgroups(0, NULL) < 0) _exit(3);
}

/* as UID GID [GROUP,GROUP...]: effective ids; `as 0 0` is root again */
static void do_as(char **a) {
  gid_t groups[GROUPS];
  size_t count = 0;
  become_root();
  if (a[2] != NULL)
    for (char *rest = a[2], *one; (one = strsep(&rest, ",")) != NULL && count < GROUPS;) groups[count++] = (gid_t)number(one);
  if (setgroups(count, groups) < 0 || setegid((gid_t)number(a[1])) < 0) return answer(-1);
  answer(seteuid((uid_t)number(a[0])));
}

/* umask MODE */
static void do_umask(char **a) {
  umask((mode_t)number(a[0]));
  answer(0);
}

/* chdir PATH */
static void do_chdir(char **a) {
  answer(chdir(a[0]));
}

/* reset PATH: as root, umask 022, everything closed and unmapped, in this directory */
static void do_reset(char **a) {
  become_root();
  umask(022);
  unmap_all();
  close_dirs();
  forget_marks();
  for (int i = 0; i < SLOTS; i++) {
    if (slots[i] >= 0) close(slots[i]);
    slots[i] = -1;
  }
  if (running > 0) {
    kill(running, SIGKILL);
    waitpid(running, NULL, 0);
    running = 0;
  }
  answer(chdir(a[0]));
}

/* spawn PATH [ARG]: starts a program and leaves it running; an exec that fails is the answer */
static void do_spawn(char **a) {
  int report[2];
  if (pipe2(report, O_CLOEXEC) < 0) return answer(-1);
  pid_t pid = fork();
  if (pid == 0) {
    int null = open("/dev/null", O_RDWR);
    dup2(null, 0);
    dup2(null, 1);
    execl(a[0], a[0], a[1], (char *)NULL);
    int failed = errno;
    if (write(report[1], &failed, sizeof failed) < 0) _exit(4);
    _exit(127);
  }
  close(report[1]);
  int failed = 0;
  ssize_t n = read(report[0], &failed, sizeof failed);
  close(report[0]);
  if (n > 0) {
    waitpid(pid, NULL, 0);
    errno = failed;
    return answer(-1);
  }
  running = pid;
  answer(0);
}

/* reap: ends the program started by spawn */
static void do_reap(char **a) {
  (void)a;
  kill(running, SIGKILL);
  waitpid(running, NULL, 0);
  running = 0;
  answer(0);
}

/* bg COMMAND...: runs one command in a child, beside what follows; wait: its answer */
static void do_bg(char **a) {
  char line[4096] = "";
  int out[2];
  for (int i = 0; a[i] != NULL; i++) {
    if (i > 0) strcat(line, " ");
    strncat(line, a[i], sizeof line - strlen(line) - 2);
  }
  if (pipe(out) < 0) return answer(-1);
  fflush(stdout);
  beside = fork();
  if (beside == 0) {
    dup2(out[1], 1);
    close(out[0]);
    run_line(line);
    _exit(0);
  }
  close(out[1]);
  beside_out = out[0];
  answer(0);
}
static void do_wait(char **a) {
  (void)a;
  char text[4096];
  ssize_t total = 0, n;
  while ((n = read(beside_out, text + total, sizeof text - 1 - (size_t)total)) > 0) total += n;
  close(beside_out);
  waitpid(beside, NULL, 0);
  text[total] = 0;
  text[strcspn(text, "\n")] = 0;
  answer_text("child %s", text);
}

/* sleep MS */
static void do_sleep(char **a) {
  usleep((useconds_t)number(a[0]) * 1000);
  answer(0);
}

/* install FROM TO: copies a program and makes it executable */
static void do_install(char **a) {
  static char part[1 << 16];
  int in = open(a[0], O_RDONLY), out = open(a[1], O_WRONLY | O_CREAT | O_TRUNC, 0755);
  ssize_t n;
  if (in < 0 || out < 0) return answer(-1);
  while ((n = read(in, part, sizeof part)) > 0)
    if (write(out, part, (size_t)n) != n) return answer(-1);
  close(in);
  answer(close(out));
}

const command process_commands[] = {
    {"as", 2, do_as},       {"umask", 1, do_umask}, {"chdir", 1, do_chdir}, {"reset", 1, do_reset},
    {"spawn", 1, do_spawn}, {"reap", 0, do_reap},   {"bg", 1, do_bg},       {"wait", 0, do_wait},
    {"sleep", 1, do_sleep}, {"install", 2, do_install}, {NULL, 0, NULL},
};
