/*
 * What Node cannot do itself: serve /dev/fuse on its event loop, mount, pass descriptors, and a few system
 * calls that node:fs lacks. No policy, no state but the servers that run. src/core/native.ts says what each
 * function takes, returns and throws.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/fs.h>
#include <node_api.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

/* Debian 12's linux/fuse.h is 7.38; these came with 7.40 (linux/fuse.h of Linux 6.9). */
struct fuse_backing_map_740 {
  int32_t fd;
  uint32_t flags;
  uint64_t padding;
};
#define FUSE_BACKING_OPEN _IOW(229, 1, struct fuse_backing_map_740)
#define FUSE_BACKING_CLOSE _IOW(229, 2, uint32_t)

/* ---- N-API helpers ---- */

#define MAX_ARGS 8

static napi_value throw_errno(napi_env env, const char *syscall, int err) {
  char message[128];
  snprintf(message, sizeof message, "%s: %s, %s", uv_err_name(-err), uv_strerror(-err), syscall);
  napi_value code, text, error, name, number;
  napi_create_string_utf8(env, uv_err_name(-err), NAPI_AUTO_LENGTH, &code);
  napi_create_string_utf8(env, message, NAPI_AUTO_LENGTH, &text);
  napi_create_error(env, code, text, &error);
  napi_create_string_utf8(env, syscall, NAPI_AUTO_LENGTH, &name);
  napi_set_named_property(env, error, "syscall", name);
  napi_create_int32(env, -err, &number);
  napi_set_named_property(env, error, "errno", number);
  napi_throw(env, error);
  return NULL;
}

static void get_args(napi_env env, napi_callback_info info, napi_value *args) {
  size_t count = MAX_ARGS;
  napi_get_cb_info(env, info, &count, args, NULL, NULL);
}

static int64_t as_int(napi_env env, napi_value value) {
  int64_t number = -1;
  napi_get_value_int64(env, value, &number);
  return number;
}

static void *as_bytes(napi_env env, napi_value value, size_t *length) {
  void *data = NULL;
  size_t elements = 0;
  napi_typedarray_type type;
  if (napi_get_typedarray_info(env, value, &type, &elements, &data, NULL, NULL) != napi_ok) return NULL;
  if (length != NULL) *length = type == napi_uint32_array ? elements * 4 : elements;
  return data;
}

static napi_value from_int(napi_env env, int64_t number) {
  napi_value value;
  napi_create_int64(env, number, &value);
  return value;
}

static napi_value undefined(napi_env env) {
  napi_value value;
  napi_get_undefined(env, &value);
  return value;
}

static char *as_string(napi_env env, napi_value value) {
  size_t length = 0;
  if (napi_get_value_string_utf8(env, value, NULL, 0, &length) != napi_ok) return NULL;
  char *text = malloc(length + 1);
  if (text != NULL) napi_get_value_string_utf8(env, value, text, length + 1, &length);
  return text;
}

/* ---- File system calls ---- */

static napi_value Fallocate(napi_env env, napi_callback_info info) {
  napi_value a[MAX_ARGS];
  get_args(env, info, a);
  int result;
  do {
    result = fallocate(as_int(env, a[0]), as_int(env, a[1]), as_int(env, a[2]), as_int(env, a[3]));
  } while (result < 0 && errno == EINTR);
  return result < 0 ? throw_errno(env, "fallocate", errno) : undefined(env);
}

static napi_value Lseek(napi_env env, napi_callback_info info) {
  napi_value a[MAX_ARGS];
  get_args(env, info, a);
  off_t at = lseek(as_int(env, a[0]), as_int(env, a[1]), as_int(env, a[2]));
  return at < 0 ? throw_errno(env, "lseek", errno) : from_int(env, at);
}

static napi_value CopyFileRange(napi_env env, napi_callback_info info) {
  napi_value a[MAX_ARGS];
  get_args(env, info, a);
  loff_t in = as_int(env, a[1]), out = as_int(env, a[3]);
  ssize_t copied = copy_file_range(as_int(env, a[0]), &in, as_int(env, a[2]), &out, as_int(env, a[4]), 0);
  return copied < 0 ? throw_errno(env, "copy_file_range", errno) : from_int(env, copied);
}

