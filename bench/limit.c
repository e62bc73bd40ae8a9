/* The raw limit: threads that write and sync the same number of bytes at a time into one prepared file.

   limit <file> <bytes> <seconds> <threads> [times]   prints: writes, seconds, seconds of CPU

   The file is filled with zeros and synced before the clock starts; places are taken in turn, over and over.
   A file named `times` gets what each write took, in nanoseconds, eight bytes each. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define PREPARED (8 << 20)
#define MOST_TIMES (1 << 20)

static int fd;
static long size, places;
static double seconds, deadline;
static atomic_long taken, done, timed;
static int64_t *times;

static double clock_of(clockid_t which) {
    struct timespec now;
    clock_gettime(which, &now);
    return now.tv_sec + now.tv_nsec / 1e9;
}

static int to_disk(void) {
#ifdef __APPLE__
    return fcntl(fd, F_FULLFSYNC);
#else
    return fdatasync(fd);
#endif
}

static void *write_and_sync(void *unused) {
    char *bytes = malloc(size);
    memset(bytes, 'w', size);
    do {
        long place = atomic_fetch_add(&taken, 1) % places;
        double began = times ? clock_of(CLOCK_MONOTONIC) : 0;
        if (pwrite(fd, bytes, size, place * size) != size || to_disk() != 0) {
            perror("limit");
            exit(1);
        }
        atomic_fetch_add(&done, 1);
        if (times) {
            long mine = atomic_fetch_add(&timed, 1);
            if (mine < MOST_TIMES) times[mine] = (clock_of(CLOCK_MONOTONIC) - began) * 1e9;
        }
    } while (clock_of(CLOCK_MONOTONIC) < deadline);
    free(bytes);
    return unused;
}

int main(int count, char **words) {
    if (count != 5 && count != 6) return 2;
    if (count == 6) times = calloc(MOST_TIMES, sizeof *times);
    size = atol(words[2]);
    seconds = atof(words[3]);
    long threads = atol(words[4]);
    long prepared = size > PREPARED ? size : PREPARED;
    places = prepared / size;
    fd = open(words[1], O_RDWR | O_CREAT, 0600);
    char *zeros = calloc(1, prepared);
    if (fd < 0 || pwrite(fd, zeros, prepared, 0) != prepared || fsync(fd) != 0) {
        perror("limit");
        return 1;
    }
    free(zeros);
    double start = clock_of(CLOCK_MONOTONIC), cpu = clock_of(CLOCK_PROCESS_CPUTIME_ID);
    deadline = start + seconds;
    pthread_t *all = malloc(threads * sizeof *all);
    for (long i = 0; i < threads; i++) pthread_create(&all[i], NULL, write_and_sync, NULL);
    for (long i = 0; i < threads; i++) pthread_join(all[i], NULL);
    printf("%ld %.9f %.9f\n", atomic_load(&done), clock_of(CLOCK_MONOTONIC) - start,
           clock_of(CLOCK_PROCESS_CPUTIME_ID) - cpu);
    if (times) {
        long kept = timed < MOST_TIMES ? timed : MOST_TIMES;
        FILE *file = fopen(words[5], "wb");
        if (!file || fwrite(times, sizeof *times, kept, file) != (size_t)kept || fclose(file) != 0) return 1;
    }
    return 0;
}
