from codec.boolcoder cimport BoolWriter

cdef unsigned char* zigzag
cdef unsigned char* band
cdef unsigned char* extra_bits
cdef unsigned char* above_of
cdef unsigned char* left_of

cdef class TokenPartitions:
    cdef object owner
    cdef unsigned char* data
    cdef readonly int mask
    cdef Py_ssize_t[8] pos
    cdef Py_ssize_t[8] end
    cdef unsigned long long[8] value
    cdef unsigned int[8] range
    cdef int[8] count
    cdef int overrun(self) noexcept nogil


cdef int read_tokens(
    TokenPartitions partitions, int which, unsigned char* probs, unsigned char* above, Py_ssize_t a,
    unsigned char* left, int has_y2, short* levels, Py_ssize_t c, unsigned char* eobs, Py_ssize_t e) noexcept nogil
cdef void write_tokens(
    BoolWriter writer, unsigned char* probs, unsigned char* above, Py_ssize_t a, unsigned char* left,
    int has_y2, short* levels, Py_ssize_t c, unsigned char* eobs, Py_ssize_t e) noexcept nogil
cdef void skip_tokens(unsigned char* above, Py_ssize_t a, unsigned char* left, int has_y2) noexcept nogil
