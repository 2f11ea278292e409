cdef int estimate_block(short* coeffs, Py_ssize_t c, Py_ssize_t n, int base, int slope) noexcept nogil
cdef int estimate_luma(unsigned char* src, Py_ssize_t s, Py_ssize_t s_stride, unsigned char* pred, Py_ssize_t p, Py_ssize_t p_stride, int* model) noexcept nogil