static napi_value CloneRange(napi_env env, napi_callback_info info) {
  napi_value a[MAX_ARGS];
  get_args(env, info, a);
  struct file_clone_range range = {
      .src_fd = as_int(env, a[0]),
      .src_offset = as_int(env, a[1]),
      .dest_offset = as_int(env, a[3]),
      .src_length = as_int(env, a[4]),
  };
  int result = ioctl(as_int(env, a[2]), FICLONERANGE, &range);
  return result < 0 ? throw_errno(env, "ioctl(FICLONERANGE)", errno) : undefined(env);
}

struct syncfs_work {
  napi_async_work work;
  napi_deferred deferred;
  int fd, err;
};

static void syncfs_execute(napi_env env, void *data) {
  (void)env;
  struct syncfs_work *w = data;
  w->err = syncfs(w->fd) < 0 ? errno : 0;
}

static void syncfs_complete(napi_env env, napi_status status, void *data) {
  (void)status;
  struct syncfs_work *w = data;
  if (w->err == 0) {
    napi_resolve_deferred(env, w->deferred, undefined(env));
  } else {
    napi_value error;
    throw_errno(env, "syncfs", w->err);
    napi_get_and_clear_last_exception(env, &error);
    napi_reject_deferred(env, w->deferred, error);
  }
  napi_delete_async_work(env, w->work);
  free(w);
}

static napi_value Syncfs(napi_env env, napi_callback_info info) {
  napi_value a[MAX_ARGS], promise, name;
  get_args(env, info, a);
  struct syncfs_work *w = calloc(1, sizeof *w);
  if (w == NULL) return throw_errno(env, "syncfs", ENOMEM);
  w->fd = as_int(env, a[0]);
  napi_create_promise(env, &w->deferred, &promise);
  napi_create_string_utf8(env, "syncfs", NAPI_AUTO_LENGTH, &name);
  napi_create_async_work(env, NULL, name, syncfs_execute, syncfs_complete, w, &w->work);
  napi_queue_async_work(env, w->work);
  return promise;
}

static napi_value CoarseTimeNs(napi_env env, napi_callback_info info) {
  (void)info;
  struct timespec now;
  clock_gettime(CLOCK_REALTIME_COARSE, &now);
  napi_value value;
  napi_create_bigint_int64(env, (int64_t)now.tv_sec * 1000000000 + now.tv_nsec, &value);
  return value;
}

static napi_value TryLock(napi_env env, napi_callback_info info) {
  napi_value a[MAX_ARGS], value;
  get_args(env, info, a);
  int result = flock(as_int(env, a[0]), LOCK_EX | LOCK_NB);
  if (result < 0 && errno != EWOULDBLOCK) return throw_errno(env, "flock", errno);
  napi_get_boolean(env, result == 0, &value);
  return value;
}

/* A read lease is granted only while nobody has the inode open for writing; a mapping counts as its file. */
static napi_value HasWriters(napi_env env, napi_callback_info info) {
  napi_value a[MAX_ARGS], value;
  get_args(env, info, a);
  int fd = as_int(env, a[0]);
  fcntl(fd, F_SETSIG, SIGURG); /* were the lease broken meanwhile: a signal that is ignored, not SIGIO */
  int result = fcntl(fd, F_SETLEASE, F_RDLCK);
  int failure = result < 0 ? errno : 0;
  if (result == 0) fcntl(fd, F_SETLEASE, F_UNLCK);
  napi_get_boolean(env, failure == EAGAIN, &value);
  return value;
}

