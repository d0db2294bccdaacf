// Products of rows with the weights of their experts, for `waypost.experts.grouped`.
//
// Rows are float32 and lie in the order of their experts: expert e has those from ends[e - 1] to ends[e].  Weights are
// float32 or bfloat16, (experts, inner, outer).  Sums of MR x NR numbers stay in registers while the products of a tile
// are added.  What makes it faster than a library's product for each expert is foresight: an expert's weights come from
// memory and are used for few rows, so while it computes, the weights that come next are prefetched.
//
// Threads share the work by columns of the weights, or by their lines, so that it is even however rows are spread.  What
// is returned is 0, or 1 where memory could not be had.

#include <math.h>

#include "common.h"

#if V > 4
#include <immintrin.h>
#endif

// So few rows do not fill a tile: they are multiplied by weights as these lie in memory.  Measured: the wider vectors
// are, the more rows a tile of them wastes, and widening for a tile what is short costs as much as several rows.
#define FEW 2
#define FEW_DOTS (V == 16 ? 6 : 2)
#define FEW_LINES(is_short) (V < 16 ? 2 : is_short ? 6 : 0)
#define STREAMS 8           // lines of weights that are read side by side
#define SOON 24             // lines ahead of the one that is multiplied
#define LINES (NR > LINE ? NR / LINE : 1)  // of the cache, in a line of a tile

typedef float vec __attribute__((vector_size(4 * V)));
typedef float loose __attribute__((vector_size(4 * V), aligned(4), may_alias));
typedef uint32_t bits __attribute__((vector_size(4 * V)));
typedef uint16_t halves __attribute__((vector_size(2 * V), aligned(2), may_alias));

typedef struct {
    const void *data;
    int is_short;
} weight;

INLINE vec load(const float *from) { return *(const loose *)from; }
INLINE void store(float *to, vec value) { *(loose *)to = value; }

// Past the caches, where there is an instruction for it; `done` afterwards.
#if V == 16
INLINE void stream(float *to, vec value) { _mm512_stream_ps(to, (__m512)value); }
INLINE void done(void) { _mm_sfence(); }
#elif V == 8
INLINE void stream(float *to, vec value) { _mm256_stream_ps(to, (__m256)value); }
INLINE void done(void) { _mm_sfence(); }
#else
INLINE void stream(float *to, vec value) { store(to, value); }
INLINE void done(void) {}
#endif

// ---- bfloat16: the upper half of a float32 ----

static void widen(const uint16_t *from, float *to, long count)
{
    long i = 0;
    for (; i + V <= count; i += V)
        store(to + i, (vec)(__builtin_convertvector(*(const halves *)(from + i), bits) << 16));
    for (; i < count; i++) {
        uint32_t wide = (uint32_t)from[i] << 16;
        memcpy(to + i, &wide, 4);
    }
}

static void narrow(const float *from, uint16_t *to, long count)
{
    for (long i = 0; i < count; i++) {
        uint32_t wide;
        memcpy(&wide, from + i, 4);
        uint32_t rounded = (wide + 0x7fff + (wide >> 16 & 1)) >> 16;  // to the nearest; of two, to the even one
        to[i] = (wide & 0x7fffffff) > 0x7f800000 ? 0x7fc0 : rounded;
    }
}

// Numbers of a weight from `at` on: where they lie, or widened into `wide`.
INLINE const float *numbers(weight w, long at, long count, float *wide)
{
    if (!w.is_short) return (const float *)w.data + at;
    widen((const uint16_t *)w.data + at, wide, count);
    return wide;
}

INLINE const void *place(weight w, long at) { return (const char *)w.data + at * (w.is_short ? 2 : 4); }

// ---- a tile ----

// What is prefetched into the second cache meanwhile, so many bytes further each step.
typedef struct {
    const void *data;
    long step;
} ahead;
static const ahead NOTHING = {0};

