cdef void forward_block(unsigned char* src, Py_ssize_t s, Py_ssize_t s_stride, unsigned char* pred, Py_ssize_t p, Py_ssize_t p_stride, short* out, Py_ssize_t o) noexcept nogil
cdef void forward_four(unsigned char* src, Py_ssize_t s, Py_ssize_t s_right, Py_ssize_t s_stride, unsigned char* pred, Py_ssize_t p, Py_ssize_t p_right, Py_ssize_t p_stride, short* out, Py_ssize_t o, Py_ssize_t o_right) noexcept nogil
cdef void forward_residue(unsigned char* src, Py_ssize_t sy, Py_ssize_t s_stride, Py_ssize_t su, Py_ssize_t sv, Py_ssize_t suv_stride, unsigned char* pred, Py_ssize_t py, Py_ssize_t p_stride, Py_ssize_t pu, Py_ssize_t pv, Py_ssize_t puv_stride, int has_y2, short* out, Py_ssize_t o) noexcept nogil
cdef void forward_wht(short* out, Py_ssize_t o) noexcept nogil