static napi_value Pwrite(napi_env env, napi_callback_info info) {
  napi_value a[MAX_ARGS];
  get_args(env, info, a);
  size_t size = 0;
  char *bytes = as_bytes(env, a[1], &size);
  int64_t start = as_int(env, a[2]), length = as_int(env, a[3]), offset = as_int(env, a[4]);
  if (bytes == NULL || start < 0 || length < 0 || (size_t)(start + length) > size) return from_int(env, -EINVAL);
  int fd = as_int(env, a[0]);
  int64_t done = 0;
  while (done < length) {
    ssize_t n = pwrite(fd, bytes + start + done, length - done, offset + done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return from_int(env, done > 0 ? done : -errno);
    done += n;
  }
  return from_int(env, done);
}

static napi_value Futimens(napi_env env, napi_callback_info info) {
  napi_value a[MAX_ARGS];
  get_args(env, info, a);
  struct timespec times[2] = {{.tv_sec = as_int(env, a[1]), .tv_nsec = as_int(env, a[2])},
                              {.tv_sec = as_int(env, a[3]), .tv_nsec = as_int(env, a[4])}};
  return futimens(as_int(env, a[0]), times) < 0 ? throw_errno(env, "futimens", errno) : undefined(env);
}

/* size, blocks, atime (s, ns), mtime (s, ns), links: into a Float64Array, for a tenth of what node:fs takes. */
static napi_value Fstat(napi_env env, napi_callback_info info) {
  napi_value a[MAX_ARGS];
  get_args(env, info, a);
  struct stat st;
  if (fstat(as_int(env, a[0]), &st) < 0) return throw_errno(env, "fstat", errno);
  double *out = as_bytes(env, a[1], NULL);
  if (out == NULL) return throw_errno(env, "fstat", EINVAL);
  out[0] = st.st_size, out[1] = st.st_blocks, out[2] = st.st_atim.tv_sec, out[3] = st.st_atim.tv_nsec;
  out[4] = st.st_mtim.tv_sec, out[5] = st.st_mtim.tv_nsec, out[6] = st.st_nlink;
  return undefined(env);
}

/* Capabilities belong to threads: this acts on the calling one, the one that opens backing files. */
static napi_value DropFsetid(napi_env env, napi_callback_info info) {
  (void)info;
  struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  struct __user_cap_data_struct data[2];
  napi_value value;
  if (syscall(SYS_capget, &head, data) < 0) return throw_errno(env, "capget", errno);
  int had = (data[0].effective >> CAP_FSETID) & 1;
  data[0].effective &= ~(1u << CAP_FSETID);
  if (had && syscall(SYS_capset, &head, data) < 0) return throw_errno(env, "capset", errno);
  napi_get_boolean(env, had, &value);
  return value;
}

/* ---- Mounting ---- */

static napi_value MountFuse(napi_env env, napi_callback_info info) {
  napi_value a[MAX_ARGS];
  get_args(env, info, a);
  int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return throw_errno(env, "open /dev/fuse", errno);
  char *source = as_string(env, a[0]), *target = as_string(env, a[1]), *type = as_string(env, a[2]);
  char *options = as_string(env, a[4]), *data = NULL;
  int err = ENOMEM;
  if (source != NULL && target != NULL && type != NULL && options != NULL &&
      asprintf(&data, "fd=%d,%s", fd, options) >= 0) {
    err = mount(source, target, type, as_int(env, a[3]), data) < 0 ? errno : 0;
  }
  free(source), free(target), free(type), free(options), free(data);
  if (err != 0) {
    close(fd);
    return throw_errno(env, "mount", err);
  }
  return from_int(env, fd);
}

static napi_value Unmount(napi_env env, napi_callback_info info) {
  napi_value a[MAX_ARGS];
  get_args(env, info, a);
  char *target = as_string(env, a[0]);
  int err = target == NULL ? ENOMEM : umount2(target, as_int(env, a[1])) < 0 ? errno : 0;
  free(target);
  return err != 0 ? throw_errno(env, "umount2", err) : undefined(env);
}

static napi_value SocketPair(napi_env env, napi_callback_info info) {
  (void)info;
  int fds[2];
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) < 0) return throw_errno(env, "socketpair", errno);
  napi_value pair;
  napi_create_array_with_length(env, 2, &pair);
  napi_set_element(env, pair, 0, from_int(env, fds[0]));
  napi_set_element(env, pair, 1, from_int(env, fds[1]));
  return pair;
}

