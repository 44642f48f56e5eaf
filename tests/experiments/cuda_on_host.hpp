// Enough of CUDA to run residual.cu on the host: the threads of a block are fibers that take turns, one block at a time.
//
// Each fiber runs until it waits for the others, forwards or (``backwards``) in the opposite order, so a result that
// depends on who came first is found out.  A shuffle is two waits: all hand in their number, then all have taken one.
// Shared memory holds NaN at first.

#include <algorithm>
#include <math.h>
#include <ucontext.h>
#include <vector>

#define WARP 4
#define __global__
#define __device__
#define __shared__
#define __launch_bounds__(...)
#define __restrict__

struct Index { unsigned int x; };
static Index threadIdx, blockIdx, blockDim;

static std::vector<ucontext_t> fibers;
static ucontext_t turn;
static double handed[1024];
double shared[1 << 16];

static void __syncthreads()
{
    const unsigned int me = threadIdx.x;
    swapcontext(&fibers[me], &turn);
    threadIdx.x = me;
}

static double __shfl_xor_sync(unsigned int, double mine, int distance)
{
    const unsigned int me = threadIdx.x;
    handed[me] = mine;
    __syncthreads();
    const double theirs = handed[me ^ distance];
    __syncthreads();
    return theirs;
}

#include KERNEL

struct Call {
    real* logits;
    long long vocab, kept;
    const real* p;
    const long long *starts, *columns;
    const double* constants;
    double* costs;
};
static Call call;
static unsigned int done;

static void fiber()
{
    residual(call.logits, call.vocab, call.kept, call.p, call.starts, call.columns, call.constants, call.costs);
    ++done;
}

// Returns 0, or 1 when some threads have ended while others still wait for them.
extern "C" int launch(Call given, long long rows, int threads, int backwards)
{
    call = given;
    blockDim.x = threads;
    std::vector<std::vector<char>> stacks(threads, std::vector<char>(1 << 16));
    for (blockIdx.x = 0; blockIdx.x < rows; ++blockIdx.x) {
        std::fill(shared, shared + (1 << 16), NAN);
        fibers.assign(threads, ucontext_t());
        for (int each = 0; each < threads; ++each) {
            getcontext(&fibers[each]);
            fibers[each].uc_stack.ss_sp = stacks[each].data();
            fibers[each].uc_stack.ss_size = stacks[each].size();
            fibers[each].uc_link = &turn;
            makecontext(&fibers[each], fiber, 0);
        }
        for (done = 0; done == 0;)
            for (int each = 0; each < threads; ++each) {
                threadIdx.x = backwards ? threads - 1 - each : each;
                swapcontext(&turn, &fibers[threadIdx.x]);
            }
        if (done != (unsigned int)threads) return 1;
    }
    return 0;
}
