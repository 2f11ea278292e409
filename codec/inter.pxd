cdef void predict_inter(unsigned char* dst, unsigned char* ref, Py_ssize_t mbw, Py_ssize_t mbh, Py_ssize_t col, Py_ssize_t row, short* mvs, Py_ssize_t m, int split, int version) noexcept nogil
cdef void predict_whole(unsigned char* dst, unsigned char* ref, Py_ssize_t width, Py_ssize_t height, Py_ssize_t x, Py_ssize_t y, int row, int column, int version) noexcept nogil