static napi_value ReceiveFd(napi_env env, napi_callback_info info) {
  napi_value a[MAX_ARGS];
  get_args(env, info, a);
  char byte;
  union {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(sizeof(int))];
  } control;
  struct iovec iov = {.iov_base = &byte, .iov_len = 1};
  struct msghdr message = {
      .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
  ssize_t n;
  do {
    n = recvmsg(as_int(env, a[0]), &message, MSG_CMSG_CLOEXEC);
  } while (n < 0 && errno == EINTR);
  if (n < 0) return throw_errno(env, "recvmsg", errno);
  struct cmsghdr *c = n == 0 ? NULL : CMSG_FIRSTHDR(&message);
  if (c == NULL || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) return from_int(env, -1);
  int fd;
  memcpy(&fd, CMSG_DATA(c), sizeof fd);
  if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0) return throw_errno(env, "fcntl", errno);
  return from_int(env, fd);
}

static napi_value BackingOpen(napi_env env, napi_callback_info info) {
  napi_value a[MAX_ARGS];
  get_args(env, info, a);
  struct fuse_backing_map_740 map = {.fd = as_int(env, a[1])};
  int id = ioctl(as_int(env, a[0]), FUSE_BACKING_OPEN, &map);
  return id < 0 ? throw_errno(env, "ioctl(FUSE_DEV_IOC_BACKING_OPEN)", errno) : from_int(env, id);
}

static napi_value BackingClose(napi_env env, napi_callback_info info) {
  napi_value a[MAX_ARGS];
  get_args(env, info, a);
  uint32_t id = as_int(env, a[1]);
  int result = ioctl(as_int(env, a[0]), FUSE_BACKING_CLOSE, &id);
  return result < 0 ? throw_errno(env, "ioctl(FUSE_DEV_IOC_BACKING_CLOSE)", errno) : undefined(env);
}

/* ---- Serving ---- */

/* Rounds of read-and-handle before the loop may turn to timers and other descriptors. */
#define ROUNDS_MAX 16

struct server {
  uv_poll_t poll; /* first: the handle's close callback frees the whole */
  napi_env env;
  napi_async_context context;
  napi_ref receiver, on_batch, on_end, buffer_ref, offsets_ref;
  int fd;
  char *buffer;
  size_t buffer_bytes, max_request_bytes;
  uint32_t *offsets;
  size_t offsets_count;
  uint64_t spin_ns;
  int stopped;
};

static void server_closed(uv_handle_t *handle) { free(handle); }

static void server_stop(struct server *s) {
  if (s->stopped) return;
  s->stopped = 1;
  uv_poll_stop(&s->poll);
  napi_delete_reference(s->env, s->on_batch);
  napi_delete_reference(s->env, s->on_end);
  napi_delete_reference(s->env, s->receiver);
  napi_delete_reference(s->env, s->buffer_ref);
  napi_delete_reference(s->env, s->offsets_ref);
  napi_async_destroy(s->env, s->context);
  uv_close((uv_handle_t *)&s->poll, server_closed);
}

/* Calls back with one number, as Node's own callbacks are made: promise jobs run before it returns. */
static void call_back(struct server *s, napi_ref function, int64_t number) {
  napi_value receiver, callback, argument, error;
  napi_get_reference_value(s->env, s->receiver, &receiver);
  napi_get_reference_value(s->env, function, &callback);
  argument = from_int(s->env, number);
  if (napi_make_callback(s->env, s->context, receiver, callback, 1, &argument, NULL) == napi_pending_exception) {
    napi_get_and_clear_last_exception(s->env, &error);
    napi_fatal_exception(s->env, error);
  }
}

