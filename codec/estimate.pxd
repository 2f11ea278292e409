cdef int estimate_block(short* coeffs, Py_ssize_t c, Py_ssize_t n, int base, int slope) noexcept nogil
