from codec.canvas cimport Canvas
from codec.decisions cimport Decisions
from codec.prices cimport Prices
from codec.requantize cimport Requantizer


cdef class Redecider:
    cdef Canvas canvas
    cdef Decisions d
    cdef Requantizer work
    cdef Prices prices
    cdef int rates[4]
    cdef int coarse[4]
    cdef int gates[4]
    cdef int model[16]
    cdef int near[12]
    cdef int mode_price[5]
    cdef int rounds
    cdef int rate
    cdef int said
    cdef int kept_price
    cdef int best
    cdef int error
    cdef int best_row
    cdef int best_column
    cdef int fresh
    cdef Py_ssize_t o
    cdef Py_ssize_t x
    cdef Py_ssize_t y
    cdef void macroblock(self, Py_ssize_t column, Py_ssize_t row, unsigned char* left) noexcept nogil
    cdef int decide(self, Decisions d, Py_ssize_t at, Py_ssize_t column, Py_ssize_t row) noexcept nogil
    cdef int refine(self, Decisions d, Py_ssize_t at) noexcept nogil
    cdef void predict(self, Decisions d, Py_ssize_t at, int row, int column, unsigned char* pixels) noexcept nogil
    cdef int attempt(self, Decisions d, Py_ssize_t at, int row, int column, int slack) noexcept nogil
    cdef int say(self, int y, int x) noexcept nogil
    cdef int weigh(self, int price) noexcept nogil
    cdef int guess(self, unsigned char* pixels, Py_ssize_t p, Py_ssize_t stride, Py_ssize_t at) noexcept nogil
