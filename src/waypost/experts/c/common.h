// What products.c and pairs.c share: sizes of tiles, room, and threads.

#ifndef WAYPOST_COMMON
#define WAYPOST_COMMON

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#if defined(__AVX512F__)
#define V 16
#elif defined(__AVX__)
#define V 8
#else
#define V 4
#endif
#define NR (2 * V)
#define MR 6
#define LINE 16             // numbers in a line of the cache
#define NEAR (256 * 1024)   // bytes that stay in the second cache
#define FAR (8L << 20)      // bytes that stay in none: a line of them is written past the caches, without reading it
#define INLINE static inline __attribute__((always_inline))

INLINE long least(long a, long b) { return a < b ? a : b; }

INLINE float *room(long floats) { return aligned_alloc(64, (floats * 4 / 64 + 1) * 64); }

INLINE long most(const int32_t *ends, long experts)
{
    long rows = 0, start = 0;
    for (long e = 0; e < experts; start = ends[e++])
        if (ends[e] - start > rows) rows = ends[e] - start;
    return rows;
}

// So many rows of so many bytes, in whole tiles, leave room in the second cache for weights.
INLINE long rows_near(long bytes) { return NR * (NEAR / 2 / (NR * bytes) + 1); }

// Only where its sizes are known when it is compiled do the sums stay in registers.
#define WITH_HEIGHT(high, call) \
    switch (high) { \
    case 1: { enum { H = 1 }; call; break; } \
    case 2: { enum { H = 2 }; call; break; } \
    case 3: { enum { H = 3 }; call; break; } \
    case 4: { enum { H = 4 }; call; break; } \
    case 5: { enum { H = 5 }; call; break; } \
    default: { enum { H = 6 }; call; } \
    }

// Whether `call` fails for any part of `size`, each `from` to `to` and of whole lines of the cache.
#define IN_PARTS(size, failed, call) \
    do { \
        long step = ((size - 1) / threads / LINE + 1) * LINE; \
        _Pragma("omp parallel for num_threads(threads) reduction(| : failed) if (threads > 1)") \
        for (long from = 0; from < size; from += step) { \
            long to = least(from + step, size); \
            failed |= call; \
        } \
    } while (0)

#endif
