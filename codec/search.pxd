from codec.prices cimport Prices


cdef class MotionSearch:
    cdef readonly Py_ssize_t columns
    cdef readonly Py_ssize_t rows
    cdef object held
    cdef Prices prices
    cdef unsigned char* source
    cdef unsigned char* last
    cdef unsigned char* golden
    cdef unsigned char* altref
    cdef Py_ssize_t stride
    cdef int first_step
    cdef int rounds
    cdef int measure
    cdef int find(self, int which, Py_ssize_t x, Py_ssize_t y, int w, int h, int* starts, int n, int* best, int rate, int fine_rate, int* out) noexcept nogil
    cdef int whole_pixels(self, unsigned char* plane, Py_ssize_t x, Py_ssize_t y, int w, int h, int* starts, int n, int* best, int* bounds, int rate, int* out) noexcept nogil
    cdef int fractions(self, unsigned char* plane, Py_ssize_t x, Py_ssize_t y, int w, int h, int* best, int* bounds, int rate, int* out) noexcept nogil
    cdef int distance(self, unsigned char* plane, Py_ssize_t x, Py_ssize_t y, int w, int h, int row, int column, int measure) noexcept nogil
    cdef int price(self, int* best, int row, int column) noexcept nogil
