// Products of bfloat16 rows with bfloat16 weights, on processors that multiply pairs of them (AVX512_BF16).
//
// As in products.c, and in this: an instruction adds the products of two pairs to a float32, so rows, weights and their
// gradients are taken in pairs along what is summed over.  Sums are float32, and rounded once.

#include "common.h"

#if defined(__AVX512BF16__) && defined(__AVX512VL__)

#include <immintrin.h>

#define SUMS 16  // in a vector

int waypost_has_pairs(void) { return 1; }

// c[r][] = sum over k of a[r * a_row + k * a_step] . b[k * NR + ...], each a pair; c has NR columns.
INLINE void tile(int high, int wide, long depth, const int32_t *a, long a_row, long a_step, const int32_t *b, float *c,
                 const char *later, long later_step)
{
    __m512 sum[MR][2];
    for (int r = 0; r < high; r++)
        for (int v = 0; v < wide; v++) sum[r][v] = _mm512_setzero_ps();
    for (long k = 0; k < depth; k++) {
        __m512i line[2];
        for (int v = 0; v < wide; v++) line[v] = _mm512_loadu_si512(b + k * NR + v * SUMS);
        if (later) __builtin_prefetch(later + k * later_step, 0, 2);
        for (int r = 0; r < high; r++) {
            __m512bh one = (__m512bh)_mm512_set1_epi32(a[r * a_row + k * a_step]);
            for (int v = 0; v < wide; v++) sum[r][v] = _mm512_dpbf16_ps(sum[r][v], one, (__m512bh)line[v]);
        }
    }
    for (int r = 0; r < high; r++)
        for (int v = 0; v < wide; v++) _mm512_storeu_ps(c + r * NR + v * SUMS, sum[r][v]);
}

static void any_tile(long high, long width, long depth, const int32_t *a, long a_row, long a_step, const int32_t *b,
                     float *c, const char *later, long later_step)
{
    if (width > SUMS) {
        WITH_HEIGHT(high, tile(H, 2, depth, a, a_row, a_step, b, c, later, later_step))
    } else {
        WITH_HEIGHT(high, tile(H, 1, depth, a, a_row, a_step, b, c, later, later_step))
    }
}

static void narrow(const float *from, uint16_t *to, long count)
{
    for (long i = 0; i < count; i += SUMS) {
        __mmask16 some = count - i < SUMS ? (1u << (count - i)) - 1 : 0xffff;
        _mm256_mask_storeu_epi16(to + i, some, (__m256i)_mm512_cvtneps_pbh(_mm512_maskz_loadu_ps(some, from + i)));
    }
}

// pack[t] = (first[t], second[t]); of both, `count` are there and the rest is 0, as is all of a second that is NULL.
INLINE void interleave(const uint16_t *first, const uint16_t *second, long count, int32_t *pack)
{
    for (long t = 0; t < NR; t += SUMS) {
        long here = count - t;
        __mmask16 some = here >= SUMS ? 0xffff : here > 0 ? (1u << here) - 1 : 0;
        __m512i low = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(some, first + t)), high = _mm512_setzero_si512();
        if (second) high = _mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(some, second + t)), 16);
        _mm512_storeu_si512(pack + t, _mm512_or_si512(low, high));
    }
}

static int32_t *pairs(long count) { return (int32_t *)room(count); }

// ---- out[rows, outer] = rows[rows, inner] . weight[inner, outer]; inner is even ----

static int some_products(const int32_t *ends, long experts, long inner, long outer, const uint16_t *rows,
                         const uint16_t *weights, uint16_t *out, long from, long to)
{
    int32_t *pack = pairs(inner / 2 * NR);
    if (!pack) return 1;
    for (long e = 0, start = 0; e < experts; start = ends[e++]) {
        long count = ends[e] - start;
        const uint16_t *w = weights + e * inner * outer;
        for (long j = from; j < to && count; j += NR) {
            long width = least(NR, to - j);
            for (long k = 0; k < inner; k += 2) {
                const uint16_t *line = w + k * outer + j;
                // Read in order, the next expert's weights are there when this one's are done.
                __builtin_prefetch(w + inner * outer + j * inner + k * NR, 0, 2);
                __builtin_prefetch(w + inner * outer + j * inner + k * NR + 2 * LINE, 0, 2);
                interleave(line, line + outer, width, pack + k / 2 * NR);
            }
            for (long i = 0; i < count; i += MR) {
                float part[MR * NR] __attribute__((aligned(64)));
                long high = least(MR, count - i), row = start + i;
                any_tile(high, width, inner / 2, (const int32_t *)(rows + row * inner), inner / 2, 1, pack, part, 0, 0);
                for (long r = 0; r < high; r++) narrow(part + r * NR, out + (row + r) * outer + j, width);
            }
        }
    }
    free(pack);
    return 0;
}

int waypost_pairs(const int32_t *ends, long experts, long inner, long outer, const void *rows, const void *weights,
                  void *out, int threads)
{
    int failed = 0;
    IN_PARTS(outer, failed, some_products(ends, experts, inner, outer, rows, weights, out, from, to));
    return failed;
}

