/* Commands on names: making, linking, renaming, removing, listing. */
#include "probe.h"
#include <dirent.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/un.h>

static DIR *dirs[SLOTS];

/* mkdir PATH MODE, rmdir PATH, unlink PATH */
static void do_mkdir(char **a) {
  answer(mkdir(a[0], (mode_t)number(a[1])));
}
static void do_rmdir(char **a) {
  answer(rmdir(a[0]));
}
static void do_unlink(char **a) {
  answer(unlink(a[0]));
}

/* rename FROM TO [FLAGS] */
static void do_rename(char **a) {
  answer(a[2] == NULL ? rename(a[0], a[1])
                      : renameat2(AT_FDCWD, a[0], AT_FDCWD, a[1], (unsigned)flags_of(a[2])));
}

/* link FROM TO [FLAGS] */
static void do_link(char **a) {
  answer(linkat(AT_FDCWD, a[0], AT_FDCWD, a[1], a[2] == NULL ? 0 : (int)flags_of(a[2])));
}

/* linkfd SLOT TO: linkat(2) with AT_EMPTY_PATH */
static void do_linkfd(char **a) {
  answer(linkat(fd_of(a[0]), "", AT_FDCWD, a[1], AT_EMPTY_PATH));
}

/* linkproc SLOT TO: linkat(2) of /proc/self/fd/N, which needs no capability */
static void do_linkproc(char **a) {
  char path[64];
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd_of(a[0]));
  answer(linkat(AT_FDCWD, path, AT_FDCWD, a[1], AT_SYMLINK_FOLLOW));
}

/* symlink TARGET PATH, readlink PATH */
static void do_symlink(char **a) {
  answer(symlink(a[0], a[1]));
}
static void do_readlink(char **a) {
  char target[LINK_MAX_TEXT + 1];
  ssize_t n = readlink(a[0], target, sizeof target);
  if (n < 0) return answer(-1);
  emit("= %zd ", n);
  emit_name(target, (size_t)n);
  end_line();
}

/* mknod PATH MODE MAJOR MINOR, mkfifo PATH MODE */
static void do_mknod(char **a) {
  answer(mknod(a[0], (mode_t)flags_of(a[1]), makedev((unsigned)number(a[2]), (unsigned)number(a[3]))));
}
static void do_mkfifo(char **a) {
  answer(mkfifo(a[0], (mode_t)number(a[1])));
}

/* bind SLOT PATH, connect SLOT PATH: sockets in the filesystem */
static int address_of(struct sockaddr_un *to, const char *path) {
  memset(to, 0, sizeof *to);
  to->sun_family = AF_UNIX;
  /* An empty name would be an abstract socket, which is no file. */
  if (*path == 0 || strlen(path) >= sizeof to->sun_path) {
    errno = *path == 0 ? ENOENT : ENAMETOOLONG;
    return -1;
  }
  memcpy(to->sun_path, path, strlen(path));
  return 0;
}
static void do_bind(char **a) {
  struct sockaddr_un to;
  int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  if (address_of(&to, a[1]) < 0 || bind(fd, (struct sockaddr *)&to, sizeof to) < 0) {
    int saved = errno;
    close(fd);
    errno = saved;
    return answer(-1);
  }
  put_slot(a[0], fd);
  answer(listen(fd, 1));
}
static void do_connect(char **a) {
  struct sockaddr_un to;
  int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  int r = address_of(&to, a[1]);
  if (r == 0) r = connect(fd, (struct sockaddr *)&to, sizeof to);
  if (r == 0) put_slot(a[0], fd);
  answer(r);
}

static int by_text(const void *left, const void *right) {
  return strcmp(*(char *const *)left, *(char *const *)right);
}

