from codec.canvas cimport Canvas
from codec.decisions cimport Decisions


cdef class Requantizer:
    cdef readonly Canvas canvas
    cdef readonly Decisions d
    cdef object held
    cdef object levels
    cdef bytearray eobs
    cdef bytearray counts
    cdef Py_ssize_t coded
    cdef long long price
    cdef short* level
    cdef unsigned char* eob
    cdef unsigned int* count
    cdef unsigned char* source
    cdef int* factor
    cdef int* index
    cdef long long* rate
    cdef int* least
    cdef unsigned short* cost
    cdef unsigned char* context
    cdef long long chroma
    cdef int skip_cost
    cdef int coded_cost
    cdef int dead_zone
    cdef int boosted
    cdef void macroblock(self, Decisions d, Canvas canvas, Py_ssize_t column, Py_ssize_t row, unsigned char* left) noexcept nogil
    cdef void finish(self, Decisions d, Canvas canvas, Py_ssize_t column, Py_ssize_t row, unsigned char* left, int coded) noexcept nogil
    cdef int whole(self, Decisions d, Canvas canvas, Py_ssize_t column, Py_ssize_t row, unsigned char* left) noexcept nogil
    cdef int by_blocks(self, Decisions d, Canvas canvas, Py_ssize_t column, Py_ssize_t row, unsigned char* left) noexcept nogil
    cdef long long block(self, Decisions d, Py_ssize_t block, int kind, Py_ssize_t at, short* coeffs, int context, long long rate) noexcept nogil
    cdef void count_tokens(self, Py_ssize_t at, Py_ssize_t a, unsigned char* left, int has_y2) noexcept nogil