/* Reads requests until there are none, the buffer is full, or the descriptor ended (negative errno). */
static int read_requests(struct server *s) {
  size_t at = 0;
  int count = 0;
  while (s->buffer_bytes - at >= s->max_request_bytes && (size_t)count + 1 < s->offsets_count) {
    ssize_t n = read(s->fd, s->buffer + at, s->buffer_bytes - at);
    if (n < 0) {
      if (errno == EINTR || errno == ENOENT) continue; /* ENOENT: the request was aborted meanwhile */
      if (errno == EAGAIN || count > 0) break;
      return -errno;
    }
    s->offsets[count++] = at;
    at += (n + 7) & ~(size_t)7;
    s->offsets[count] = at;
  }
  return count;
}

static void on_readable(uv_poll_t *handle, int status, int events) {
  (void)status, (void)events;
  struct server *s = (struct server *)handle;
  napi_handle_scope scope;
  napi_open_handle_scope(s->env, &scope);
  uint64_t idle_since = 0;
  for (int round = 0; round < ROUNDS_MAX && !s->stopped;) {
    int count = read_requests(s);
    if (count > 0) {
      call_back(s, s->on_batch, count);
      idle_since = 0;
      round++;
      continue;
    }
    if (count < 0) {
      int err = -count == ENODEV || -count == ECONNABORTED ? 0 : -count;
      uv_poll_stop(&s->poll);
      call_back(s, s->on_end, err);
      server_stop(s);
      break;
    }
    /* A caller that waits for its reply sends the next request at once: a short wait here is cheaper for
     * both than a sleep and a wake-up. */
    if (s->spin_ns == 0) break;
    uint64_t now = uv_hrtime();
    if (idle_since == 0) idle_since = now;
    if (now - idle_since > s->spin_ns) break;
  }
  napi_close_handle_scope(s->env, scope);
}

static napi_value ServerStop(napi_env env, napi_callback_info info) {
  struct server **box;
  napi_get_cb_info(env, info, NULL, NULL, NULL, (void **)&box);
  if (*box != NULL) server_stop(*box);
  *box = NULL;
  return undefined(env);
}

static napi_value FuseServe(napi_env env, napi_callback_info info) {
  napi_value a[MAX_ARGS], receiver, name, stop;
  get_args(env, info, a);
  struct server *s = calloc(1, sizeof *s);
  struct server **box = calloc(1, sizeof *box);
  if (s == NULL || box == NULL) return throw_errno(env, "fuseServe", ENOMEM);
  size_t offsets_bytes = 0;
  s->env = env;
  s->fd = as_int(env, a[0]);
  s->buffer = as_bytes(env, a[1], &s->buffer_bytes);
  s->offsets = as_bytes(env, a[2], &offsets_bytes);
  s->offsets_count = offsets_bytes / 4;
  s->max_request_bytes = as_int(env, a[3]);
  s->spin_ns = as_int(env, a[4]) * 1000;
  uv_loop_t *loop;
  napi_get_uv_event_loop(env, &loop);
  int err = s->buffer == NULL || s->offsets == NULL ? UV_EINVAL : uv_poll_init(loop, &s->poll, s->fd);
  if (err != 0) {
    free(s), free(box);
    return throw_errno(env, "uv_poll_init", -err);
  }
  napi_create_object(env, &receiver);
  napi_create_reference(env, receiver, 1, &s->receiver);
  napi_create_string_utf8(env, "globalfs", NAPI_AUTO_LENGTH, &name);
  napi_async_init(env, receiver, name, &s->context);
  napi_create_reference(env, a[1], 1, &s->buffer_ref);
  napi_create_reference(env, a[2], 1, &s->offsets_ref);
  napi_create_reference(env, a[5], 1, &s->on_batch);
  napi_create_reference(env, a[6], 1, &s->on_end);
  uv_poll_start(&s->poll, UV_READABLE, on_readable);
  *box = s;
  napi_create_function(env, "stop", NAPI_AUTO_LENGTH, ServerStop, box, &stop);
  napi_set_named_property(env, receiver, "stop", stop);
  return receiver;
}

static napi_value reply_result(napi_env env, ssize_t n) { return from_int(env, n < 0 ? errno : 0); }

