// The transforms of winograd.py: squares of pixels or of kernels into points, and back.
//
// Every transform is Y = M X Mᵀ for a square X of each channel. A register holds the same number of
// as many channels as it is wide: what is written once below happens to all of them. Faster than
// any other order is that of the channels last in memory, but they may lie at any distance.
//
// POINTS_OF_TILE, POINTS_OF_KERNEL and PATCH_OF_POINTS are the matrices of one side, given by the
// compiler's command line: a constant costs nothing where it is 0 or 1.

#include <algorithm>
#include <cstdint>
#include <cstring>

namespace {

using Index = std::int64_t;

constexpr int KERNEL = 3, PATCH = 4, TILE = PATCH + KERNEL - 1;

template <int height, int width>
struct Matrix {
    static constexpr int rows = height, columns = width;
    double at[rows][columns];
};

template <int rows, int columns>
constexpr Matrix<columns, rows> transposed(const Matrix<rows, columns> &matrix) {
    Matrix<columns, rows> found{};
    for (int row = 0; row < rows; ++row)
        for (int column = 0; column < columns; ++column)
            found.at[column][row] = matrix.at[row][column];
    return found;
}

constexpr Matrix<TILE, TILE> TO_TILE_POINTS{POINTS_OF_TILE};
constexpr Matrix<TILE, KERNEL> TO_KERNEL_POINTS{POINTS_OF_KERNEL};
constexpr Matrix<PATCH, TILE> TO_PATCH{PATCH_OF_POINTS};
constexpr auto TO_TILE = transposed(TO_TILE_POINTS);
constexpr auto TO_KERNEL = transposed(TO_KERNEL_POINTS);
constexpr auto TO_PATCH_POINTS = transposed(TO_PATCH);

#if defined(__AVX512F__)
constexpr int REGISTER_BYTES = 64;
#elif defined(__AVX__)
constexpr int REGISTER_BYTES = 32;
#else
constexpr int REGISTER_BYTES = 16;
#endif

template <class Number>
using Register [[gnu::vector_size(REGISTER_BYTES)]] = Number;

template <class Lanes, class Number>
inline Lanes load(const Number *from, Index step) {
    Lanes found{};
    if constexpr (sizeof(Lanes) == sizeof(Number)) {
        found = *from;
    } else if (step == 1) {
        std::memcpy(&found, from, sizeof(Lanes));
    } else {
#pragma GCC unroll 16
        for (Index lane = 0; lane < Index(sizeof(Lanes) / sizeof(Number)); ++lane)
            found[lane] = from[lane * step];
    }
    return found;
}

template <class Lanes, class Number>
inline void store(const Lanes &lanes, Number *to, Index step) {
    if constexpr (sizeof(Lanes) == sizeof(Number)) {
        *to = lanes;
    } else if (step == 1) {
        std::memcpy(to, &lanes, sizeof(Lanes));
    } else {
#pragma GCC unroll 16
        for (Index lane = 0; lane < Index(sizeof(Lanes) / sizeof(Number)); ++lane)
            to[lane * step] = lanes[lane];
    }
}

// A square of numbers in memory, one for each channel. Rows and columns before the first or after
// the last lie outside an image: they count as zero and are not written. What is written is added
// to the rows and columns that the squares above and to the left have in common with this one.
template <class Number>
struct Square {
    Number *corner;
    Index down, across, deep;
    int first_row, first_column, last_row, last_column;
    int common_rows, common_columns;

