from codec.decisions cimport Decisions


cdef class Prices:
    cdef object held
    cdef unsigned char bias[4]
    cdef int key_frame
    cdef int skip[2]
    cdef int segment[4]
    cdef int reference[4]
    cdef int y_mode[5]
    cdef int uv_mode[4]
    cdef int shape[4]
    cdef int inter_mode[48]
    cdef int part[32]
    cdef unsigned short* b_mode
    cdef unsigned short* vector
    cdef void fill(self) noexcept nogil
    cdef void inter_modes(self, int* near, int* out) noexcept nogil
    cdef int difference(self, int row, int column) noexcept nogil
    cdef int split(self, Decisions d, Py_ssize_t at, Py_ssize_t column, Py_ssize_t row, int* near) noexcept nogil
    cdef int inter(self, Decisions d, Py_ssize_t at, Py_ssize_t column, Py_ssize_t row) noexcept nogil
    cdef int intra(self, Decisions d, Py_ssize_t at, Py_ssize_t column, Py_ssize_t row) noexcept nogil
    cdef int macroblock(self, Decisions d, Py_ssize_t column, Py_ssize_t row) noexcept nogil