// c[r][] = sum over k of a[r * a_row + k * a_step] * b[k * b_row + ...], for `high` rows and `wide` vectors.  Lines of b
// are kept in `pack` as they pass: where they lie, far apart, they soon lose their place in the first cache.
INLINE void tile(int high, int wide, long depth, const float *a, long a_row, long a_step, const float *b, long b_row,
                 float *c, long c_row, float *pack, ahead later)
{
    vec sum[MR][2];
    for (int r = 0; r < high; r++)
        for (int v = 0; v < wide; v++) sum[r][v] = (vec){0};
    for (long k = 0; k < depth; k++) {
        vec line[2];
        for (int v = 0; v < wide; v++) line[v] = load(b + k * b_row + v * V);
        if (pack)
            for (int v = 0; v < wide; v++) store(pack + k * NR + v * V, line[v]);
        for (int l = 0; l < LINES && pack; l++) __builtin_prefetch(b + (k + SOON) * b_row + l * LINE, 0, 3);
        for (int l = 0; l < (pack ? LINES : 1) && later.data; l++)
            __builtin_prefetch((const char *)later.data + k * later.step + l * LINE * 4, 0, 2);
        for (int r = 0; r < high; r++) {
            vec one = a[r * a_row + k * a_step] - (vec){0};
            for (int v = 0; v < wide; v++) sum[r][v] += one * line[v];
        }
    }
    for (int r = 0; r < high; r++)
        for (int v = 0; v < wide; v++) store(c + r * c_row + v * V, sum[r][v]);
}

// The first tile of a panel of weights, which packs it.
static void unpacked(int high, long depth, const float *a, const float *b, long b_row, float *c, long c_row, float *pack,
                     ahead later)
{
    WITH_HEIGHT(high, tile(H, 2, depth, a, depth, 1, b, b_row, c, c_row, pack, later))
}

// Rows of `a` lie one after the other.
static void packed(int high, long depth, const float *a, const float *b, float *c, long c_row)
{
    WITH_HEIGHT(high, tile(H, 2, depth, a, depth, 1, b, NR, c, c_row, 0, NOTHING))
}

static void packed_ahead(int high, int wide, long depth, const float *a, const float *b, float *c, ahead later)
{
    if (wide == 1) {
        WITH_HEIGHT(high, tile(H, 1, depth, a, depth, 1, b, NR, c, NR, 0, later))
    } else {
        WITH_HEIGHT(high, tile(H, 2, depth, a, depth, 1, b, NR, c, NR, 0, later))
    }
}

// Both sides are packed: MR numbers of `a` a step.
static void outer_tile(int high, long depth, const float *a, const float *b, float *c, long c_row)
{
    WITH_HEIGHT(high, tile(H, 2, depth, a, 1, MR, b, NR, c, c_row, 0, NOTHING))
}

// ---- out[rows, outer] = rows[rows, inner] . weight[inner, outer] ----

// c[from..to] += sum over some lines of a[line] * b[line][from..to].
INLINE void add_lines(int lines, long outer, const float *a, const float *b, float *c, long from, long to)
{
    long j = from;
    for (; j + 2 * V <= to; j += 2 * V) {
        vec sum0 = load(c + j), sum1 = load(c + j + V);
        for (int i = 0; i < lines; i++) {
            vec one = a[i] - (vec){0};
            sum0 += one * load(b + i * outer + j);
            sum1 += one * load(b + i * outer + j + V);
        }
        store(c + j, sum0);
        store(c + j + V, sum1);
    }
    for (; j < to; j++)
        for (int i = 0; i < lines; i++) c[j] += a[i] * b[i * outer + j];
}

// Added to what is in `out`.
static void few_products(long count, long inner, long outer, const float *rows, weight w, float *out, long from, long to,
                         float *wide)
{
    for (long k = 0; k < inner; k += STREAMS) {
        long lines = least(STREAMS, inner - k);
        const float *b = numbers(w, k * outer, lines * outer, wide);
        for (long r = 0; r < count; r++) {
            const float *a = rows + r * inner + k;
            float *c = out + r * outer;
            if (lines == STREAMS)
                add_lines(STREAMS, outer, a, b, c, from, to);
            else
                for (long i = 0; i < lines; i++) add_lines(1, outer, a + i, b + i * outer, c, from, to);
        }
    }
}

