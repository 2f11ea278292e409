cdef unsigned int transform_residue(
    unsigned char* src, unsigned char* dst, Py_ssize_t y, Py_ssize_t y_stride, Py_ssize_t u, Py_ssize_t v,
    Py_ssize_t uv_stride, int has_y2, int* least, Py_ssize_t l, short* coeffs
) noexcept nogil
