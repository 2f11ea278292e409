cdef int sad(unsigned char* a, Py_ssize_t i, Py_ssize_t a_stride, unsigned char* b, Py_ssize_t j, Py_ssize_t b_stride, int w, int h) noexcept nogil
cdef int sse(unsigned char* a, Py_ssize_t i, Py_ssize_t a_stride, unsigned char* b, Py_ssize_t j, Py_ssize_t b_stride, int w, int h) noexcept nogil
cdef int variance(unsigned char* a, Py_ssize_t i, Py_ssize_t a_stride, unsigned char* b, Py_ssize_t j, Py_ssize_t b_stride, int w, int h) noexcept nogil
cdef int satd(unsigned char* a, Py_ssize_t i, Py_ssize_t a_stride, unsigned char* b, Py_ssize_t j, Py_ssize_t b_stride, int w, int h) noexcept nogil