static void products(long count, long inner, long outer, const float *rows, weight w, weight after, float *out, long from,
                     long to, float *pack)
{
    if (count <= FEW_LINES(w.is_short)) {
        for (long r = 0; r < count; r++) memset(out + r * outer + from, 0, (to - from) * 4);
        few_products(count, inner, outer, rows, w, out, from, to, pack);
        return;
    }
    for (long j = from; j < to; j += NR) {
        long width = least(NR, to - j);
        int whole = width == NR && !w.is_short;
        if (!whole)
            for (long k = 0; k < inner; k++) {
                float wide[NR] = {0};
                const float *line = numbers(w, k * outer + j, width, wide);
                memset(pack + k * NR, 0, NR * 4);
                memcpy(pack + k * NR, line, width * 4);
            }
        ahead later = NOTHING;
        if (after.data) later = (ahead){place(after, j * inner), w.is_short ? NR * 2 : NR * 4};
        // Tiles as even as can be: a low one has too few sums to keep the processor busy.
        long tiles = (count - 1) / MR + 1;
        for (long t = 0; t < tiles; t++) {
            long i = (t * count + tiles - 1) / tiles, high = ((t + 1) * count + tiles - 1) / tiles - i;
            const float *a = rows + i * inner;
            float part[MR * NR] __attribute__((aligned(64))), *c = out + i * outer + j;
            if (width < NR) {
                packed(high, inner, a, pack, part, NR);
                for (long r = 0; r < high; r++) memcpy(c + r * outer, part + r * NR, width * 4);
            } else if (whole && i == 0)
                unpacked(high, inner, a, (const float *)w.data + j, outer, c, outer, pack, later);
            else
                packed(high, inner, a, pack, c, outer);
        }
    }
}

static int some_products(const int32_t *ends, long experts, long inner, long outer, const float *rows,
                         const void *weights, int is_short, float *out, long from, long to)
{
    float *pack = room(inner * NR + STREAMS * outer);
    if (!pack) return 1;
    for (long e = 0, start = 0; e < experts; start = ends[e++]) {
        if (ends[e] == start) continue;
        weight all = {weights, is_short}, w = {place(all, e * inner * outer), is_short}, after = {0, is_short};
        if (e + 1 < experts && ends[e + 1] > ends[e]) after.data = place(all, (e + 1) * inner * outer);
        products(ends[e] - start, inner, outer, rows + start * inner, w, after, out + start * outer, from, to, pack);
    }
    free(pack);
    return 0;
}

int waypost_products(const int32_t *ends, long experts, long inner, long outer, const float *rows, const void *weights,
                     int is_short, float *out, int threads)
{
    int failed = 0;
    IN_PARTS(outer, failed, some_products(ends, experts, inner, outer, rows, weights, is_short, out, from, to));
    return failed;
}

// ---- out[rows, inner] = rows[rows, outer] . weight[inner, outer] transposed ----

INLINE float dot(const float *a, const float *b, long count)
{
    vec sum[4] = {0};
    long i = 0;
    for (; i + 4 * V <= count; i += 4 * V)
        for (int s = 0; s < 4; s++) sum[s] += load(a + i + s * V) * load(b + i + s * V);
    vec all = sum[0] + sum[1] + sum[2] + sum[3];
    float total = 0;
    for (int v = 0; v < V; v++) total += all[v];
    for (; i < count; i++) total += a[i] * b[i];
    return total;
}

static void transposed(long count, long inner, long outer, const float *rows, weight w, float *out, long from, long to,
                       float *wide, float *pack)
{
    if (count <= FEW_DOTS) {
        for (long i = from; i < to; i++) {
            const float *line = numbers(w, i * outer, outer, wide);
            for (long r = 0; r < count; r++) out[r * inner + i] = dot(rows + r * outer, line, outer);
        }
        return;
    }
    for (long p = 0; p < count; p += NR)  // NR rows stand side by side
        for (long t = 0; t < NR; t++)
            for (long k = 0; k < outer; k++)
                pack[(p * outer) + k * NR + t] = p + t < count ? rows[(p + t) * outer + k] : 0;
    for (long i = from; i < to; i += MR) {
        long high = least(MR, to - i);
        const float *a = numbers(w, i * outer, high * outer, wide);
        ahead later = {place(w, (i + high) * outer), w.is_short ? MR * 2 : MR * 4};
        for (long p = 0; p < count; p += NR, later = NOTHING) {
            float part[MR * NR] __attribute__((aligned(64)));
            long width = least(NR, count - p);
            packed_ahead(high, width > V ? 2 : 1, outer, a, pack + p * outer, part, later);
            for (long t = 0; t < width; t++)
                for (long r = 0; r < high; r++) out[(p + t) * inner + i + r] = part[r * NR + t];
        }
    }
}

