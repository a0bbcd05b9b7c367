/* Records the calls of the C library by which one process reaches the system, and makes one of them
 * fail, by LD_PRELOAD. Nothing happens before torture_arm(). What is forked from then on is recorded
 * in the same log. Calls on files of Python itself, and on standard error, are let pass.
 *
 * A call is known by its name and its target, whose numbers of processes and random names become '#',
 * and by how many calls of that name on that target came before it. */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netdb.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define SHORT (-1) /* of a transfer: half of it is done */
#define KILL (-2)  /* the process ends by SIGKILL in place of the call */

struct state { /* in a file that the processes of one command share, and the harness reads */
    uint32_t lock;
    uint32_t records;
    uint32_t matching; /* calls like the one that is to fail */
    uint32_t fired;
};

struct record { /* then: name, target, its canonical form, other path, data */
    uint32_t size, began; /* began: how many records there were before the call */
    int32_t error, created;
    int64_t result, offset;
    uint64_t length, inode;
    uint16_t name, target, key, other;
    uint32_t data;
};

struct call {
    int live;
    const char *name;
    char target[PATH_MAX + 8];
    uint32_t began;
};

static struct state *state;
static int log_file = -1, action;
static uint32_t wanted_nth;
static char wanted[PATH_MAX + 64];
static char ignored[8][PATH_MAX];

/* Called in the process that is to run the command, before it does. The key is "NAME TARGET"; ignored
 * are folders, separated by ':'. */
