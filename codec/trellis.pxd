cdef long long quantize_by_cost(
    short* coeffs, Py_ssize_t c, short* levels, Py_ssize_t o, int kind, int context, int dc, int ac,
    unsigned short* costs, long long error_weight, long long rate_weight, unsigned char* eobs, Py_ssize_t e
) noexcept nogil
cdef void quantize_by_dead_zone(
    short* coeffs, Py_ssize_t c, short* levels, Py_ssize_t o, int kind, int dc, int ac, int index, int boost,
    unsigned char* eobs, Py_ssize_t e
) noexcept nogil