static int some_transposed(const int32_t *ends, long experts, long inner, long outer, const float *rows,
                           const void *weights, int is_short, float *out, long from, long to)
{
    long once = rows_near(outer * 4);
    float *wide = room(MR * outer), *pack = room(once * outer);
    int failed = !wide || !pack;
    for (long e = 0, start = 0; e < experts && !failed; start = ends[e++])
        for (long first = start; first < ends[e]; first += once) {
            weight all = {weights, is_short}, w = {place(all, e * inner * outer), is_short};
            long count = least(once, ends[e] - first);
            transposed(count, inner, outer, rows + first * outer, w, out + first * inner, from, to, wide, pack);
        }
    free(wide);
    free(pack);
    return failed;
}

int waypost_products_transposed(const int32_t *ends, long experts, long inner, long outer, const float *rows,
                                const void *weights, int is_short, float *out, int threads)
{
    int failed = 0;
    IN_PARTS(inner, failed, some_transposed(ends, experts, inner, outer, rows, weights, is_short, out, from, to));
    return failed;
}

// ---- out[inner, outer] = left[rows, inner] transposed . right[rows, outer] ----

// Columns stand in blocks of `size`, each with all rows one after the other; what is beyond is 0.
INLINE void blocks(const float *rows, long count, long length, long from, long to, long size, float *pack)
{
    for (long i = from; i < to; i += size)
        for (long k = 0; k < count; k++, pack += size)
            if (i + size <= to)
                memcpy(pack, rows + k * length + i, size * 4);
            else
                for (long r = 0; r < size; r++) pack[r] = i + r < to ? rows[k * length + i + r] : 0;
}

static void outer_block(long count, long high, long width, const float *a, const float *b, void *out, long outer,
                        int is_short, int far)
{
    float part[MR * NR] __attribute__((aligned(64)));
    if (far && width == NR && ((uintptr_t)out & 63) == 0) {
        outer_tile(high, count, a, b, part, NR);
        for (long r = 0; r < high; r++)
            for (int v = 0; v < 2; v++) stream((float *)out + r * outer + v * V, load(part + r * NR + v * V));
        return;
    }
    // A line that is written is read first; so the next ones are prefetched.
    for (long r = MR; r < 2 * MR; r++)
        for (int l = 0; l < LINES; l++)
            __builtin_prefetch((const char *)out + r * outer * (is_short ? 2 : 4) + l * LINE * 4, 1, 3);
    if (!is_short && width == NR) {
        outer_tile(high, count, a, b, out, outer);
        return;
    }
    outer_tile(high, count, a, b, part, NR);
    for (long r = 0; r < high; r++)
        if (is_short)
            narrow(part + r * NR, (uint16_t *)out + r * outer, width);
        else
            memcpy((float *)out + r * outer, part + r * NR, width * 4);
}

// For few rows, line by line.
static void few_outer(long count, long inner, long outer, const float *left, const float *right, char *out, int is_short,
                      long from, long to, float *made)
{
    for (long i = from; i < to; i++) {
        float *line = is_short ? made : (float *)out + i * outer;
        for (long j = 0; j < outer; j++) {
            float sum = left[i] * right[j];
            for (long r = 1; r < count; r++) sum += left[r * inner + i] * right[r * outer + j];
            line[j] = sum;
        }
        if (is_short) narrow(made, (uint16_t *)out + i * outer, outer);
    }
}

