// Softmax, cost and residual of a chunk of logits A (rows, vocab), one block of threads for each row, in one launch.
//
//     top = max_v A_v,   total = sum_v exp(A_v - top),   q_v = exp(A_v - top) / total
//     cost = sum_v p_v (log total + top - A_v) - constant,        A_v <- q_v - p_v
//
// Compiled for each REAL (float or double: type of the logits and of p; sums are always double), each TARGET and WRITE:
//
//     TARGET 0: no target, q itself is written;  1: dense p (rows, vocab);  2: sparse p, row r being the entries
//               starts[r] .. starts[r + 1] of p and columns
//     WRITE  0: costs only, the logits stay;     1: logits overwritten
//
// A row is read once: the first `kept` of its logits stay in shared memory, and become exp(A_v - top) there unless p is
// dense.  What does not fit is read twice, its running maximum and sum kept by each thread; the second time it mostly
// comes from the second-level cache.  Every sum is taken in a fixed order, so results do not vary from run to run.

#ifndef REAL
#define REAL double
#endif
#ifndef TARGET
#define TARGET 1
#endif
#ifndef WRITE
#define WRITE 1
#endif
#ifndef WARP
#define WARP 32
#endif

typedef REAL real;

#define AHEAD (64 / (int)sizeof(real))  // loads in flight for each thread

// The sum, or the largest, of one number from each thread; every thread gets it.  scratch: a double for each warp.
__device__ double over_block(double mine, bool largest, double* scratch)
{
    for (int distance = WARP / 2; distance > 0; distance /= 2) {
        const double other = __shfl_xor_sync(0xffffffffu, mine, distance);
        mine = largest ? fmax(mine, other) : mine + other;
    }
    __syncthreads();  // the scratch may still be read for an earlier result
    if (threadIdx.x % WARP == 0) scratch[threadIdx.x / WARP] = mine;
    __syncthreads();
    double result = scratch[0];
    for (unsigned int warp = 1; warp < blockDim.x / WARP; ++warp)
        result = largest ? fmax(result, scratch[warp]) : result + scratch[warp];
    return result;
}

extern "C" __global__ void __launch_bounds__(1024, 1)
residual(real* logits, long long vocab, long long kept, const real* __restrict__ p,
         const long long* __restrict__ starts, const long long* __restrict__ columns,
         const double* __restrict__ constants, double* __restrict__ costs)
{
    extern __shared__ double shared[];
    double* const scratch = shared;
    real* const tile = (real*)(shared + 32);
    real* const row = logits + (long long)blockIdx.x * vocab;
    const long long first = threadIdx.x, threads = blockDim.x;

    // The maximum, and of what is not kept the sum of exp(A_v - top) so far.
    real top = row[0];
    double sum = 0;
    for (long long base = first; base < kept; base += AHEAD * threads) {
        real ahead[AHEAD];
#pragma unroll
        for (int u = 0; u < AHEAD; ++u) ahead[u] = base + u * threads < kept ? row[base + u * threads] : top;
#pragma unroll
        for (int u = 0; u < AHEAD; ++u) {
            if (base + u * threads < kept) tile[base + u * threads] = ahead[u];
            top = fmax(top, ahead[u]);
        }
    }
    for (long long base = kept + first; base < vocab; base += AHEAD * threads) {
        real ahead[AHEAD];
#pragma unroll
        for (int u = 0; u < AHEAD; ++u) ahead[u] = base + u * threads < vocab ? row[base + u * threads] : top;
#pragma unroll
        for (int u = 0; u < AHEAD; ++u) {
            if (base + u * threads >= vocab) continue;
            const real share = exp(-fabs(ahead[u] - top));
            sum = ahead[u] > top ? sum * share + 1 : sum + share;
            top = fmax(top, ahead[u]);
        }
    }
    const real highest = (real)over_block(top, true, scratch);
    sum *= exp((double)(top - highest));

    // The sum over what is kept.
    for (long long v = first; v < kept; v += threads) {
        const real share = exp(tile[v] - highest);
        if (TARGET != 1 && WRITE) tile[v] = share;
        sum += share;
    }
    const double total = over_block(sum, false, scratch);
#if TARGET
    const double log_total = log(total);
    double cost = 0;
#endif

#if TARGET == 2
    for (long long k = starts[blockIdx.x] + first; k < starts[blockIdx.x + 1]; k += threads)
        cost += p[k] * (log_total + ((double)highest - row[columns[k]]));
    cost = over_block(cost, false, scratch);  // and every thread has read the logits that it needs
#endif

    // The residual, and the cost of a dense target.
#if TARGET == 1 || WRITE
    const real scale = (real)(1 / total);
    for (long long v = first; v < vocab; v += threads) {
        const bool here = v < kept;
        const real stored = here ? tile[v] : row[v];
        const real share = TARGET != 1 && here ? stored : exp(stored - highest);
#if TARGET == 1
        const real target = p[(long long)blockIdx.x * vocab + v];
        cost += target * (log_total + ((double)highest - stored));
        if (WRITE) row[v] = share * scale - target;
#else
        row[v] = share * scale;
#endif
    }
#endif
#if TARGET == 1
    cost = over_block(cost, false, scratch);
#endif
#if TARGET == 2 && WRITE
    __syncthreads();
    for (long long k = starts[blockIdx.x] + first; k < starts[blockIdx.x + 1]; k += threads)
        row[columns[k]] -= p[k];
#endif
#if TARGET
    if (threadIdx.x == 0) costs[blockIdx.x] = cost - constants[blockIdx.x];
#endif
}