void torture_arm(const char *state_path, const char *log_path, const char *ignoring, const char *key,
                 uint32_t nth, int what)
{
    int file = open(state_path, O_RDWR | O_CLOEXEC), i = 0;
    struct state *shared;
    strncpy(wanted, key, sizeof wanted - 1);
    wanted_nth = nth;
    action = what;
    while (*ignoring && i < 8) {
        size_t length = strcspn(ignoring, ":");
        memcpy(ignored[i++], ignoring, length);
        ignoring += length + (ignoring[length] != 0);
    }
    if (*log_path) {
        int low = open(log_path, O_WRONLY | O_APPEND | O_CLOEXEC);
        log_file = fcntl(low, F_DUPFD_CLOEXEC, 1000);
        close(low);
    }
    shared = mmap(NULL, sizeof *state, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    state = shared; /* from here on */
}

static void link_of(int fd, char *to)
{
    char own[64];
    ssize_t length;
    snprintf(own, sizeof own, fd == AT_FDCWD ? "/proc/self/cwd" : "/proc/self/fd/%d", fd);
    length = syscall(SYS_readlinkat, AT_FDCWD, own, to, PATH_MAX - 1);
    to[length < 0 ? 0 : length] = 0;
}

static int between_us(int fd)
{
    struct sockaddr_storage name = {0};
    socklen_t size = sizeof name;
    return getsockname(fd, (struct sockaddr *)&name, &size) == 0 && name.ss_family == AF_UNIX;
}

/* The absolute path, or what the descriptor is: socket, unix, pipe. */
static void describe(int fd, const char *path, char *to)
{
    char *from, *end = to;
    if (path != NULL && path[0] == '/') {
        strncpy(to, path, PATH_MAX - 1);
        to[PATH_MAX - 1] = 0;
    } else {
        link_of(fd, to);
        if (path != NULL && path[0] != 0) {
            strncat(to, "/", PATH_MAX - 1 - strlen(to));
            strncat(to, path, PATH_MAX - 1 - strlen(to));
        }
    }
    if (to[0] != '/') {
        to[strcspn(to, ":")] = 0;
        if (strcmp(to, "socket") == 0 && between_us(fd))
            strcpy(to, "unix");
    }
    for (from = to; *from; from++) /* slashes once */
        if (*from != '/' || from[1] != '/')
            *end++ = *from;
    *end = 0;
    if (strlen(to) > 10 && strcmp(end - 10, " (deleted)") == 0)
        end[-10] = 0;
}

static int hexadecimal(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

/* Numbers of processes and random names are others in each run. */
static void canonical(const char *target, char *to)
{
    while (*target) {
        size_t hex = 0, digits = 0;
        while (hexadecimal(target[hex]))
            hex++;
        while (target[digits] >= '0' && target[digits] <= '9')
            digits++;
        if (hex >= 8 || digits >= 3) {
            *to++ = '#';
            target += hex >= 8 ? hex : digits;
        } else {
            do
                *to++ = *target++;
            while (*target && hexadecimal(target[-1]) && hexadecimal(*target));
        }
    }
    *to = 0;
}

static int begin(struct call *call, const char *name, int fd, const char *path)
{
    char key[PATH_MAX + 64];
    int i, kept = errno;
    call->live = 0;
    if (state == NULL || (path == NULL && fd == 2))
        return 0;
    describe(fd, path, call->target);
    for (i = 0; i < 8 && ignored[i][0]; i++)
        if (strncmp(call->target, ignored[i], strlen(ignored[i])) == 0)
            return 0;
    call->live = 1;
    call->name = name;
    call->began = __atomic_load_n(&state->records, __ATOMIC_SEQ_CST);
    errno = kept;
    if (action == 0)
        return 0;
    i = snprintf(key, sizeof key, "%s ", name);
    canonical(call->target, key + i);
    if (strcmp(key, wanted) != 0
        || __atomic_add_fetch(&state->matching, 1, __ATOMIC_SEQ_CST) != wanted_nth)
        return 0;
    state->fired = 1;
    if (action == KILL) {
        kill(getpid(), SIGKILL);
        for (;;)
            pause();
    }
    return action;
}

static void end(struct call *call, int64_t result, int fd, int64_t offset, uint64_t length, int created,
                const char *other, const void *data, size_t count)
{
    int kept = errno, zero = 0;
    struct stat status = {0};
    struct record head = {.began = call->began, .result = result, .offset = offset, .length = length,
                          .created = created, .error = result < 0 ? kept : 0};
    struct iovec parts[6];
    char key[PATH_MAX + 8];
    if (!call->live || log_file < 0) {
        errno = kept;
        return;
    }
    if (fd >= 0 && syscall(SYS_fstat, fd, &status) == 0)
        head.inode = status.st_ino;
    canonical(call->target, key);
    parts[0] = (struct iovec){&head, sizeof head};
    parts[1] = (struct iovec){(void *)call->name, head.name = (uint16_t)strlen(call->name)};
    parts[2] = (struct iovec){call->target, head.target = (uint16_t)strlen(call->target)};
    parts[3] = (struct iovec){key, head.key = (uint16_t)strlen(key)};
    parts[4] = (struct iovec){(void *)other, head.other = (uint16_t)(other ? strlen(other) : 0)};
    parts[5] = (struct iovec){(void *)data, head.data = (uint32_t)count};
    head.size = (uint32_t)(sizeof head + head.name + head.target + head.key + head.other + count);
    while (!__atomic_compare_exchange_n(&state->lock, &zero, 1, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {
        zero = 0;
        sched_yield();
    }
    syscall(SYS_writev, log_file, parts, 6);
    __atomic_add_fetch(&state->records, 1, __ATOMIC_SEQ_CST);
    __atomic_store_n(&state->lock, 0, __ATOMIC_SEQ_CST);
    errno = kept;
}

#define REAL(name) __typeof__(&name) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

/* A call that does not transfer bytes: on an open file, on a path, on a path below an open folder. */
#define PLAIN(type, name, label, fd, path, length, other, fails, params, args) \
    type name params \
    { \
        REAL(name); \
        struct call call; \
        type result; \
        int fault = begin(&call, label, fd, path); \
        if (fault > 0) { \
            errno = fault; \
            return (type)(fails); \
        } \
        result = real args; \
        end(&call, (int64_t)(intptr_t)result, (path) == NULL ? fd : -1, 0, (uint64_t)(length), 0, other, NULL, 0); \
        return result; \
    }
#define ON_FILE(name, label, length, params, args) \
    PLAIN(int, name, label, fd, (char *)NULL, length, NULL, -1, params, args)
#define ON_PATH(name, label, params, args) \
    PLAIN(int, name, label, AT_FDCWD, path, 0, NULL, -1, params, args)
#define AT_PATH(name, label, flags, params, args) \
    PLAIN(int, name, label, fd, path, flags, NULL, -1, params, args)

ON_FILE(fsync, "fsync", 0, (int fd), (fd))
ON_FILE(fdatasync, "fdatasync", 0, (int fd), (fd))
ON_FILE(syncfs, "syncfs", 0, (int fd), (fd))
ON_FILE(flock, "flock", operation, (int fd, int operation), (fd, operation))
ON_FILE(ftruncate64, "ftruncate", size, (int fd, off64_t size), (fd, size))
ON_FILE(fchmod, "fchmod", 0, (int fd, mode_t mode), (fd, mode))
ON_FILE(futimens, "futimens", 0, (int fd, const struct timespec times[2]), (fd, times))
ON_FILE(fstat64, "fstat", 0, (int fd, struct stat64 *to), (fd, to))
ON_FILE(fstatvfs64, "fstatvfs", 0, (int fd, struct statvfs64 *to), (fd, to))
ON_FILE(listen, "listen", 0, (int fd, int n), (fd, n))
ON_FILE(bind, "bind", 0, (int fd, const struct sockaddr *to, socklen_t size), (fd, to, size))
ON_FILE(connect, "connect", 0, (int fd, const struct sockaddr *to, socklen_t size), (fd, to, size))
ON_FILE(accept4, "accept", 0, (int fd, struct sockaddr *from, socklen_t *size, int flags), (fd, from, size, flags))
ON_PATH(stat64, "stat", (const char *path, struct stat64 *to), (path, to))
ON_PATH(lstat64, "stat", (const char *path, struct stat64 *to), (path, to))
ON_PATH(statvfs64, "statvfs", (const char *path, struct statvfs64 *to), (path, to))
ON_PATH(access, "access", (const char *path, int mode), (path, mode))
ON_PATH(mkdir, "mkdir", (const char *path, mode_t mode), (path, mode))
ON_PATH(rmdir, "rmdir", (const char *path), (path))
ON_PATH(unlink, "unlink", (const char *path), (path))
ON_PATH(chmod, "chmod", (const char *path, mode_t mode), (path, mode))
AT_PATH(fstatat64, "stat", 0, (int fd, const char *path, struct stat64 *to, int flags), (fd, path, to, flags))
AT_PATH(faccessat, "access", 0, (int fd, const char *path, int mode, int flags), (fd, path, mode, flags))
AT_PATH(mkdirat, "mkdir", 0, (int fd, const char *path, mode_t mode), (fd, path, mode))
AT_PATH(unlinkat, flags ? "rmdir" : "unlink", 0, (int fd, const char *path, int flags), (fd, path, flags))
AT_PATH(fchmodat, "chmod", 0, (int fd, const char *path, mode_t mode, int flags), (fd, path, mode, flags))
AT_PATH(utimensat, "utimens", 0, (int fd, const char *path, const struct timespec t[2], int flags), (fd, path, t, flags))
PLAIN(ssize_t, readlink, "readlink", AT_FDCWD, path, 0, NULL, -1, (const char *path, char *to, size_t size), (path, to, size))
PLAIN(ssize_t, readlinkat, "readlink", fd, path, 0, NULL, -1, (int fd, const char *path, char *to, size_t size), (fd, path, to, size))
PLAIN(DIR *, opendir, "opendir", AT_FDCWD, path, 0, NULL, 0, (const char *path), (path))
PLAIN(DIR *, fdopendir, "opendir", fd, (char *)NULL, 0, NULL, 0, (int fd), (fd))
PLAIN(struct dirent64 *, readdir64, "readdir", dirfd(folder), (char *)NULL, 0, NULL, 0, (DIR *folder), (folder))
PLAIN(int, socket, "socket", -1, "/socket", 0, NULL, -1, (int a, int b, int c), (a, b, c))
PLAIN(int, socketpair, "socketpair", -1, "/socketpair", 0, NULL, -1, (int a, int b, int c, int ends[2]), (a, b, c, ends))
PLAIN(int, pipe2, "pipe", -1, "/pipe", 0, NULL, -1, (int ends[2], int flags), (ends, flags))
PLAIN(int, epoll_create1, "epoll_create", -1, "/epoll", 0, NULL, -1, (int flags), (flags))
PLAIN(int, eventfd, "eventfd", -1, "/eventfd", 0, NULL, -1, (unsigned n, int flags), (n, flags))

/* A name for a second one, or for what the first stands for: the target is the new name. */
#define TWO(name, label, params, args, old_fd, old, new_fd, new) \
    int name params \
    { \
        REAL(name); \
        struct call call; \
        char from[PATH_MAX + 8]; \
        int result, fault = begin(&call, label, new_fd, new); \
        if (fault > 0) { \
            errno = fault; \
            return -1; \
        } \
        if (call.live) \
            describe(old_fd, old, from); \
        result = real args; \
        end(&call, result, -1, 0, 0, 0, from, NULL, 0); \
        return result; \
    }
TWO(rename, "rename", (const char *a, const char *b), (a, b), AT_FDCWD, a, AT_FDCWD, b)
TWO(renameat, "rename", (int x, const char *a, int y, const char *b), (x, a, y, b), x, a, y, b)
TWO(link, "link", (const char *a, const char *b), (a, b), AT_FDCWD, a, AT_FDCWD, b)
TWO(linkat, "link", (int x, const char *a, int y, const char *b, int flags), (x, a, y, b, flags), x, a, y, b)
PLAIN(int, symlink, "symlink", AT_FDCWD, path, 0, to, -1, (const char *to, const char *path), (to, path))
PLAIN(int, symlinkat, "symlink", fd, path, 0, to, -1, (const char *to, int fd, const char *path), (to, fd, path))

/* Those that transfer bytes. What was written is in the log, and where. */
#define TRANSFER(name, label, params, args, half, at, first, writes) \
    ssize_t name params \
    { \
        REAL(name); \
        struct call call; \
        struct iovec less = {0}; \
        ssize_t result; \
        int64_t offset = at; \
        (void)less; \
        int fault = begin(&call, label, fd, NULL); \
        if (fault > 0) { \
            errno = fault; \
            return -1; \
        } \
        if (fault == SHORT) \
            half; \
        result = real args; \
        end(&call, result, fd, offset, 0, 0, NULL, first, writes && result > 0 ? (size_t)result : 0); \
        return result; \
    }
#define HALF count = (count + 1) / 2
#define HALF_PARTS less.iov_base = parts[0].iov_base, less.iov_len = (parts[0].iov_len + 1) / 2, parts = &less, count = 1
#define PLACE state ? lseek64(fd, 0, SEEK_CUR) : 0
TRANSFER(read, "read", (int fd, void *to, size_t count), (fd, to, count), HALF, 0, to, 0)
TRANSFER(pread64, "pread", (int fd, void *to, size_t count, off64_t o), (fd, to, count, o), HALF, o, to, 0)
TRANSFER(readv, "read", (int fd, const struct iovec *parts, int count), (fd, parts, count), HALF_PARTS, 0, NULL, 0)
TRANSFER(preadv64v2, "pread", (int fd, const struct iovec *parts, int count, off64_t o, int flags),
         (fd, parts, count, o, flags), HALF_PARTS, o, NULL, 0)
TRANSFER(preadv64, "pread", (int fd, const struct iovec *parts, int count, off64_t o), (fd, parts, count, o),
         HALF_PARTS, o, NULL, 0)
TRANSFER(write, "write", (int fd, const void *from, size_t count), (fd, from, count), HALF, PLACE, from, 1)
TRANSFER(pwrite64, "pwrite", (int fd, const void *from, size_t count, off64_t o), (fd, from, count, o), HALF, o, from, 1)
TRANSFER(recv, "recv", (int fd, void *to, size_t count, int flags), (fd, to, count, flags), HALF, 0, to, 0)
TRANSFER(recvfrom, "recv", (int fd, void *to, size_t count, int flags, struct sockaddr *a, socklen_t *s),
         (fd, to, count, flags, a, s), HALF, 0, to, 0)
TRANSFER(send, "send", (int fd, const void *from, size_t count, int flags), (fd, from, count, flags), HALF, 0, from, 1)
TRANSFER(sendto, "send", (int fd, const void *from, size_t count, int flags, const struct sockaddr *a, socklen_t s),
         (fd, from, count, flags, a, s), HALF, 0, from, 1)
TRANSFER(sendmsg, "send", (int fd, const struct msghdr *what, int flags), (fd, what, flags), (void)0, 0,
         what->msg_iovlen ? what->msg_iov[0].iov_base : NULL, 0)
TRANSFER(sendfile64, "sendfile", (int fd, int from, off64_t *o, size_t count), (fd, from, o, count), HALF, 0, NULL, 0)

static int created_before(int fd, const char *path, int flags)
{
    struct stat status;
    int kept = errno, there = syscall(SYS_newfstatat, fd, path, &status, AT_SYMLINK_NOFOLLOW) == 0;
    errno = kept;
    return (flags & O_CREAT) && !there;
}

#define OPEN(name, label, params, args, dir) \
    int name params \
    { \
        REAL(name); \
        struct call call; \
        mode_t mode = 0; \
        int result, created, fault = begin(&call, label, dir, path); \
        if (flags & (O_CREAT | __O_TMPFILE)) { \
            va_list rest; \
            va_start(rest, flags); \
            mode = (mode_t)va_arg(rest, int); \
            va_end(rest); \
        } \
        if (fault > 0) { \
            errno = fault; \
            return -1; \
        } \
        created = call.live && created_before(dir, path, flags); \
        result = real args; \
        end(&call, result, result, 0, (uint64_t)flags, created, NULL, NULL, 0); \
        return result; \
    }
OPEN(open64, flags & O_CREAT ? "create" : "open", (const char *path, int flags, ...), (path, flags, mode), AT_FDCWD)
OPEN(openat64, flags & O_CREAT ? "create" : "open", (int fd, const char *path, int flags, ...), (fd, path, flags, mode), fd)

/* Linux has closed the file even where it says that it failed. */
int close(int fd)
{
    REAL(close);
    struct call call;
    int result, fault = begin(&call, "close", fd, NULL);
    result = real(fd);
    if (fault > 0) {
        errno = fault;
        return -1;
    }
    end(&call, result, -1, 0, 0, 0, NULL, NULL, 0);
    return result;
}

/* These return an error instead of setting errno. */
int posix_fallocate64(int fd, off64_t offset, off64_t length)
{
    REAL(posix_fallocate64);
    struct call call;
    int result, fault = begin(&call, "fallocate", fd, NULL);
    if (fault > 0)
        return fault;
    result = real(fd, offset, length);
    end(&call, -(int64_t)(result != 0), fd, offset, (uint64_t)length, 0, NULL, NULL, 0);
    return result;
}

int pthread_create(pthread_t *thread, const pthread_attr_t *a, void *(*run)(void *), void *argument)
{
    REAL(pthread_create);
    struct call call;
    int result, fault = begin(&call, "thread", -1, "/thread");
    if (fault > 0)
        return fault;
    result = real(thread, a, run, argument);
    end(&call, -(int64_t)(result != 0), -1, 0, 0, 0, NULL, NULL, 0);
    return result;
}

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **to)
{
    REAL(getaddrinfo);
    struct call call;
    int result, fault = begin(&call, "getaddrinfo", -1, "/address");
    if (fault > 0)
        return errno = fault, EAI_SYSTEM;
    result = real(node, service, hints, to);
    end(&call, -(int64_t)(result != 0), -1, 0, 0, 0, NULL, NULL, 0);
    return result;
}

int fcntl64(int fd, int command, ...)
{
    REAL(fcntl64);
    struct call call = {0};
    va_list rest;
    void *argument;
    int result;
    va_start(rest, command);
    argument = va_arg(rest, void *);
    va_end(rest);
    if (command == F_DUPFD_CLOEXEC) {
        int fault = begin(&call, "dup", fd, NULL);
        if (fault > 0) {
            errno = fault;
            return -1;
        }
    }
    result = real(fd, command, argument);
    if (command == F_DUPFD_CLOEXEC)
        end(&call, result, fd, 0, 0, 0, NULL, NULL, 0);
    return result;
}