static int some_outer(const int32_t *ends, long experts, long inner, long outer, const float *left, const float *right,
                      void *out, int is_short, long from, long to)
{
    long rows = most(ends, experts), size = is_short ? 2 : 4;
    float *a = room(rows * (to - from + MR)), *b = room(rows * (outer + NR));
    int failed = !a || !b, far = !is_short && outer % LINE == 0 && experts * inner * outer * 4 > FAR;
    for (long e = 0, start = 0; e < experts && !failed; start = ends[e++]) {
        long count = ends[e] - start;
        char *mine = (char *)out + e * inner * outer * size;
        if (!count) continue;
        if (count <= FEW) {
            few_outer(count, inner, outer, left + start * inner, right + start * outer, mine, is_short, from, to, b);
            continue;
        }
        blocks(left + start * inner, count, inner, from, to, MR, a);
        blocks(right + start * outer, count, outer, 0, outer, NR, b);
#define BLOCK \
    outer_block(count, least(MR, to - i), least(NR, outer - j), a + (i - from) * count, b + j * count, \
                mine + (i * outer + j) * size, outer, is_short, far)
        if (count * outer * 4 <= NEAR)
            for (long i = from; i < to; i += MR)
                for (long j = 0; j < outer; j += NR) BLOCK;
        else
            for (long j = 0; j < outer; j += NR)
                for (long i = from; i < to; i += MR) BLOCK;
    }
    done();
    free(a);
    free(b);
    return failed;
}

int waypost_outer(const int32_t *ends, long experts, long inner, long outer, const float *left, const float *right,
                  void *out, int is_short, int threads)
{
    int failed = 0;
    IN_PARTS(inner, failed, some_outer(ends, experts, inner, outer, left, right, out, is_short, from, to));
    return failed;
}

// ---- out[tokens, width]: the weighed sum of feed-forwards, for a few tokens, as when a text is continued ----

// Weights are those of linear layers, (hidden, width) and (width, hidden).  Without a `gate` the hidden numbers are
// GELU(up . x), with one SiLU(gate . x) * (up . x).
typedef struct {
    long tokens, k, width, hidden;
    const int64_t *experts;  // of each choice; below 0 is nobody's
    const float *weights, *rows;
    weight gate, up, down;
} few;

static float one_hidden(const few *all, const float *row, long line, float *wide)
{
    float up = dot(row, numbers(all->up, line * all->width, all->width, wide), all->width);
    if (!all->gate.data) return up * 0.5f * (1 + erff(up * 0.70710678f));
    float gate = dot(row, numbers(all->gate, line * all->width, all->width, wide), all->width);
    return up * gate / (1 + expf(-gate));
}

static int some_hidden(const few *all, float *hidden, long from, long to)
{
    float *wide = room(all->width);
    if (!wide) return 1;
    for (long a = 0; a < all->tokens * all->k; a++, hidden += all->hidden)
        for (long h = from; h < to && all->experts[a] >= 0; h++)
            hidden[h] = all->weights[a] *
                        one_hidden(all, all->rows + a / all->k * all->width, all->experts[a] * all->hidden + h, wide);
    free(wide);
    return 0;
}

static int some_sums(const few *all, const float *hidden, float *out, long from, long to)
{
    float *wide = room(all->hidden);
    if (!wide) return 1;
    for (long t = 0; t < all->tokens; t++) memset(out + t * all->width + from, 0, (to - from) * 4);
    for (long a = 0; a < all->tokens * all->k; a++, hidden += all->hidden)
        for (long d = from; d < to && all->experts[a] >= 0; d++) {
            long line = all->experts[a] * all->width + d;
            out[a / all->k * all->width + d] +=
                dot(hidden, numbers(all->down, line * all->hidden, all->hidden, wide), all->hidden);
        }
    free(wide);
    return 0;
}

int waypost_few(long tokens, long k, long width, long hidden, const int64_t *experts, const float *weights,
                const float *rows, const void *gate, const void *up, const void *down, int is_short, float *out,
                int threads)
{
    few all = {tokens, k, width, hidden, experts, weights, rows, {gate, is_short}, {up, is_short}, {down, is_short}};
    float *made = room(tokens * k * hidden);
    int failed = !made;
    if (made) IN_PARTS(hidden, failed, some_hidden(&all, made, from, to));
    if (!failed) IN_PARTS(width, failed, some_sums(&all, made, out, from, to));
    free(made);
    return failed;
}
