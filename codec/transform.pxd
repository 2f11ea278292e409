cdef void idct_add(short* coeffs, Py_ssize_t c, int dc_only, int dc, int ac, unsigned char* dst, Py_ssize_t d, Py_ssize_t stride) noexcept nogil
cdef void add_residue(short* coeffs, Py_ssize_t c, unsigned char* eobs, Py_ssize_t e, int has_y2, int* factors, Py_ssize_t f, unsigned char* dst, Py_ssize_t y, Py_ssize_t y_stride, Py_ssize_t u, Py_ssize_t v, Py_ssize_t uv_stride) noexcept nogil
cdef void add_residue_chroma(short* coeffs, Py_ssize_t c, unsigned char* eobs, Py_ssize_t e, int* factors, Py_ssize_t f, unsigned char* dst, Py_ssize_t u, Py_ssize_t v, Py_ssize_t uv_stride) noexcept nogil
