# What the C compiler knows and Cython does not.
cdef extern from *:
    int leading_zeros "__builtin_clz"(unsigned int) noexcept nogil
