from codec.decisions cimport Decisions


cdef class Canvas:
    cdef readonly Py_ssize_t columns
    cdef readonly Py_ssize_t rows
    cdef object raster
    cdef object held
    cdef bytes levels_by_kind
    cdef bytearray levels
    cdef bytearray inner
    cdef unsigned char* frame
    cdef unsigned char* last
    cdef unsigned char* golden
    cdef unsigned char* altref
    cdef unsigned char* kind_level
    cdef unsigned char* level
    cdef unsigned char* edges
    cdef int version
    cdef int filtered
    cdef int simple
    cdef int sharpness
    cdef int key_frame
    cdef Py_ssize_t y_stride
    cdef Py_ssize_t uv_stride
    cdef Py_ssize_t u
    cdef Py_ssize_t v
    cdef void predict(self, Decisions d, Py_ssize_t column, Py_ssize_t row) noexcept nogil
    cdef void predict_plane(self, int mode, Py_ssize_t start, Py_ssize_t stride, int size, Py_ssize_t column, Py_ssize_t row) noexcept nogil
    cdef void predict_b(self, int mode, int block, Py_ssize_t column, Py_ssize_t row) noexcept nogil
    cdef void edge_b(self, int block, Py_ssize_t column, Py_ssize_t row, unsigned char* edge) noexcept nogil
    cdef void settle(self, Decisions d, Py_ssize_t column, Py_ssize_t row, int coded) noexcept nogil
    cdef void finish_row(self, Py_ssize_t row) noexcept nogil
