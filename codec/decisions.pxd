cdef class Decisions:
    cdef readonly Py_ssize_t columns
    cdef readonly Py_ssize_t rows
    cdef readonly object y_modes
    cdef readonly object uv_modes
    cdef readonly object references
    cdef readonly object segments
    cdef readonly object skips
    cdef readonly object split_shapes
    cdef readonly object b_modes
    cdef readonly object vectors
    cdef unsigned char* y_mode
    cdef unsigned char* uv_mode
    cdef unsigned char* reference
    cdef unsigned char* segment
    cdef unsigned char* skip
    cdef unsigned char* split_shape
    cdef unsigned char* b_mode
    cdef short* vector
