/*
 * Stands between a process and the disk (LD_PRELOAD), for one directory tree:
 *
 *  - writes a journal, outside of the tree, of what a power cut could take away: which bytes of a
 *    file were synced, which entries of a directory were made, moved, removed since it was synced;
 *  - makes the n-th call on the tree fail, hang, or be the last thing that the process does.
 *
 * LevelDB writes through stdio, whose write(2) inside of libc no other library can stand before.
 * So what it gets from fopen is a stream of ours: libc buffers, our functions write. fileno is ours
 * too, because LevelDB syncs by descriptor.
 *
 * Left out: what a power cut does with the journal is decided by power-cut.ts. Files are taken to
 * be written at their end only, which holds for LevelDB and for files that are written once.
 *
 * Settings, by environment:
 *   DISK_SHIM_DIR     the tree; an absolute path without links
 *   DISK_SHIM_JOURNAL the journal, appended to with write(2): it survives SIGKILL
 *   DISK_SHIM_GRAVES  a directory on the same file system that keeps what was unlinked, by inode
 *   DISK_SHIM_FAULT   ACTION@N: eio, enospc, full, short, hang or kill, at the N-th that counts
 *   DISK_SHIM_ONLY    only calls on paths that contain this count
 *   DISK_SHIM_CALL    only calls of this name count
 *   DISK_SHIM_SPACE   `full` ends when there is a file of this path
 *   DISK_SHIM_BELL    descriptor that gets one byte when a call hangs
 */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define FDS_MAX 65536
#define STREAMS_MAX 4096

/* What a call does, which decides which faults it can have. */
enum kind { READS = 'r', WRITES = 'w', GROWS = 'g', SHRINKS = 'u' };
enum action { NONE, EIO_ONCE, ENOSPC_ONCE, FULL, SHORT, HANG, KILL };

struct node {
  ino_t ino;
  int is_dir;
  char path[]; /* relative to the tree */
};

static char root[PATH_MAX];
static size_t root_length;
static char graves[PATH_MAX];
static const char *space, *only, *only_call;
static int journal = -1, bell = -1;
static enum action action = NONE;
static long fault_at, counted, ops;
static int tear;    /* a short write was given: the write after it gets ENOSPC */
static int is_full; /* from the n-th call on, on whatever path, until there is space */
static struct node *nodes[FDS_MAX];
static struct {
  FILE *stream;
  int fd;
} streams[STREAMS_MAX];
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