// ---- out[rows, inner] = rows[rows, outer] . weight[inner, outer] transposed; outer is even ----

static int some_transposed(const int32_t *ends, long experts, long inner, long outer, const int32_t *rows,
                           const int32_t *weights, uint16_t *out, long from, long to)
{
    long depth = outer / 2, once = rows_near(outer * 2);
    int32_t *pack = pairs(once * depth);
    if (!pack) return 1;
    for (long e = 0, start = 0; e < experts; start = ends[e++])
        for (long first = start; first < ends[e]; first += once) {
            long count = least(once, ends[e] - first);
            const int32_t *mine = rows + first * depth, *w = weights + e * inner * depth;
            for (long p = 0; p < count; p += NR)  // NR rows stand side by side
                for (long t = 0; t < NR; t++)
                    for (long k = 0; k < depth; k++)
                        pack[p * depth + k * NR + t] = p + t < count ? mine[(p + t) * depth + k] : 0;
            for (long i = from; i < to; i += MR) {
                long high = least(MR, to - i);
                const char *later = (const char *)(w + (i + high) * depth);
                for (long p = 0; p < count; p += NR, later = 0) {
                    float part[MR * NR] __attribute__((aligned(64)));
                    uint16_t done[MR * NR];
                    long width = least(NR, count - p);
                    any_tile(high, width, depth, w + i * depth, depth, 1, pack + p * depth, part, later, MR * 4);
                    narrow(part, done, high * NR);
                    for (long t = 0; t < width; t++)
                        for (long r = 0; r < high; r++) out[(first + p + t) * inner + i + r] = done[r * NR + t];
                }
            }
        }
    free(pack);
    return 0;
}

int waypost_pairs_transposed(const int32_t *ends, long experts, long inner, long outer, const void *rows,
                             const void *weights, void *out, int threads)
{
    int failed = 0;
    IN_PARTS(inner, failed, some_transposed(ends, experts, inner, outer, rows, weights, out, from, to));
    return failed;
}

// ---- out[inner, outer] = left[rows, inner] transposed . right[rows, outer] ----

// Columns stand in blocks of `size`, each with all pairs of rows one after the other; what is beyond is 0.
INLINE void blocks(const uint16_t *rows, long count, long length, long from, long to, long size, int32_t *pack)
{
    for (long i = from; i < to; i += size)
        for (long k = 0; k < count; k += 2, pack += size) {
            const uint16_t *first = rows + k * length + i, *second = k + 1 < count ? first + length : 0;
            if (size == NR)
                interleave(first, second, to - i, pack);
            else
                for (long t = 0; t < size; t++)
                    pack[t] = i + t < to ? first[t] | (second ? (uint32_t)second[t] << 16 : 0) : 0;
        }
}

// A line of NR sums, rounded.
INLINE void put(const float *from, uint16_t *to, long width, int far)
{
    if (width < NR) {
        narrow(from, to, width);
        return;
    }
    __m512i line = (__m512i)_mm512_cvtne2ps_pbh(_mm512_loadu_ps(from + SUMS), _mm512_loadu_ps(from));
    if (far && ((uintptr_t)to & 63) == 0)
        _mm512_stream_si512((__m512i *)to, line);
    else
        _mm512_storeu_si512(to, line);
}

static int some_outer(const int32_t *ends, long experts, long inner, long outer, const uint16_t *left,
                      const uint16_t *right, uint16_t *out, long from, long to)
{
    int far = experts * inner * outer * 2 > FAR;
    long rows = most(ends, experts) / 2 + 1;
    int32_t *a = pairs(rows * (to - from + MR)), *b = pairs(rows * (outer + NR));
    int failed = !a || !b;
    for (long e = 0, start = 0; e < experts && !failed; start = ends[e++]) {
        long count = ends[e] - start, depth = (count + 1) / 2;
        if (!count) continue;
        blocks(left + start * inner, count, inner, from, to, MR, a);
        blocks(right + start * outer, count, outer, 0, outer, NR, b);
        for (long i = from; i < to; i += MR)
            for (long j = 0; j < outer; j += NR) {
                float part[MR * NR] __attribute__((aligned(64)));
                long high = least(MR, to - i), width = least(NR, outer - j);
                any_tile(high, width, depth, a + (i - from) * depth, 1, MR, b + j * depth, part, 0, 0);
                uint16_t *mine = out + (e * inner + i) * outer + j;
                for (long r = 0; r < high; r++) put(part + r * NR, mine + r * outer, width, far);
            }
    }
    _mm_sfence();
    free(a);
    free(b);
    return failed;
}

int waypost_pairs_outer(const int32_t *ends, long experts, long inner, long outer, const void *left, const void *right,
                        void *out, int threads)
{
    int failed = 0;
    IN_PARTS(inner, failed, some_outer(ends, experts, inner, outer, left, right, out, from, to));
    return failed;
}

#else

int waypost_has_pairs(void) { return 0; }

#endif
