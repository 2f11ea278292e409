cdef int bool_cost(int prob, int bit) noexcept nogil
cdef void fill_token_costs(unsigned char* probs, unsigned short* costs) noexcept nogil
