from codec.canvas cimport Canvas
from codec.decisions cimport Decisions
from codec.prices cimport Prices
from codec.requantize cimport Requantizer


cdef class IntraChooser:
    cdef Canvas canvas
    cdef Decisions d
    cdef Requantizer work
    cdef Prices prices
    cdef int b_tried
    cdef int coded
    cdef int model[8]
    cdef long long chroma(self, int mode, Py_ssize_t column, Py_ssize_t row, unsigned char* left) noexcept nogil
    cdef long long choose_chroma(self, Py_ssize_t column, Py_ssize_t row, unsigned char* left) noexcept nogil
    cdef long long subblocks(self, Py_ssize_t column, Py_ssize_t row, unsigned char* left, long long bound) noexcept nogil
    cdef long long subblock(self, int block, Py_ssize_t column, Py_ssize_t row, int context) noexcept nogil
