# For clang, `inline` is a hint, and it weighs a kernel before the vectoriser has made it small. In the modules that
# cimport this, @cython.inline is an order: pixels then stay in registers from one kernel to the next.
cdef extern from *:
    """
    #undef CYTHON_INLINE
    #define CYTHON_INLINE inline __attribute__((always_inline, unused))
    """
    enum: ALWAYS_INLINE "1"
