cdef void predict_block(int mode, unsigned char* dst, Py_ssize_t d, Py_ssize_t stride, int size, unsigned char* above, Py_ssize_t a, unsigned char* left, Py_ssize_t l, int have_above, int have_left) noexcept nogil
cdef void predict_subblock(int mode, unsigned char* dst, Py_ssize_t d, Py_ssize_t stride, unsigned char* edge, Py_ssize_t e) noexcept nogil