static int raw_open(const char *path, int flags, mode_t mode) {
  return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

static ssize_t raw_write(int fd, const void *bytes, size_t length) {
  return syscall(SYS_write, fd, bytes, length);
}

__attribute__((constructor)) static void start(void) {
  const char *dir = getenv("DISK_SHIM_DIR");
  const char *log = getenv("DISK_SHIM_JOURNAL");
  if (dir == NULL || log == NULL) return;
  snprintf(root, sizeof root, "%s", dir);
  root_length = strlen(root);
  const char *kept = getenv("DISK_SHIM_GRAVES");
  snprintf(graves, sizeof graves, "%s", kept == NULL ? "" : kept);
  space = getenv("DISK_SHIM_SPACE");
  only = getenv("DISK_SHIM_ONLY");
  only_call = getenv("DISK_SHIM_CALL");
  if (getenv("DISK_SHIM_BELL") != NULL) bell = atoi(getenv("DISK_SHIM_BELL"));
  journal = raw_open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  const char *fault = getenv("DISK_SHIM_FAULT");
  const char *at = fault == NULL ? NULL : strchr(fault, '@');
  if (at == NULL) return;
  fault_at = atol(at + 1);
  static const char *names[] = {"", "eio", "enospc", "full", "short", "hang", "kill"};
  for (int each = EIO_ONCE; each <= KILL; each++) {
    size_t length = strlen(names[each]);
    if ((size_t)(at - fault) == length && strncmp(fault, names[each], length) == 0) action = each;
  }
}

/* The path below the tree, "." for the tree itself, or NULL for a path that is elsewhere. */
static const char *inside(const char *path) {
  if (root_length == 0 || path == NULL || strncmp(path, root, root_length) != 0) return NULL;
  if (path[root_length] == '\0') return ".";
  return path[root_length] == '/' ? path + root_length + 1 : NULL;
}

__attribute__((format(printf, 1, 2))) static void note(const char *format, ...) {
  char line[2 * PATH_MAX + 128];
  va_list args;
  va_start(args, format);
  int length = vsnprintf(line, sizeof line, format, args);
  va_end(args);
  if (journal >= 0 && length > 0) raw_write(journal, line, (size_t)length);
}

static int counts(enum kind kind) {
  switch (action) {
    case SHORT: return kind == WRITES;
    case ENOSPC_ONCE:
    case FULL: return kind == WRITES || kind == GROWS;
    default: return 1;
  }
}

#define GO_ON 0
#define HALF -1

/* Notes a call, and says what becomes of it: GO_ON, HALF, or the error that it fails with. */
static int gate(enum kind kind, const char *call, const char *path) {
  int verdict = GO_ON, hang = 0;
  pthread_mutex_lock(&mutex);
  note("call\t%c\t%s\t%s\n", kind, call, path);
  if (kind == WRITES && tear) {
    tear = 0;
    verdict = ENOSPC;
  }
  int is_meant = (only == NULL || strstr(path, only) != NULL) &&
                 (only_call == NULL || strcmp(call, only_call) == 0);
  if (action != NONE && counts(kind) && is_meant) {
    counted += 1;
    if (counted == fault_at) note("fault\t%ld\t%s\t%s\n", counted, call, path);
    if (counted == fault_at) {
      if (action == KILL) syscall(SYS_kill, getpid(), SIGKILL);
      hang = action == HANG;
      if (action == EIO_ONCE) verdict = EIO;
      if (action == ENOSPC_ONCE) verdict = ENOSPC;
      is_full = action == FULL;
      if (action == SHORT) {
        verdict = HALF;
        tear = 1;
      }
    }
  }
  if (is_full && counts(kind)) {
    int freed = space != NULL && syscall(SYS_faccessat, AT_FDCWD, space, F_OK) == 0;
    if (freed) is_full = 0;
    else verdict = ENOSPC;
  }
  pthread_mutex_unlock(&mutex);
  if (hang) {
    if (bell >= 0) raw_write(bell, "h", 1);
    for (;;) pause();
  }
  return verdict;
}

static int fail(int error) {
  errno = error;
  return -1;
}

static struct node *node_of(int fd) {
  return fd >= 0 && fd < FDS_MAX ? nodes[fd] : NULL;
}

/* Links what is about to lose its name into the graves, so that a power cut can bring it back. */
static ino_t bury(const char *path) {
  struct stat found;
  char grave[2 * PATH_MAX];
  if (lstat(path, &found) != 0) return 0;
  snprintf(grave, sizeof grave, "%s/%lu", graves, (unsigned long)found.st_ino);
  if (S_ISREG(found.st_mode)) syscall(SYS_linkat, AT_FDCWD, path, AT_FDCWD, grave, 0);
  return found.st_ino;
}

static int tracked_open(const char *path, const char *rel, int flags, mode_t mode) {
  int writes = (flags & O_ACCMODE) != O_RDONLY || (flags & O_CREAT) != 0;
  int verdict = gate(writes ? GROWS : READS, "open", rel);
  if (verdict > 0) return fail(verdict);
  pthread_mutex_lock(&mutex);
  struct stat found;
  int existed = lstat(path, &found) == 0;
  int fd = raw_open(path, flags, mode);
  int error = errno;
  if (fd >= 0 && fd < FDS_MAX && fstat(fd, &found) == 0) {
    struct node *node = malloc(sizeof *node + strlen(rel) + 1);
    node->ino = found.st_ino;
    node->is_dir = S_ISDIR(found.st_mode);
    strcpy(node->path, rel);
    nodes[fd] = node;
    if (!existed) note("create\t%ld\t%lu\t%s\n", ++ops, (unsigned long)node->ino, rel);
    if (existed && flags & O_TRUNC) note("resize\t%lu\t0\n", (unsigned long)node->ino);
  }
  pthread_mutex_unlock(&mutex);
  errno = error;
  return fd;
}

static int any_open(const char *path, int flags, mode_t mode) {
  const char *rel = inside(path);
  return rel == NULL ? raw_open(path, flags, mode) : tracked_open(path, rel, flags, mode);
}

int open(const char *path, int flags, ...) {
  va_list args;
  va_start(args, flags);
  mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(args, mode_t) : 0;
  va_end(args);
  return any_open(path, flags, mode);
}

int open64(const char *path, int flags, ...) {
  va_list args;
  va_start(args, flags);
  mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(args, mode_t) : 0;
  va_end(args);
  return any_open(path, flags, mode);
}

int close(int fd) {
  struct node *node = node_of(fd);
  if (node != NULL) {
    nodes[fd] = NULL;
    free(node);
  }
  return (int)syscall(SYS_close, fd);
}

/* --- streams, which LevelDB uses --- */

static ssize_t stream_read(void *cookie, char *bytes, size_t length) {
  return read((int)(long)cookie, bytes, length);
}

/* As libc does it: goes on after a short write until all is written or one fails. */
static ssize_t stream_write(void *cookie, const char *bytes, size_t length) {
  size_t done = 0;
  while (done < length) {
    ssize_t wrote = write((int)(long)cookie, bytes + done, length - done);
    if (wrote < 0) break;
    done += (size_t)wrote;
  }
  return (ssize_t)done;
}

static int stream_seek(void *cookie, off64_t *offset, int whence) {
  off64_t at = lseek64((int)(long)cookie, *offset, whence);
  if (at < 0) return -1;
  *offset = at;
  return 0;
}

static int stream_close(void *cookie) {
  int fd = (int)(long)cookie;
  pthread_mutex_lock(&mutex);
  for (int at = 0; at < STREAMS_MAX; at++) {
    if (streams[at].stream != NULL && streams[at].fd == fd) streams[at].stream = NULL;
  }
  pthread_mutex_unlock(&mutex);
  return close(fd);
}

static FILE *any_fopen(const char *name, const char *path, const char *mode) {
  const char *rel = inside(path);
  if (rel == NULL) {
    FILE *(*original)(const char *, const char *) = dlsym(RTLD_NEXT, name);
    return original(path, mode);
  }
  int flags = O_RDONLY;
  if (mode[0] == 'w') flags = O_WRONLY | O_CREAT | O_TRUNC;
  if (mode[0] == 'a') flags = O_WRONLY | O_CREAT | O_APPEND;
  int fd = tracked_open(path, rel, flags, 0666);
  if (fd < 0) return NULL;
  cookie_io_functions_t functions = {stream_read, stream_write, stream_seek, stream_close};
  FILE *stream = fopencookie((void *)(long)fd, mode, functions);
  pthread_mutex_lock(&mutex);
  for (int at = 0; at < STREAMS_MAX; at++) {
    if (streams[at].stream != NULL) continue;
    streams[at].stream = stream;
    streams[at].fd = fd;
    break;
  }
  pthread_mutex_unlock(&mutex);
  return stream;
}

FILE *fopen(const char *path, const char *mode) { return any_fopen("fopen", path, mode); }
FILE *fopen64(const char *path, const char *mode) { return any_fopen("fopen64", path, mode); }

int fileno(FILE *stream) {
  int fd = -1;
  pthread_mutex_lock(&mutex);
  for (int at = 0; at < STREAMS_MAX; at++) {
    if (streams[at].stream == stream) fd = streams[at].fd;
  }
  pthread_mutex_unlock(&mutex);
  return fd >= 0 ? fd : fileno_unlocked(stream);
}

/* --- reading and writing --- */

ssize_t read(int fd, void *bytes, size_t length) {
  struct node *node = node_of(fd);
  int verdict = node == NULL ? GO_ON : gate(READS, "read", node->path);
  return verdict > 0 ? fail(verdict) : syscall(SYS_read, fd, bytes, length);
}

static ssize_t any_pread(int fd, void *bytes, size_t length, off64_t at) {
  struct node *node = node_of(fd);
  int verdict = node == NULL ? GO_ON : gate(READS, "pread", node->path);
  return verdict > 0 ? fail(verdict) : syscall(SYS_pread64, fd, bytes, length, at);
}

ssize_t pread(int fd, void *bytes, size_t length, off_t at) {
  return any_pread(fd, bytes, length, at);
}
ssize_t pread64(int fd, void *bytes, size_t length, off64_t at) {
  return any_pread(fd, bytes, length, at);
}

static void *any_mmap(void *address, size_t length, int protection, int flags, int fd, off64_t at) {
  struct node *node = flags & MAP_ANONYMOUS ? NULL : node_of(fd);
  int verdict = node == NULL ? GO_ON : gate(READS, "mmap", node->path);
  if (verdict <= 0) return (void *)syscall(SYS_mmap, address, length, protection, flags, fd, at);
  errno = verdict;
  return MAP_FAILED;
}

void *mmap(void *address, size_t length, int protection, int flags, int fd, off_t at) {
  return any_mmap(address, length, protection, flags, fd, at);
}

void *mmap64(void *address, size_t length, int protection, int flags, int fd, off64_t at) {
  return any_mmap(address, length, protection, flags, fd, at);
}

static size_t halved(int verdict, size_t length) {
  return verdict == HALF && length > 1 ? length / 2 : length;
}

ssize_t write(int fd, const void *bytes, size_t length) {
  struct node *node = node_of(fd);
  int verdict = node == NULL ? GO_ON : gate(WRITES, "write", node->path);
  return verdict > 0 ? fail(verdict) : raw_write(fd, bytes, halved(verdict, length));
}

static ssize_t any_pwrite(int fd, const void *bytes, size_t length, off64_t at) {
  struct node *node = node_of(fd);
  int verdict = node == NULL ? GO_ON : gate(WRITES, "pwrite", node->path);
  if (verdict > 0) return fail(verdict);
  return syscall(SYS_pwrite64, fd, bytes, halved(verdict, length), at);
}

ssize_t pwrite(int fd, const void *bytes, size_t length, off_t at) {
  return any_pwrite(fd, bytes, length, at);
}
ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t at) {
  return any_pwrite(fd, bytes, length, at);
}