    bool has(int row, int column) const {
        return first_row <= row && row <= last_row && first_column <= column &&
               column <= last_column;
    }
    bool shares(int row, int column) const {
        return row < common_rows || column < common_columns;
    }
    Number *at(int row, int column) const { return corner + row * down + column * across; }
};

// to = matrix · from · matrixᵀ
template <const auto &matrix, class Lanes, class Number>
inline void transform(const Square<Number> &from, const Square<Number> &to) {
    constexpr int rows = matrix.rows, columns = matrix.columns;
    Lanes half[rows][columns];
    for (int column = 0; column < columns; ++column) {
        Lanes given[columns];
#pragma GCC unroll 8
        for (int row = 0; row < columns; ++row) {
            given[row] = Lanes{};
            if (from.has(row, column)) given[row] = load<Lanes>(from.at(row, column), from.deep);
        }
#pragma GCC unroll 8
        for (int row = 0; row < rows; ++row) {
            Lanes sum{};
#pragma GCC unroll 8
            for (int k = 0; k < columns; ++k)
                if (matrix.at[row][k] != 0) sum += Number(matrix.at[row][k]) * given[k];
            half[row][column] = sum;
        }
    }
    for (int row = 0; row < rows; ++row) {
#pragma GCC unroll 8
        for (int column = 0; column < rows; ++column) {
            if (!to.has(row, column)) continue;
            Lanes sum{};
            if (to.shares(row, column)) sum = load<Lanes>(to.at(row, column), to.deep);
#pragma GCC unroll 8
            for (int k = 0; k < columns; ++k)
                if (matrix.at[column][k] != 0) sum += Number(matrix.at[column][k]) * half[row][k];
            store(sum, to.at(row, column), to.deep);
        }
    }
}

// Images in any order in memory, and the points of their squares: 36 planes (squares, channels).
template <class Number>
struct Work {
    Number *images, *points;
    Index plane, square;  // from a point or square to the next
    Index count, height, width, channels;
    Index each, down, across, deep;  // from an image, row, column or channel to the next
};

// visit(square of an image, its points) for all squares of so many pixels a side; the next begins
// PATCH pixels on, the first so many before the image.
template <int side, int margin, class Number, class Visit>
void for_squares(const Work<Number> &work, Visit visit) {
    constexpr int common = std::max(0, side - PATCH);
    Square<Number> points{work.points, TILE * work.plane, work.plane, 1, 0, 0, TILE - 1, TILE - 1,
                          0, 0};
    for (Index image = 0; image < work.count; ++image)
        for (Index row = -margin; row < work.height - margin; row += PATCH)
            for (Index column = -margin; column < work.width - margin; column += PATCH) {
                const Index last_row = std::min<Index>(side, work.height - row) - 1;
                const Index last_column = std::min<Index>(side, work.width - column) - 1;
                visit(Square<Number>{
                          work.images + image * work.each + row * work.down + column * work.across,
                          work.down, work.across, work.deep, row < 0 ? margin : 0,
                          column < 0 ? margin : 0, int(last_row), int(last_column),
                          row < PATCH - margin ? 0 : common, column < PATCH - margin ? 0 : common},
                      points);
                points.corner += work.square;
            }
}

template <const auto &matrix, class Number>
void all_channels(Square<Number> from, Square<Number> to, Index channels) {
    constexpr Index width = sizeof(Register<Number>) / sizeof(Number);
    for (; channels >= width; channels -= width) {
        transform<matrix, Register<Number>>(from, to);
        from.corner += width * from.deep, to.corner += width * to.deep;
    }
    for (; channels > 0; --channels) {
        transform<matrix, Number>(from, to);
        from.corner += from.deep, to.corner += to.deep;
    }
}

template <const auto &matrix, int margin, class Number>
void to_points(const Work<Number> &work) {
    for_squares<matrix.columns, margin>(work, [&](const auto &square, const auto &points) {
        all_channels<matrix>(square, points, work.channels);
    });
}

template <const auto &matrix, int margin, class Number>
void from_points(const Work<Number> &work) {
    for_squares<matrix.rows, margin>(work, [&](const auto &square, const auto &points) {
        all_channels<matrix>(points, square, work.channels);
    });
}

// The channels are shared out among threads by whole registers, so that each number comes about in
// the same way however many threads there are.
template <class Number>
void in_threads(Index threads, const Work<Number> &work, void (*transform)(const Work<Number> &)) {
    constexpr Index width = sizeof(Register<Number>) / sizeof(Number);
    const Index registers = (work.channels + width - 1) / width;
#pragma omp parallel for num_threads(int(threads))
    for (Index thread = 0; thread < threads; ++thread) {
        const Index first = thread * registers / threads * width;
        const Index last = std::min(work.channels, (thread + 1) * registers / threads * width);
        Work<Number> own = work;
        own.images += first * work.deep, own.points += first, own.channels = last - first;
        transform(own);
    }
}

}  // namespace

#define ENTRY(name, way, matrix, margin)                                          \
    extern "C" void name##_float32(Index threads, const Work<float> &work) {      \
        in_threads(threads, work, way<matrix, margin, float>);                    \
    }                                                                             \
    extern "C" void name##_float64(Index threads, const Work<double> &work) {     \
        in_threads(threads, work, way<matrix, margin, double>);                   \
    }

ENTRY(tiles_to_points, to_points, TO_TILE_POINTS, 1)
ENTRY(points_to_tiles, from_points, TO_TILE, 1)
ENTRY(kernels_to_points, to_points, TO_KERNEL_POINTS, 0)
ENTRY(points_to_kernels, from_points, TO_KERNEL, 0)
ENTRY(patches_to_points, to_points, TO_PATCH_POINTS, 0)
ENTRY(points_to_patches, from_points, TO_PATCH, 0)
