from codec.choose_inter cimport InterChooser
from codec.decisions cimport Decisions
from codec.prices cimport Prices
from codec.search cimport MotionSearch


cdef class SplitChooser:
    cdef readonly Decisions d
    cdef Prices prices
    cdef MotionSearch search
    cdef InterChooser inter
    cdef int shapes
    cdef int tried[40]
    cdef int n
    cdef int quarters[8]
    cdef short vectors[32]
    cdef int price
    cdef int choose(self, int which, int y, int x, Py_ssize_t column, Py_ssize_t row) noexcept nogil
    cdef void find_quarters(self, int which, int y, int x, Py_ssize_t column, Py_ssize_t row) noexcept nogil
    cdef int shape(self, int shape, int which, int y, int x, Py_ssize_t column, Py_ssize_t row, int bound) noexcept nogil
    cdef int part(self, int shape, int part, int which, int context, int* around, Py_ssize_t column, Py_ssize_t row) noexcept nogil
    cdef void add(self, int y, int x, Py_ssize_t column, Py_ssize_t row) noexcept nogil