/* Of several buffers a short write takes the first: half of the bytes at the most. */
ssize_t writev(int fd, const struct iovec *buffers, int count) {
  struct node *node = node_of(fd);
  if (node == NULL) return syscall(SYS_writev, fd, buffers, count);
  int verdict = gate(WRITES, "writev", node->path);
  if (verdict > 0) return fail(verdict);
  if (verdict == HALF) return raw_write(fd, buffers[0].iov_base, halved(HALF, buffers[0].iov_len));
  return syscall(SYS_writev, fd, buffers, count);
}

static int any_ftruncate(int fd, off64_t size) {
  struct node *node = node_of(fd);
  if (node == NULL) return (int)syscall(SYS_ftruncate, fd, size);
  int verdict = gate(GROWS, "ftruncate", node->path);
  if (verdict > 0) return fail(verdict);
  note("resize\t%lu\t%lld\n", (unsigned long)node->ino, (long long)size);
  return (int)syscall(SYS_ftruncate, fd, size);
}

int ftruncate(int fd, off_t size) { return any_ftruncate(fd, size); }
int ftruncate64(int fd, off64_t size) { return any_ftruncate(fd, size); }

/* --- syncing: what was there before the call began is durable when it has succeeded --- */

static int sync_by(long number, const char *call, int fd) {
  struct node *node = node_of(fd);
  if (node == NULL) return (int)syscall(number, fd);
  int verdict = gate(GROWS, call, node->path);
  if (verdict > 0) return fail(verdict);
  struct stat before;
  fstat(fd, &before);
  pthread_mutex_lock(&mutex);
  long ops_before = ops;
  pthread_mutex_unlock(&mutex);
  int result = (int)syscall(number, fd);
  int error = errno;
  if (result == 0 && node->is_dir) note("syncdir\t%ld\t%s\n", ops_before, node->path);
  if (result == 0 && !node->is_dir) {
    note("sync\t%lu\t%lld\n", (unsigned long)node->ino, (long long)before.st_size);
  }
  errno = error;
  return result;
}

