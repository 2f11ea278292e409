from codec.decisions cimport Decisions
from codec.prices cimport Prices
from codec.search cimport MotionSearch


cdef class InterChooser:
    cdef readonly Decisions d
    cdef Prices prices
    cdef MotionSearch search
    cdef int references[3]
    cdef int count
    cdef int searched
    cdef int rates[8]
    cdef int guess_rates[4]
    cdef int near[48]
    cdef int modes[20]
    cdef int n
    cdef int which[16]
    cdef int mode[16]
    cdef int row[16]
    cdef int column[16]
    cdef int price[16]
    cdef int guess[16]
    cdef void gather_known(self, Py_ssize_t column, Py_ssize_t row) noexcept nogil
    cdef void gather_new(self, Py_ssize_t column, Py_ssize_t row) noexcept nogil
    cdef int known(self, int which, Py_ssize_t column, Py_ssize_t row) noexcept nogil
    cdef int new(self, int which, Py_ssize_t column, Py_ssize_t row) noexcept nogil
    cdef int add(self, int which, int mode, int y, int x, int price, Py_ssize_t column, Py_ssize_t row) noexcept nogil
    cdef int price_new(self, int which, int y, int x, Py_ssize_t column, Py_ssize_t row) noexcept nogil
    cdef int price_of(self, int price, Py_ssize_t segment) noexcept nogil
    cdef int next(self) noexcept nogil
    cdef void take(self, int i, Py_ssize_t at) noexcept nogil