/* One listed entry as text; `~` marks a d_ino that is not what lstat(2) says. */
static char *entry_text(const char *path, const struct dirent *e) {
  static const char kinds[] = "?pc?d?b?-?l?s?w?";
  char *text = malloc(strlen(e->d_name) + 4);
  char *full = malloc(strlen(path) + strlen(e->d_name) + 2);
  struct stat st;
  sprintf(full, "%s/%s", path, e->d_name);
  int wrong = strcmp(e->d_name, "..") != 0 && lstat(full, &st) == 0 && st.st_ino != e->d_ino;
  sprintf(text, "%s:%c%s", e->d_name, kinds[e->d_type & 15], wrong ? "~" : "");
  free(full);
  return text;
}

static void emit_sorted(char **names, size_t count) {
  qsort(names, count, sizeof *names, by_text);
  emit("= %zu", count);
  for (size_t i = 0; i < count; i++) {
    emit(" ");
    emit_name(names[i], strlen(names[i]));
    free(names[i]);
  }
  end_line();
}

/* ls PATH: every entry, sorted, as NAME:TYPE */
static void do_ls(char **a) {
  static char *names[400000];
  size_t count = 0;
  DIR *d = opendir(a[0]);
  if (d == NULL) return answer(-1);
  for (struct dirent *e; (e = readdir(d)) != NULL && count < 400000;) names[count++] = entry_text(a[0], e);
  closedir(d);
  emit_sorted(names, count);
}

/* lsseek PATH: lists, seeks back to each of eight places, and says whether the same names follow */
static void do_lsseek(char **a) {
  static struct {
    long before;
    char name[256];
  } seen[20000];
  size_t count = 0, wrong = 0;
  DIR *d = opendir(a[0]);
  if (d == NULL) return answer(-1);
  for (;;) {
    long before = telldir(d);
    struct dirent *e = readdir(d);
    if (e == NULL || count == 20000) break;
    seen[count].before = before;
    snprintf(seen[count++].name, 256, "%s", e->d_name);
  }
  for (size_t k = 0; k < 8 && count > 0; k++) {
    size_t at = (count - 1) * k / 7;
    seekdir(d, seen[at].before);
    for (size_t i = at; i < count; i++) {
      struct dirent *e = readdir(d);
      if (e == NULL || strcmp(e->d_name, seen[i].name) != 0) {
        wrong++;
        break;
      }
    }
  }
  closedir(d);
  answer_text("%zu wrong=%zu", count, wrong);
}

/* dopen DIR PATH, dread DIR COUNT, drewind DIR, dclose DIR: a listing that goes on while things change */
static void do_dopen(char **a) {
  dirs[number(a[0])] = opendir(a[1]);
  answer(dirs[number(a[0])] == NULL ? -1 : 0);
}
static void do_dread(char **a) {
  static char *names[400000];
  size_t count = 0;
  long long left = number(a[1]);
  for (struct dirent *e; left-- > 0 && (e = readdir(dirs[number(a[0])])) != NULL;) names[count++] = strdup(e->d_name);
  emit_sorted(names, count);
}
static void do_drewind(char **a) {
  rewinddir(dirs[number(a[0])]);
  answer(0);
}
static void do_dclose(char **a) {
  answer(closedir(dirs[number(a[0])]));
  dirs[number(a[0])] = NULL;
}
void close_dirs(void) {
  for (int i = 0; i < SLOTS; i++) {
    if (dirs[i] != NULL) closedir(dirs[i]);
    dirs[i] = NULL;
  }
}

const command name_commands[] = {
    {"mkdir", 2, do_mkdir},       {"rmdir", 1, do_rmdir},   {"unlink", 1, do_unlink},     {"rename", 2, do_rename},
    {"link", 2, do_link},         {"linkfd", 2, do_linkfd}, {"linkproc", 2, do_linkproc}, {"symlink", 2, do_symlink},
    {"readlink", 1, do_readlink}, {"mknod", 4, do_mknod},   {"mkfifo", 2, do_mkfifo},     {"bind", 2, do_bind},
    {"connect", 2, do_connect},   {"ls", 1, do_ls},         {"lsseek", 1, do_lsseek},     {"dopen", 2, do_dopen},
    {"dread", 2, do_dread},       {"drewind", 1, do_drewind}, {"dclose", 1, do_dclose},   {NULL, 0, NULL},
};