static napi_value FuseReply(napi_env env, napi_callback_info info) {
  napi_value a[MAX_ARGS];
  get_args(env, info, a);
  return reply_result(env, write(as_int(env, a[0]), as_bytes(env, a[1], NULL), as_int(env, a[2])));
}

static napi_value FuseReplyData(napi_env env, napi_callback_info info) {
  napi_value a[MAX_ARGS];
  get_args(env, info, a);
  struct iovec iov[2] = {{.iov_base = as_bytes(env, a[1], NULL), .iov_len = as_int(env, a[2])},
                         {.iov_base = as_bytes(env, a[3], NULL), .iov_len = as_int(env, a[4])}};
  return reply_result(env, writev(as_int(env, a[0]), iov, 2));
}

struct out_header {
  uint32_t len;
  int32_t error;
  uint64_t unique;
};

/* One buffer for all servers: only the event loop's thread replies. */
static char *reply_buffer;
static size_t reply_buffer_bytes;

static napi_value FuseReplyFromFile(napi_env env, napi_callback_info info) {
  napi_value a[MAX_ARGS];
  get_args(env, info, a);
  int64_t length = as_int(env, a[4]), offset = as_int(env, a[3]);
  if (length < 0) return from_int(env, -EINVAL);
  size_t need = sizeof(struct out_header) + length;
  if (need > reply_buffer_bytes) {
    free(reply_buffer);
    reply_buffer = malloc(need);
    reply_buffer_bytes = reply_buffer == NULL ? 0 : need;
    if (reply_buffer == NULL) return from_int(env, -ENOMEM);
  }
  /* What is not in the page cache would block every caller of the mount: -EAGAIN, then a thread reads it. */
  struct iovec iov = {.iov_base = reply_buffer + sizeof(struct out_header), .iov_len = length};
  ssize_t n = preadv2(as_int(env, a[2]), &iov, 1, offset, RWF_NOWAIT);
  if (n < 0) return from_int(env, -errno);
  if (n < length) {
    /* Short: the end of the file, or pages that are not cached. Only the first may be answered. */
    struct stat st;
    if (fstat(as_int(env, a[2]), &st) < 0) return from_int(env, -errno);
    if (offset + n < st.st_size) return from_int(env, -EAGAIN);
  }
  struct out_header head = {.len = sizeof head + n, .error = 0};
  memcpy(&head.unique, as_bytes(env, a[1], NULL), sizeof head.unique);
  memcpy(reply_buffer, &head, sizeof head);
  ssize_t sent = write(as_int(env, a[0]), reply_buffer, head.len);
  (void)sent; /* ENOENT: interrupted; ENODEV: unmounted. Neither has anybody to tell. */
  return from_int(env, n);
}

NAPI_MODULE_INIT() {
  static const struct {
    const char *name;
    napi_callback function;
  } functions[] = {
      {"fstat", Fstat},               {"fallocate", Fallocate},
      {"lseek", Lseek},
      {"copyFileRange", CopyFileRange}, {"cloneRange", CloneRange},
      {"syncfs", Syncfs},             {"coarseTimeNs", CoarseTimeNs},
      {"tryLock", TryLock},           {"hasWriters", HasWriters},
      {"pwrite", Pwrite},
      {"futimens", Futimens},         {"dropFsetid", DropFsetid},
      {"mountFuse", MountFuse},       {"unmount", Unmount},
      {"socketPair", SocketPair},     {"receiveFd", ReceiveFd},
      {"backingOpen", BackingOpen},   {"backingClose", BackingClose},
      {"fuseServe", FuseServe},       {"fuseReply", FuseReply},
      {"fuseReplyData", FuseReplyData}, {"fuseReplyFromFile", FuseReplyFromFile},
  };
  for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++) {
    napi_value function;
    napi_create_function(env, functions[i].name, NAPI_AUTO_LENGTH, functions[i].function, NULL, &function);
    napi_set_named_property(env, exports, functions[i].name, function);
  }
  return exports;
}