int fsync(int fd) { return sync_by(SYS_fsync, "fsync", fd); }
int fdatasync(int fd) { return sync_by(SYS_fdatasync, "fdatasync", fd); }

/* --- directories --- */

int rename(const char *from, const char *to) {
  const char *old = inside(from), *new = inside(to);
  if (old == NULL || new == NULL) {
    return (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
  }
  int verdict = gate(GROWS, "rename", old);
  if (verdict > 0) return fail(verdict);
  pthread_mutex_lock(&mutex);
  bury(to);
  int result = (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
  int error = errno;
  if (result == 0) note("rename\t%ld\t%s\t%s\n", ++ops, old, new);
  pthread_mutex_unlock(&mutex);
  errno = error;
  return result;
}

static int removal(const char *call, const char *path, int flags) {
  const char *rel = inside(path);
  if (rel == NULL) return (int)syscall(SYS_unlinkat, AT_FDCWD, path, flags);
  int verdict = gate(SHRINKS, call, rel);
  if (verdict > 0) return fail(verdict);
  pthread_mutex_lock(&mutex);
  bury(path);
  int result = (int)syscall(SYS_unlinkat, AT_FDCWD, path, flags);
  int error = errno;
  if (result == 0) note("unlink\t%ld\t%s\n", ++ops, rel);
  pthread_mutex_unlock(&mutex);
  errno = error;
  return result;
}

int unlink(const char *path) { return removal("unlink", path, 0); }
int rmdir(const char *path) { return removal("rmdir", path, AT_REMOVEDIR); }

int mkdir(const char *path, mode_t mode) {
  const char *rel = inside(path);
  if (rel == NULL) return (int)syscall(SYS_mkdirat, AT_FDCWD, path, mode);
  int verdict = gate(GROWS, "mkdir", rel);
  if (verdict > 0) return fail(verdict);
  pthread_mutex_lock(&mutex);
  int result = (int)syscall(SYS_mkdirat, AT_FDCWD, path, mode);
  int error = errno;
  if (result == 0) note("mkdir\t%ld\t0\t%s\n", ++ops, rel);
  pthread_mutex_unlock(&mutex);
  errno = error;
  return result;
}
