cdef int best_probability(long long zeros, long long ones, int bits) noexcept nogil
cdef void improve(unsigned char* probs, unsigned char* odds, unsigned int* counts, Py_ssize_t n, int bits) noexcept nogil
cdef void improve_coefficients(unsigned char* probs, unsigned int* tokens, unsigned char* odds) noexcept nogil
