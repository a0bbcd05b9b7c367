/* A slow and stubborn disk for one process, by LD_PRELOAD: every pwrite to a regular file waits, and
 * some write only a part of what they were given, as POSIX lets them. CHAOS_DISK_USEC is how long
 * a write waits at most, CHAOS_DISK_SEED makes it repeatable, thread by thread. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

typedef ssize_t (*writer)(int, const void *, size_t, off64_t);

static __thread unsigned int state;

static ssize_t slowly(writer real, int fd, const void *data, size_t count, off64_t at)
{
    struct stat status;
    const char *most = getenv("CHAOS_DISK_USEC");
    if (most == NULL || fstat(fd, &status) != 0 || !S_ISREG(status.st_mode))
        return real(fd, data, count, at);
    if (state == 0) {
        const char *seed = getenv("CHAOS_DISK_SEED");
        state = (unsigned int)(seed == NULL ? 1 : atoi(seed)) * 2u + 1u;
    }
    usleep((useconds_t)(rand_r(&state) % (unsigned int)(atoi(most) + 1)));
    /* Records of the journal are short; they are written whole, as by every file system. */
    if (count > 64 && rand_r(&state) % 4 == 0)
        count = count / 2;
    return real(fd, data, count, at);
}

ssize_t pwrite64(int fd, const void *data, size_t count, off64_t at)
{
    return slowly((writer)dlsym(RTLD_NEXT, "pwrite64"), fd, data, count, at);
}

ssize_t pwrite(int fd, const void *data, size_t count, off_t at)
{
    return slowly((writer)dlsym(RTLD_NEXT, "pwrite"), fd, data, count, at);
}
