from codec.canvas cimport Canvas
from codec.choose_inter cimport InterChooser
from codec.choose_intra cimport IntraChooser
from codec.choose_split cimport SplitChooser
from codec.decisions cimport Decisions
from codec.prices cimport Prices
from codec.requantize cimport Requantizer


cdef class Chooser:
    cdef Canvas canvas
    cdef Decisions d
    cdef Requantizer work
    cdef Prices prices
    cdef IntraChooser intra
    cdef InterChooser inter
    cdef SplitChooser split
    cdef int splits
    cdef object held
    cdef int inter_tried
    cdef int whole_tried
    cdef int intra_limit
    cdef int b_limit
    cdef int split_limit
    cdef int stop_limit
    cdef int refined
    cdef int taken[5]
    cdef int search_limit
    cdef int measure
    cdef int guess_rate[4]
    cdef long long best
    cdef int coded
    cdef int fresh
    cdef int alone
    cdef int settled
    cdef unsigned char* pixels
    cdef unsigned char* flat
    cdef short* levels
    cdef unsigned char eobs[25]
    cdef unsigned char modes[4]
    cdef short vectors[32]
    cdef void adapt(self) noexcept nogil
    cdef long long error(self, Py_ssize_t column, Py_ssize_t row) noexcept nogil
    cdef void attempt(self, Py_ssize_t column, Py_ssize_t row, unsigned char* left, int price) noexcept nogil
    cdef void stash(self, Py_ssize_t column, Py_ssize_t row) noexcept nogil
    cdef void restore(self, Py_ssize_t column, Py_ssize_t row) noexcept nogil
    cdef void choose(self, Py_ssize_t column, Py_ssize_t row, unsigned char* left) noexcept nogil
    cdef int choose_inter(self, Py_ssize_t column, Py_ssize_t row, unsigned char* left) noexcept nogil
    cdef void refine(self, Py_ssize_t column, Py_ssize_t row, unsigned char* left) noexcept nogil
    cdef void choose_intra(self, Py_ssize_t column, Py_ssize_t row, unsigned char* left, int bound) noexcept nogil
