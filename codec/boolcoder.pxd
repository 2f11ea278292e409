cdef class BoolReader:
    cdef object owner
    cdef unsigned char* data
    cdef Py_ssize_t pos
    cdef Py_ssize_t end
    cdef unsigned long long value
    cdef unsigned int range
    cdef int count
    cdef int read(self, int prob) noexcept nogil
    cdef int read_literal(self, int bits) noexcept nogil
    cdef int overrun(self) noexcept nogil


cdef class BoolWriter:
    cdef bytearray buffer
    cdef unsigned char* data
    cdef unsigned long long low
    cdef unsigned int range
    cdef int pending
    cdef Py_ssize_t pos
    cdef Py_ssize_t end
    cdef readonly bint full
    cdef void write(self, int prob, int bit) noexcept nogil
    cdef void write_literal(self, int bits, int value) noexcept nogil
    cdef void write_tree(self, unsigned char* tree, unsigned char* probs, Py_ssize_t p, int value) noexcept nogil
